// What a kernel says of a number that it was given and could not use as a place: the first of each
// device is kept until Python looks, at the next point where the host waits for the device.
#pragma once
#include "plainformer/types.h"

namespace plainformer::cuda {

// The argument that held it; `argument_name` in bindings/cuda/library.cpp has their names.
enum class Argument : int {
    ids,
    target,
    positions,
    cu_seqlens_q,
    cu_seqlens_k,
    cache_seqlens,
};

struct ErrorRecord {
    unsigned taken;  // 0: none yet
    Argument argument;
    long long index;  // of the element, as if the argument were flat
    long long value, limit;
};

}  // namespace plainformer::cuda
