// Copies of the numbers that say where sequences lie, checked on the device (values.h).
#pragma once
#include "context.h"

namespace plainformer::cuda {

// `count` starts, `stride` elements apart. The copy is all 0 where any is wrong.
const int32_t* checked_starts(const int32_t* starts, int64_t stride, int64_t count, int64_t rows,
                              int64_t longest, Argument argument, Context& context);

// `count` lengths, each with `added` keys more; 0 for a wrong one.
const int32_t* checked_lengths(const int32_t* lengths, int64_t stride, int64_t count, int64_t added,
                               int64_t capacity, Context& context);

}  // namespace plainformer::cuda
