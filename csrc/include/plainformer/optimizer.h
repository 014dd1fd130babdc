// Optimizer steps and the global gradient norm, over lists of tensors in one call.
//
// AdamW (Loshchilov & Hutter 2019), as torch.optim.AdamW, with g the scaled gradient:
//   p <- p (1 - lr weight_decay)
//   m <- b1 m + (1 - b1) g          v <- b2 v + (1 - b2) g^2
//   p <- p - lr / (1 - b1^step) m / (sqrt(v) / sqrt(1 - b2^step) + eps)
//
// SGD, as torch.optim.SGD: g <- g + weight_decay p; buf <- momentum buf + g;
//   p <- p - lr (nesterov ? g + momentum buf : buf), without a buffer p <- p - lr g.
//
// With a master the step is taken on the master, and the parameter is the master rounded to T.
//
// squared_norm: the sum of squares of all gradients, in double, over blocks of fixed size in fixed
// order.
//
// Lists of slots, and the result of squared_norm, are in the memory of the process on every
// backend; the tensors are in that of the device.
#pragma once
#include "plainformer/types.h"

namespace plainformer {

// One tensor of `size` elements. The gradient is given in T or, summed, in the accumulator type.
template <typename T>
struct ParameterSlot {
    T* p;
    const T* grad;             // or null
    const acc_t<T>* grad_acc;  // or null
    acc_t<T>* m;               // first moment, or momentum buffer, or null
    acc_t<T>* v;               // second moment, or null
    acc_t<T>* master;          // or null
    int64_t size;
};

struct AdamWRule {
    double lr, beta1, beta2, eps, weight_decay, grad_scale;
    double correction1, correction2;  // 1 - beta^step
};

struct SgdRule {
    double lr, momentum, weight_decay, grad_scale;
    bool nesterov;
};

template <typename T>
struct AdamWStepArgs {
    const ParameterSlot<T>* slots;
    int64_t count;
    AdamWRule rule;
};

template <typename T>
struct SgdStepArgs {
    const ParameterSlot<T>* slots;
    int64_t count;
    SgdRule rule;
};

template <typename T>
struct SquaredNormArgs {
    double* result;                 // (1)
    const ParameterSlot<T>* slots;  // grad or grad_acc and size are read
    int64_t count;
};

}  // namespace plainformer
