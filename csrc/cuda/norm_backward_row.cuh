// One row of a norm's backward: its sums, ds, dx, and its shares of the sums over rows. The
// arithmetic is that of csrc/cpu/norm_backward.cpp.
#pragma once
#include "norm_dropout.cuh"
#include "norm_row.cuh"
#include "plainformer/norm.h"

namespace plainformer::cuda {

// One row's arrays, each (C), and its saved statistics.
template <typename T>
struct BackwardRow {
    T* ds;
    const T *dy, *x, *grad_residual;
    float mean, rstd;
};

template <typename T>
__device__ BackwardRow<T> backward_row(const NormBackwardArgs<T>& s, int64_t n) {
    const bool inside = n < s.N;
    return {s.ds + n * s.C,
            s.dy + n * s.dy_stride,
            s.x + n * s.x_stride,
            s.grad_residual ? s.grad_residual + n * s.grad_residual_stride : nullptr,
            inside && s.mean ? s.mean[n] : 0.0f,
            inside ? s.rstd[n] : 0.0f};
}

// What a row's ds needs beside its elements. The saved mean is rounded, which counts where |mean|
// >> deviation: shift corrects x_hat, and with it the mean of g x_hat.
struct RowSums {
    float mean_grad, mean_product, shift;
};

// From the sums of g, of g (x - mean) and of x - mean.
__device__ __forceinline__ RowSums row_sums(const float (&sums)[3], float count, float rstd,
                                            bool centered) {
    if (!centered) return {0, sums[1] / count * rstd, 0};
    const float delta = sums[2] / count, mean_grad = sums[0] / count;
    return {mean_grad, (sums[1] / count - delta * mean_grad) * rstd, -delta * rstd};
}

// dy and x are what each(f) passes to f(c, x, dy), chunk by chunk.
template <typename T, int W, typename Pair, typename Team>
__device__ RowSums reduce_row(const Pair& pair, const RowPlace& at, const NormBackwardArgs<T>& s,
                              const BackwardRow<T>& row, Team& team) {
    float sums[3] = {0, 0, 0};
    pair.each(at, [&](int, int64_t c, const auto& x, const auto& dy) {
        float weight[W];
        load_parameter(weight, s.weight, s.weight_acc, c, 1.0f);
#pragma unroll
        for (int j = 0; j < W; ++j) {
            const float g = dy[j] * weight[j], d = x[j] - row.mean;
            sums[0] += g;
            sums[1] = fmaf(g, d, sums[1]);
            sums[2] += d;
        }
    });
    team.sum(sums);
    return row_sums(sums, static_cast<float>(s.C), row.rstd, s.mean != nullptr);
}

// ds of the row; add(i, c, dy, x_hat) takes each chunk's shares of the sums over rows.
template <typename T, int W, typename Pair, typename Add>
__device__ void finish_row(const Pair& pair, const RowPlace& at, const NormBackwardArgs<T>& s,
                           const BackwardRow<T>& row, const RowSums& sums, const Add& add) {
    pair.each(at, [&](int i, int64_t c, const auto& x, const auto& dy) {
        float weight[W], gradient[W], x_hat[W], ds[W];
        load_parameter(weight, s.weight, s.weight_acc, c, 1.0f);
#pragma unroll
        for (int j = 0; j < W; ++j) {
            gradient[j] = dy[j];
            const float g = dy[j] * weight[j];
            x_hat[j] = fmaf(x[j] - row.mean, row.rstd, sums.shift);
            ds[j] = row.rstd * fmaf(-x_hat[j], sums.mean_product, g - sums.mean_grad);
        }
        if (row.grad_residual) {
            const Chunk<T, W> other = pair.added(i, row.grad_residual + c);
#pragma unroll
            for (int j = 0; j < W; ++j) ds[j] += other[j];
        }
        store_chunk(row.ds + c, to_chunk<T>(ds));
        add(i, c, gradient, x_hat);
    });
}

// dx of the row, of what this thread has just written to ds. One chunk after the other: the
// generator in several at once would not leave the sums their registers.
template <typename T, int W>
__device__ __forceinline__ void drop_row(const NormBackwardArgs<T>& s, const RowPlace& at,
                                         int64_t n) {
    const int64_t row = n * s.C;
#pragma unroll 1
    for (int64_t c = int64_t{at.rank} * W; c < at.C; c += int64_t{at.size} * W)
        store_chunk(s.dx + row + c, dropped(load_chunk<W>(s.ds + row + c), s.dropout, n, c));
}

}  // namespace plainformer::cuda
