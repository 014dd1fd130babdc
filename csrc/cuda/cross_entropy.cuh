// Cross entropy, forward and backward. Formulas and shapes: plainformer/cross_entropy.h
//
// The forward reads its logits once, also with smoothing: a team of threads adds up exponentials
// and surprises of its row side by side. The backward works on single elements. A label that is no
// class is reported, and its row treated as an ignored one.
#pragma once
#include "checks/values.h"  // is_id
#include "elementwise.cuh"
#include "log_sum_exp.cuh"
#include "plainformer/arith.h"
#include "plainformer/cross_entropy.h"
#include "row_part.cuh"
#include "row_teams.cuh"

namespace plainformer::cuda {

// Chunks a thread has in flight.
constexpr int cross_entropy_chunks = 4, cross_entropy_backward_chunks = 2;

// Whether row n counts; if its label is wrong, one of its threads tells.
template <typename Args>
__device__ __forceinline__ bool has_class(const Args& s, int64_t n, int64_t target, bool tells,
                                          ErrorRecord* errors) {
    if (target == s.ignore_index) return false;
    const bool known = is_id(target, s.V);
    if (!known && tells) report(errors, Argument::target, n, target, s.V);
    return known;
}

// sum_v w[v] (base - x[v]) and sum_v w[v] of a row: with these, sum_v w[v] (lse - x[v]) needs lse
// only at the end. The base is the label's logit, so that no large numbers cancel.
struct Spread {
    float base, surprise = 0, weight = 0;

    template <typename T, int W>
    __device__ __forceinline__ void add(const Chunk<T, W>& x, int64_t begin, int64_t V,
                                        const float* weights) {
        const Chunk<float, W> w = load_part<W>(weights, begin, weights ? V : 0, 1.0f);
        const int count = static_cast<int>(least(V - begin, W));
#pragma unroll
        for (int j = 0; j < W; ++j) {
            if (j >= count) continue;
            surprise = fmaf(w[j], base - x[j], surprise);
            weight += w[j];
        }
    }
    template <typename Team>
    __device__ __forceinline__ void combine(Team& team) {
        float sums[2] = {surprise, weight};
        team.template reduce<SumOp>(sums);
        surprise = sums[0], weight = sums[1];
    }
    __device__ __forceinline__ float value(float lse) const {
        return fmaf(lse - base, weight, surprise);
    }
};

// loss, label_weight, lse of row n, by one thread.
template <typename T>
__device__ __forceinline__ void store_loss(const CrossEntropyArgs<T>& s, int64_t n, int64_t target,
                                           bool counts, float x_target, float lse, float spread) {
    const float w = !counts ? 0.0f : s.weight ? s.weight[target] : 1.0f;
    float loss = (1 - s.smoothing) * w * (lse - x_target);
    if (s.smoothing != 0) loss += __fdividef(s.smoothing, static_cast<float>(s.V)) * spread;
    s.loss[n] = counts ? loss : 0.0f;
    s.label_weight[n] = w;
    s.lse[n] = counts ? lse : 0.0f;
}

template <typename T, bool aligned, bool smooth, typename Team>
__global__ void __launch_bounds__(BlockTeam::most_threads, aligned && !smooth ? 2 : 1)
    cross_entropy_rows(CrossEntropyArgs<T> s, int threads, ErrorRecord* errors) {
    Team team(threads);
    const int64_t n = team.first_row(), step = int64_t{cross_entropy_chunks} * team.size;
    const int64_t target = n < s.N ? s.target[n] : s.ignore_index;
    const bool counts = n < s.N && has_class(s, n, target, team.rank == 0, errors);
    const int64_t V = counts ? s.V : 0, chunks = ceil_div(V, vector_width<T>);
    const T* x = s.x + n * s.x_stride;
    const float x_target = counts ? to_float(x[target]) : 0.0f;

    RowPart<T, cross_entropy_chunks, aligned> part;
    LogSumExp sums;
    Spread spread{fabsf(x_target) < INFINITY ? x_target : 0.0f};
    for (int64_t first = 0; first < chunks; first += step) {
        part.load(x, V, first, team, -INFINITY);
#pragma unroll
        for (int u = 0; u < cross_entropy_chunks; ++u) {
            sums.add(part.chunks[u]);
            if constexpr (smooth)
                spread.add(part.chunks[u], part.begin(first, team, u), V, s.weight);
        }
    }
    sums.combine(team);
    if constexpr (smooth) spread.combine(team);
    const float lse = sums.value();
    if (n < s.N && team.rank == 0)
        store_loss(s, n, target, counts, x_target, lse, spread.value(lse));
}

struct WeightSumShared {
    BlockScratch scratch;
};

constexpr int weight_sum_threads = 1024;

// sum = sum_v weight[v], by one block.
__global__ void __launch_bounds__(weight_sum_threads)
    sum_weights(float* sum, const float* weight, int64_t V) {
    auto& s = shared<WeightSumShared>();
    float part = 0;
#pragma unroll 4
    for (int64_t v = threadIdx.x; v < V; v += weight_sum_threads) part += weight[v];
    part = block_reduce<SumOp>(part, s.scratch);
    if (threadIdx.x == 0) *sum = part;
}

// What the gradients of a row share: scale exp(x - lse) - even w[v], and at the label more.
struct RowGradient {
    int64_t target;
    float lse, scale, even, wanted, beyond;  // the last two at the label

