// Numbers that come from the user and become places (ids, labels, lengths) are checked where they
// are read: a wrong one is reported and used for nothing.
#pragma once
#include "error_record.h"

namespace plainformer::cuda {

__device__ __forceinline__ void report(ErrorRecord* record, Argument argument, int64_t index,
                                       int64_t value, int64_t limit) {
    if (atomicCAS(&record->taken, 0u, 1u) != 0u) return;
    record->argument = argument;
    record->index = index, record->value = value, record->limit = limit;
}

}  // namespace plainformer::cuda
