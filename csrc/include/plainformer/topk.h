// topk: the k largest of each row, largest first.
//
//   indices[n, 0 .. k) are the columns of the best, values[n, j] = x[n, indices[n, j]]
//
// Equal values rank by column, 0 and -0 among them; NaN ranks last. So the result is one and the
// same on every backend.
#pragma once
#include "plainformer/types.h"

namespace plainformer {

template <typename T>
struct TopkArgs {
    T* values;         // (N, k)
    int64_t* indices;  // (N, k)
    const T* x;        // (N, C), rows x_stride apart
    int64_t N, C, k, x_stride;
};

}  // namespace plainformer
