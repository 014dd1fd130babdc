// One element of softmax and log_softmax. Formulas: plainformer/softmax.h
#pragma once
#include "math.cuh"  // exp_approx

namespace plainformer::cuda {

// y from x - largest; `last` is 1 / sum or log sum.
__device__ __forceinline__ float softmax_value(float x, float last, bool is_log) {
    return is_log ? x - last : exp_approx(x) * last;
}

// What an element adds to the sum that all gradients of its row take.
__device__ __forceinline__ float softmax_share(float dy, float y, bool is_log) {
    return is_log ? dy : dy * y;
}

__device__ __forceinline__ float softmax_gradient(float dy, float y, float sum, bool is_log) {
    return is_log ? fmaf(-exp_approx(y), sum, dy) : y * (dy - sum);
}

}  // namespace plainformer::cuda
