// dropout: y = keep ? x scale : 0, the decision for each element by Philox (plainformer/philox.h).
// The backward is the same operation on dy: the mask is recomputed, not stored.
#pragma once
#include "plainformer/philox.h"
#include "plainformer/types.h"

namespace plainformer {

template <typename T>
struct DropoutArgs {
    T* y;        // (N, C)
    const T* x;  // (N, C), rows x_stride apart
    int64_t N, C, x_stride;
    DropoutRule rule;
};

}  // namespace plainformer
