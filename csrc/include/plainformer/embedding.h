// Embedding: y[n] = weight[ids[n]]. Backward: dweight[v] = sum of dy[n] over n with ids[n] = v,
// added in the order of n, so the sum has the same bytes at any thread count.
#pragma once
#include "plainformer/ids.h"

namespace plainformer {

template <typename T>
struct EmbeddingArgs {
    T* y;             // (N, C)
    const T* weight;  // (V, C), rows weight_stride apart
    Ids ids;          // (N), each in [0, V)
    int64_t N, V, C, weight_stride;
};

// dweight is given in T, or in float32 (dweight_acc) where a gradient is summed over several uses.
template <typename T>
struct EmbeddingBackwardArgs {
    T* dweight;             // (V, C), or null
    acc_t<T>* dweight_acc;  // (V, C), or null
    const T* dy;            // (N, C), rows dy_stride apart
    Ids ids;                // (N), each in [0, V)
    int64_t N, V, C, dy_stride;
    bool accumulate;  // add to what dweight holds, else overwrite all of it
};

}  // namespace plainformer
