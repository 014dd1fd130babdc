// Linear layer and cross entropy in one: the logits x weight^T + bias (N, V) are made for some
// rows at a time, turned into their own gradient in place and multiplied back, never kept whole.
// Without gradients they are not kept at all: of each block of a row's logits remain
//
//   m = max x        e = sum exp(x - m)        d = sum (m - x)        n = how many
//
// and of two blocks m = max(m1, m2), e = e1 exp(m1 - m) + e2 exp(m2 - m) and
// d = d1 + n1 (m - m1) + d2 + n2 (m - m2); of all V lse = m + log e, sum (lse - x) = d + V (lse -
// m). (Milakov, Gimelshein, "Online normalizer calculation for softmax", 2018, arXiv:1805.02867.)
//
//   loss_n  = cross entropy of (x_n weight^T + bias, t_n)      formulas: cross_entropy.h
//   dx      = grad dlogits weight
//   dweight = grad dlogits^T x
//   dbias   = grad sum_n dlogits_n
//
// The gradient is that of grad * sum_n loss_n. dweight and dbias are summed over the chunks in the
// accumulator type and given in it.
#pragma once
#include "plainformer/ids.h"

namespace plainformer {

template <typename T>
struct LinearCrossEntropyArgs {
    acc_t<T>* loss;          // (N)
    acc_t<T>* label_weight;  // (N): 1, or 0 where ignored
    T* dx;                   // (N, C), or null for no gradients at all
    acc_t<T>* dweight;       // (V, C); null exactly where dx is
    acc_t<T>* dbias;         // (V), or null
    const T* x;              // (N, C), rows x_stride apart
    const T* weight;         // (V, C), any strides
    const T* bias;           // (V) or null
    Ids target;              // (N), each in [0, V) or ignore_index
    int64_t N, V, C, x_stride, weight_row, weight_column, ignore_index;
    acc_t<T> smoothing, grad;
};

}  // namespace plainformer
