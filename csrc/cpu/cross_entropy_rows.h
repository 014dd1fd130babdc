// One row of cross entropy: shared by the plain kernel and the one fused with its linear layer.
// Formulas: plainformer/cross_entropy.h
#pragma once
#include "isa/extremes.h"  // lowest, log_of_sum
#include "isa/largest.h"   // largest_of
#include "isa/math.h"      // exp
#include "isa/rows.h"      // fill
#include "isa/vec.h"       // Vec, load, for_lanes

namespace plainformer::PF_ISA {

// log sum exp of x (V); -inf where every logit is.
template <typename T>
acc_t<T> row_lse(const T* x, int64_t V, Reach reach = Reach::near) {
    const acc_t<T> largest = largest_of(x, V, reach);
    if (largest == lowest<T> || largest == -lowest<T>) return largest;
    VecOf<T> sum(acc_t<T>(0));
    for_lanes<T>(V, [&](int64_t v, auto tail) {
        sum = sum + exp(load_or(x + v, tail, lowest<T>) - VecOf<T>(largest));
    });
    return largest + log_of_sum(reduce_add(sum));
}

// sum_v w[v] (lse - x[v]), the part of the loss that smoothing spreads over all classes.
template <typename T>
acc_t<T> row_spread(const T* x, const acc_t<T>* weight, acc_t<T> lse, int64_t V) {
    using A = acc_t<T>;
    VecOf<T> sum(A(0));
    for_lanes<T>(V, [&](int64_t v, auto tail) {
        const auto surprise = VecOf<T>(lse) - load_or(x + v, tail, lse);  // 0 past the end
        sum = weight ? fma(load(weight + v, tail), surprise, sum) : sum + surprise;
    });
    return reduce_add(sum);
}

template <typename T>
acc_t<T> row_loss(const T* x, const acc_t<T>* weight, int64_t target, acc_t<T> lse, int64_t V,
                  acc_t<T> smoothing) {
    const acc_t<T> w = weight ? weight[target] : 1;
    const acc_t<T> loss = (1 - smoothing) * w * (lse - to_float(x[target]));
    return smoothing == 0 ? loss : loss + smoothing / V * row_spread(x, weight, lse, V);
}

template <typename T>
acc_t<T> sum_of_weights(const acc_t<T>* weight, int64_t V) {
    if (!weight) return static_cast<acc_t<T>>(V);
    acc_t<T> sum = 0;
    for (int64_t v = 0; v < V; ++v) sum += weight[v];
    return sum;
}

// dx (V) = grad dloss / dx; dx may be x itself. weight_sum is sum_of_weights(weight, V).
template <typename T, typename Out>
void row_gradient(Out* dx, const T* x, const acc_t<T>* weight, int64_t target, acc_t<T> lse,
                  acc_t<T> grad, int64_t V, acc_t<T> smoothing, acc_t<T> weight_sum,
                  Reach reach = Reach::near) {
    using A = acc_t<T>;
    const A w = weight ? weight[target] : 1;
    const A spread = smoothing / V;
    const A total = (1 - smoothing) * w + spread * weight_sum;
    const VecOf<T> scale(grad * total), shift(lse), even(grad * spread);
    const A x_target = to_float(x[target]);  // read before dx may overwrite it
    fill(dx, V, reach, [&](int64_t v, auto tail) {
        const auto d = scale * exp(load(x + v, tail) - shift);
        if (smoothing == 0) return d;
        return weight ? fnma(even, load(weight + v, tail), d) : d - even;
    });
    const A label_share = (1 - smoothing) * w + (smoothing == 0 ? 0 : spread * w);
    const A d = grad * (total * __builtin_exp(x_target - lse) - label_share);
    dx[target] = from_float<Out>(d);
}

}  // namespace plainformer::PF_ISA
