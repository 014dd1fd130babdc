// Softmax of one row over tiles of keys: a running maximum and sum, so that no row is ever whole.
// Twin of csrc/cpu/attention_softmax.h.
#pragma once
#include "attention_scores.cuh"

namespace plainformer::cuda {

// The state of one row between tiles. Its maximum is in units of log2, and the sum may be a
// thread's own part of it.
struct RowSoftmax {
    float largest = -INFINITY, sum = 0;

    // Takes a tile's maximum; returns the factor for all that was summed up before. A NaN does not
    // count in maxima: it shows in the exponentials.
    __device__ __forceinline__ float raise(float tile_largest) {
        const float before = largest;
        largest = fmaxf(before, tile_largest);
        const float factor = largest == before ? 1.0f : exp2_approx(before - shift());
        sum *= factor;
        return factor;
    }

    // What is subtracted from scores: -inf - -inf would be NaN.
    __device__ __forceinline__ float shift() const { return largest == -INFINITY ? 0.0f : largest; }

    // What the sum of products with V is multiplied with, from the whole sum; `kept` is dropout's
    // scale.
    __device__ __forceinline__ float normalizer(float kept) const {
        return sum == 0 ? 0.0f : kept / sum;
    }

    __device__ __forceinline__ float log_sum_exp() const {
        return sum == 0 ? -INFINITY : largest * ln_2 + logf(sum);
    }
};

}  // namespace plainformer::cuda
