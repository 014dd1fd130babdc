// softmax and log_softmax over one axis of an array seen as (N, L, M): the axis has L elements,
// M apart.
//
//   softmax:     y = exp(x - max) / sum exp(x - max)       dx = y (dy - sum dy y)
//   log_softmax: y = x - max - log sum exp(x - max)        dx = dy - exp(y) sum dy
#pragma once
#include "plainformer/types.h"

namespace plainformer {

template <typename T>
struct SoftmaxArgs {
    T* y;        // (N, L, M)
    const T* x;  // (N, L, M), matrices x_stride apart
    int64_t N, L, M, x_stride;
    bool log;
};

template <typename T>
struct SoftmaxBackwardArgs {
    T* dx;        // (N, L, M)
    const T* dy;  // (N, L, M), matrices dy_stride apart
    const T* y;   // (N, L, M), matrices y_stride apart
    int64_t N, L, M, dy_stride, y_stride;
    bool log;
};

}  // namespace plainformer
