// What linear + cross entropy does with a chunk of logits between its matrix products. Formulas and
// shapes: plainformer/linear_cross_entropy.h
//
// A block has a row: a first pass over it for the loss, a second one for the gradient, which finds
// it in L2 (the rows of all multiprocessors are about 30 MB). Rows lie `pitch` apart, a multiple of
// 8 elements, so that this and the products go by 16 bytes whatever V is.
#pragma once
#include "checks/values.h"  // is_id
#include "gemm.cuh"         // load_columns, store_columns
#include "plainformer/linear_cross_entropy.h"

namespace plainformer::cuda {

inline constexpr int logit_threads = 512;

struct LogitShared {
    BlockScratch scratch;
};

// Rows [first, first + rows) of all.
template <typename T>
struct LogitChunk {
    float* logits;  // (rows, V) without the bias, pitch apart
    T* dlogits;     // (rows, V), pitch apart, or null; the logits' own memory where T is float
    int64_t first, rows, pitch;
};

__device__ __forceinline__ float exp_of(float x) { return exp2_approx(x * 1.4426950408889634f); }

// Exponentials and surprises of what one thread, then the block, has seen of a row.
struct LogitSums {
    float largest = -INFINITY, sum = 0;  // of exp(x - largest)
    float base = 0, surprise = 0;        // sum of base - x; base near x_target, so little cancels

    // What `sum` is multiplied with where the maximum becomes `next`; 1 where it stays infinite.
    __device__ __forceinline__ void raise_to(float next) {
        if (next != largest) sum *= exp_of(largest - next);
        largest = next;
    }
    // A NaN passes over the maximum and shows in the sum.
    template <int W>
    __device__ __forceinline__ void add(const float (&x)[W], int count) {
        float next = largest;
#pragma unroll
        for (int i = 0; i < W; ++i) next = fmaxf(next, x[i]);
        raise_to(next);
        const float shift = next == -INFINITY ? 0.0f : next;
#pragma unroll
        for (int i = 0; i < W; ++i) {
            sum += exp_of(x[i] - shift);
            surprise += i < count ? base - x[i] : 0.0f;
        }
    }
    __device__ __forceinline__ void combine(BlockScratch& scratch) {
        raise_to(block_reduce<MaxOp>(largest, scratch));
        sum = block_reduce<SumOp>(sum, scratch);
        surprise = block_reduce<SumOp>(surprise, scratch);
    }
    // log sum exp; an infinite maximum is the answer.
    __device__ __forceinline__ float lse() const {
        return fabsf(largest) == INFINITY ? largest : largest + logf(sum);
    }
};

// Logits [v, v + W) of a row with their bias; -inf beyond the last.
template <typename T, int W>
__device__ __forceinline__ void load_logits(float (&x)[W], const float* row, const T* bias,
                                            int64_t v, int64_t V) {
    load_columns(x, row + v);
#pragma unroll
    for (int i = 0; i < W; ++i) {
        if (bias && v + i < V) x[i] += to_float(bias[v + i]);
        if (v + i >= V) x[i] = -INFINITY;
    }
}

// The gradient of a row. At the label p - 1 cancels where p is near 1: expm1 keeps the digits.
template <typename T>
__device__ __forceinline__ void store_gradients(const LinearCrossEntropyArgs<T>& s, T* to,
                                                const float* row, int64_t target, bool counts,
                                                float lse) {
    constexpr int W = vector_width<T>;
    const float even = s.grad * s.smoothing / static_cast<float>(s.V);
    const float at_target = even * static_cast<float>(s.V - 1);
    for (int64_t v = threadIdx.x * W; v < s.V; v += logit_threads * W) {
        float x[W], d[W];
        load_logits(x, row, s.bias, v, s.V);
#pragma unroll
        for (int i = 0; i < W; ++i) {
            d[i] = s.grad * exp_of(x[i] - lse) - even;
            if (v + i == target) d[i] = fmaf(s.grad, expm1f(x[i] - lse), at_target);
            if (!counts || v + i >= s.V) d[i] = 0.0f;
        }
        store_columns(to + v, d);
    }
}

template <typename T>
__global__ void __launch_bounds__(logit_threads)
    finish_logits(LinearCrossEntropyArgs<T> s, LogitChunk<T> chunk, ErrorRecord* errors) {
    constexpr int W = vector_width<T>;
    auto& shared_memory = shared<LogitShared>();
    const int64_t n = chunk.first + blockIdx.x, target = s.target[n];
    const float* const row = chunk.logits + blockIdx.x * chunk.pitch;
    const bool has_class = is_id(target, s.V);
    const bool counts = has_class && target != s.ignore_index;
    if (!has_class && target != s.ignore_index && threadIdx.x == 0)
        report(errors, Argument::target, n, target, s.V);

    float lse = 0.0f;
    if (counts) {
        const float x_target = row[target] + (s.bias ? to_float(s.bias[target]) : 0.0f);
        LogitSums sums;
        sums.base = fabsf(x_target) < INFINITY ? x_target : 0.0f;
#pragma unroll 2
        for (int64_t v = threadIdx.x * W; v < s.V; v += logit_threads * W) {
            float x[W];
            load_logits(x, row, s.bias, v, s.V);
            sums.add(x, s.V - v < W ? static_cast<int>(s.V - v) : W);
        }
        sums.combine(shared_memory.scratch);
        lse = sums.lse();
        const float spread = lse - sums.base + sums.surprise / static_cast<float>(s.V);
        const float loss = (1 - s.smoothing) * (lse - x_target);
        if (threadIdx.x == 0) s.loss[n] = s.smoothing == 0 ? loss : loss + s.smoothing * spread;
    } else if (threadIdx.x == 0) {
        s.loss[n] = 0.0f;
    }
    if (threadIdx.x == 0) s.label_weight[n] = counts ? 1.0f : 0.0f;
    // combine's barriers stand between this row's last read and what may now be written over it
    if (chunk.dlogits)
        store_gradients(s, chunk.dlogits + blockIdx.x * chunk.pitch, row, target, counts, lse);
}

}  // namespace plainformer::cuda
