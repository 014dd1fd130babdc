// What linear + cross entropy does with a chunk of logits between its matrix products. Formulas and
// shapes: plainformer/linear_cross_entropy.h
//
// The product of the logits leaves the statistics of each 64 of a row (gemm.cuh), from which comes
// the loss; the logits themselves are kept, for a chunk, only where gradients are wanted. Their
// rows lie `pitch` apart, a multiple of 8 elements, so that this and the products go by 16 bytes
// whatever V is.
#pragma once
#include "checks/values.h"  // is_id
#include "gemm.cuh"         // statistics, load_columns, store_columns
#include "plainformer/linear_cross_entropy.h"

namespace plainformer::cuda {

inline constexpr int loss_threads = 256, logit_threads = 256;

// Rows [first, first + rows) of all.
template <typename T>
struct LogitChunk {
    const float4* statistics;  // (rows, statistics_across(V))
    float* lse;                // (rows)
    float* logits;             // (rows, V) without the bias, pitch apart; null without gradients
    T* dlogits;                // (rows, V), pitch apart; the logits' own memory where T is float
    int64_t first, rows, pitch;
};

// The label's logit of row n, by a warp: the sums of a product may be gone.
template <typename T>
__device__ __forceinline__ float logit_of(const LinearCrossEntropyArgs<T>& s, int64_t n,
                                          int64_t v) {
    const T *x = s.x + n * s.x_stride, *weight = s.weight + v * s.weight_row;
    float sum = 0.0f;
#pragma unroll 4
    for (int64_t c = lane_id(); c < s.C; c += warp_size)
        sum = fmaf(to_float(x[c]), to_float(weight[c * s.weight_column]), sum);
    return warp_reduce<SumOp>(sum) + (s.bias ? to_float(s.bias[v]) : 0.0f);
}

// A row's log-sum-exp and sum of lse - logit, by a warp.
struct RowLoss {
    float lse, spread;
};
__device__ __forceinline__ RowLoss row_loss(const float4* statistics, int64_t V) {
    const int64_t across = statistics_across(V);
    float largest = -INFINITY, sum = 0.0f, spread = 0.0f;
    for (int64_t i = lane_id(); i < across; i += warp_size)
        largest = fmaxf(largest, statistics[i].x);
    largest = warp_reduce<MaxOp>(largest);
    const float shift = largest == -INFINITY ? 0.0f : largest;
    for (int64_t i = lane_id(); i < across; i += warp_size)
        sum += statistics[i].y * exp_approx(statistics[i].x - shift);
    sum = warp_reduce<SumOp>(sum);
    const float lse = largest == INFINITY ? largest : largest + logf(sum);
    for (int64_t i = lane_id(); i < across; i += warp_size) {
        const int64_t left = V - i * statistics_columns;
        const auto count =
            static_cast<float>(left < statistics_columns ? left : statistics_columns);
        spread += fmaf(count, lse - statistics[i].x, statistics[i].z);
    }
    return {lse, warp_reduce<SumOp>(spread)};
}

// loss and label_weight of the chunk's rows, a warp a row. A label that is no class is reported,
// and its row treated as an ignored one.
template <typename T>
__global__ void __launch_bounds__(loss_threads)
    finish_losses(LinearCrossEntropyArgs<T> s, LogitChunk<T> chunk, ErrorRecord* errors) {
    const int64_t row = int64_t{blockIdx.x} * (loss_threads / warp_size) + warp_id();
    const int64_t n = chunk.first + row;
    if (row >= chunk.rows) return;
    const int64_t target = s.target[n];
    const bool has_class = is_id(target, s.V), ignored = target == s.ignore_index;
    if (!has_class && !ignored && lane_id() == 0) report(errors, Argument::target, n, target, s.V);
    float loss = 0.0f;
    if (has_class && !ignored) {
        const RowLoss of_row = row_loss(chunk.statistics + row * statistics_across(s.V), s.V);
        // a class that is alone has probability 1, whatever the order of its logit's sum
        const float logit = s.V == 1 ? of_row.lse : logit_of(s, n, target);
        loss = (1 - s.smoothing) * (of_row.lse - logit);
        if (s.smoothing != 0) loss += s.smoothing / static_cast<float>(s.V) * of_row.spread;
        if (lane_id() == 0) chunk.lse[row] = of_row.lse;
    }
    if (lane_id() > 0) return;
    s.loss[n] = loss;
    s.label_weight[n] = has_class && !ignored ? 1.0f : 0.0f;
}

// The logits' gradients, in vectors of 16 bytes; each row has `across` blocks.
template <typename T>
__global__ void __launch_bounds__(logit_threads)
    logit_gradients(LinearCrossEntropyArgs<T> s, LogitChunk<T> chunk, int across) {
    constexpr int W = vector_width<T>;
    const int64_t row = blockIdx.x / across;
    const int64_t v = (int64_t{blockIdx.x % across} * logit_threads + threadIdx.x) * W;
    if (v >= s.V) return;
    const int64_t target = s.target[chunk.first + row];
    const bool counts = is_id(target, s.V) && target != s.ignore_index;
    const float lse = counts ? chunk.lse[row] : 0.0f;
    const float even = s.grad * s.smoothing / static_cast<float>(s.V);
    const float wanted = fmaf(s.grad, 1 - s.smoothing, even);
    float x[W], d[W];
    load_columns(x, chunk.logits + row * chunk.pitch + v);
#pragma unroll
    for (int i = 0; i < W; ++i) {
        if (s.bias && v + i < s.V) x[i] += to_float(s.bias[v + i]);
        d[i] = s.grad * exp_approx(x[i] - lse) - even;
        if (v + i == target)
            d[i] = scaled_probability_less(s.grad, x[i] - lse, wanted,
                                           even * static_cast<float>(s.V - 1));
        if (!counts || v + i >= s.V) d[i] = 0.0f;
    }
    store_columns(chunk.dlogits + row * chunk.pitch + v, d);
}

}  // namespace plainformer::cuda
