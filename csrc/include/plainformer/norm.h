// Layer norm and RMS norm over the last axis, each with an optional residual added first, to x or
// to what dropout leaves of it.
//
//   s = dropout(x) + residual (each rounded to T)        x_hat = (s - mean) rstd        y = x_hat
//   weight + bias
//
//   layer norm: mean = sum s / C, rstd = 1 / sqrt(sum (s - mean)^2 / C + eps)
//   RMS norm:   mean = 0, no bias, rstd = 1 / sqrt(sum s^2 / C + eps)
//
// Backward, with g = dy weight:
//
//   ds = rstd (g - sum g / C - x_hat sum (g x_hat) / C) + grad_residual        dx = dropout(ds)
//   dweight = sum_n dy x_hat        dbias = sum_n dy
//
// RMS norm has no mean to differentiate: its ds is without sum g / C.
#pragma once
#include "plainformer/philox.h"
#include "plainformer/types.h"

namespace plainformer {

// weight and bias are T, or the accumulator type (float32 beside bfloat16 x): at most one pointer
// of each pair is set, none where the array is absent. Both are of one type; so are their
// gradients.
template <typename T>
struct NormArgs {
    T* y;                    // (N, C)
    T* sum;                  // (N, C): s, null without residual
    acc_t<T>* mean;          // (N) or null
    acc_t<T>* rstd;          // (N) or null
    const T* x;              // (N, C), rows x_stride apart
    const T* residual;       // (N, C), rows residual_stride apart, or null
    DropoutRule dropout;     // of x beside a residual; threshold 0: nothing is dropped
    const T *weight, *bias;  // (C)
    const acc_t<T>*weight_acc, *bias_acc;  // (C)
    int64_t N, C, x_stride, residual_stride;
    acc_t<T> eps;
    bool rms;
};

template <typename T>
struct NormBackwardArgs {
    T* ds;                             // (N, C)
    T* dx;                             // (N, C) where the forward dropped elements, else null
    T *dweight, *dbias;                // (C)
    acc_t<T>*dweight_acc, *dbias_acc;  // (C)
    const T* dy;                       // (N, C), rows dy_stride apart
    const T* x;                        // (N, C): s of the forward, rows x_stride apart
    const T* grad_residual;            // (N, C), rows grad_residual_stride apart, or null
    const acc_t<T>* mean;              // (N); null for RMS norm
    const acc_t<T>* rstd;              // (N)
    const T* weight;                   // (C)
    const acc_t<T>* weight_acc;        // (C)
    int64_t N, C, dy_stride, x_stride, grad_residual_stride;
    DropoutRule dropout;
};

}  // namespace plainformer
