// Cross entropy of logits x (N, V) with labels t (N), smoothing s, class weights w (V):
//
//   loss_n = (1 - s) w[t_n] (lse_n - x[n, t_n]) + s / V sum_v w[v] (lse_n - x[n, v])
//   lse_n  = log sum_v exp(x[n, v])
//   dx[n, v] = g_n (total_n exp(x[n, v] - lse_n) - (1 - s) w[v] [v = t_n] - s / V w[v])
//   total_n  = (1 - s) w[t_n] + s / V sum_v w[v]
//
// A row whose label is ignore_index has loss 0, weight 0 and gradient 0, whatever it holds.
#pragma once
#include "plainformer/ids.h"

namespace plainformer {

template <typename T>
struct CrossEntropyArgs {
    acc_t<T>* loss;          // (N)
    acc_t<T>* label_weight;  // (N): w[t_n], or 0 where ignored
    acc_t<T>* lse;           // (N)
    const T* x;              // (N, V), rows x_stride apart
    Ids target;              // (N), each in [0, V) or ignore_index
    const acc_t<T>* weight;  // (V) or null for 1
    int64_t N, V, x_stride, ignore_index;
    acc_t<T> smoothing;
};

template <typename T>
struct CrossEntropyBackwardArgs {
    T* dx;                   // (N, V); may be x itself
    const acc_t<T>* grad;    // (N): g_n
    const T* x;              // (N, V), rows x_stride apart
    Ids target;              // (N)
    const acc_t<T>* lse;     // (N)
    const acc_t<T>* weight;  // (V) or null for 1
    int64_t N, V, x_stride, ignore_index;
    acc_t<T> smoothing;
};

}  // namespace plainformer