    __device__ __forceinline__ float at(float x, float weight) const {
        return fmaf(-even, weight, scale * exp_approx(x - lse));
    }
    __device__ __forceinline__ float at_label(float x) const {
        return scaled_probability_less(scale, x - lse, wanted, beyond);
    }
};

// Row n: its label and what comes with it, all loaded before any is used.
struct LabelRow {
    int64_t n, target;
    float lse, grad;

    template <typename T>
    __device__ __forceinline__ void load(const CrossEntropyBackwardArgs<T>& s) {
        target = n < s.N ? s.target[n] : s.ignore_index;
        lse = n < s.N ? s.lse[n] : 0.0f;
        grad = n < s.N ? s.grad[n] : 0.0f;
    }
    // weight_sum is null where nothing is smoothed or weighted.
    template <typename T>
    __device__ __forceinline__ RowGradient gradient(const CrossEntropyBackwardArgs<T>& s,
                                                    const float* weight_sum) const {
        const float weights = weight_sum ? *weight_sum : static_cast<float>(s.V);
        const float w = s.weight ? s.weight[target] : 1.0f;
        const float spread = __fdividef(s.smoothing, static_cast<float>(s.V));
        const float total = (1 - s.smoothing) * w + spread * weights;
        const float wanted = (1 - s.smoothing + spread) * w;
        return {target,        lse,           grad * total,
                grad * spread, grad * wanted, grad * spread * (weights - w)};
    }
};

// dx (N, V), which may be x itself. A row has `per_row` chunks, which are cut at the boundaries of
// dx: x has the same unless it is strided, and nothing is summed.
template <typename T>
__global__ void __launch_bounds__(elementwise_threads)
    cross_entropy_backward_rows(CrossEntropyBackwardArgs<T> s, Divisor per_row,
                                const float* weight_sum, ErrorRecord* errors) {
    constexpr int W = vector_width<T>, unroll = cross_entropy_backward_chunks;
    const float* weight = s.smoothing != 0 ? s.weight : nullptr;
    Chunk<T, W> x[unroll];
    LabelRow row[unroll];
    int64_t begin[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const RowChunk at(chunk_of_thread<unroll>(u), W, per_row);
        row[u].n = at.n, begin[u] = at.c - beyond_boundary(s.dx + at.n * s.V);
        x[u] = load_part<W>(s.x + at.n * s.x_stride, begin[u], at.n < s.N ? s.V : 0, T{});
        row[u].load(s);
    }
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const int64_t n = row[u].n, target = row[u].target;
        const bool counts = has_class(s, n, target, begin[u] <= 0, errors);
        const RowGradient grad = counts ? row[u].gradient(s, weight_sum) : RowGradient{};
        const Chunk<float, W> w = load_part<W>(weight, begin[u], weight ? s.V : 0, 1.0f);
        float dx[W];
#pragma unroll
        for (int j = 0; j < W; ++j) dx[j] = counts ? grad.at(x[u][j], w[j]) : 0.0f;
        if (counts && target >= begin[u] && target < begin[u] + W) {
            const float at_label = grad.at_label(to_float(s.x[n * s.x_stride + target]));
#pragma unroll
            for (int j = 0; j < W; ++j) dx[j] = begin[u] + j == target ? at_label : dx[j];
        }
        store_part(s.dx + n * s.V, begin[u], n < s.N ? s.V : 0, to_chunk<T>(dx));
    }
}

}  // namespace plainformer::cuda
