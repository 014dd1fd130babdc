// Layer norm and RMS norm, forward. Formulas and shapes: plainformer/norm.h
//
// A team of threads has a row; where it fits their registers it is read once. The arithmetic is
// that of csrc/cpu/norm.cpp.
#pragma once
#include "norm_dropout.cuh"
#include "norm_row.cuh"
#include "plainformer/norm.h"

namespace plainformer::cuda {

// Chunks that a thread keeps: 64 bytes in flight. Single elements do not fill registers as well.
template <int W>
inline constexpr int norm_chunks = W == 1 ? 8 : 4;

struct RowStats {
    float mean, delta, rstd;  // true mean = mean + delta
};

// Squares of numbers above 1e19 overflow; rows with such numbers are measured in this unit.
constexpr float large_unit = 0x1p96f;

// delta is the first pass's rounding error; kept apart, it holds the error near 1e-6 even when
// |mean| >> deviation.
template <bool in_units, int W, typename Row, typename Team>
__device__ RowStats measure_row(const Row& row, const RowPlace& at, Team& team, float count,
                                bool rms, float eps) {
    constexpr float unit = in_units ? large_unit : 1.0f, inverse = 1.0f / unit;
    float mean = 0;
    if (!rms) {
        float sum[1] = {0};
        row.each(at, [&](int64_t, const auto& x) {
#pragma unroll
            for (int j = 0; j < W; ++j) sum[0] += x[j] * inverse;
        });
        team.sum(sum);
        mean = sum[0] / count * unit;
    }
    float sums[2] = {0, 0};  // of d and of its squares
    row.each(at, [&](int64_t, const auto& x) {
#pragma unroll
        for (int j = 0; j < W; ++j) {
            const float d = (x[j] - mean) * inverse;
            sums[0] += d;
            sums[1] = fmaf(d, d, sums[1]);
        }
    });
    team.sum(sums);
    const float delta = rms ? 0 : sums[0] / count;
    const float variance = sums[1] / count - delta * delta;
    return {mean, delta * unit, inverse / sqrtf(variance + eps * inverse * inverse)};
}

template <int W, typename Row, typename Team>
__device__ RowStats row_stats(const Row& row, const RowPlace& at, Team& team, float count, bool rms,
                              float eps) {
    const RowStats stats = measure_row<false, W>(row, at, team, count, rms, eps);
    if (!team.any(!(stats.rstd > 0))) return stats;
    const RowStats in_units = measure_row<true, W>(row, at, team, count, rms, eps);
    return stats.rstd > 0 ? stats : in_units;
}

// dropout(x) + residual, columns c .. of row n, each rounded to T.
template <typename T, int W>
__device__ __forceinline__ Chunk<T, W> sum_of(const NormArgs<T>& s, int64_t n, int64_t c,
                                              Chunk<T, W> x, const Chunk<T, W>& residual) {
    if (s.dropout.threshold > 0) x = dropped(x, s.dropout, n, c);
    float total[W];
#pragma unroll
    for (int j = 0; j < W; ++j) total[j] = x[j] + residual[j];
    return to_chunk<T>(total);
}

// Writes the sum; the row is what was written.
template <typename T, int W, int kept>
__device__ __forceinline__ void add_residual(KeptRow<T, W, kept>& row, const RowPlace& at,
                                             const NormArgs<T>& s, int64_t n) {
    KeptRow<T, W, kept> other;
    other.load(at, s.residual + n * s.residual_stride);
    for_kept_chunks<kept, W>(at, [&](int i, int c) {
        row.chunks[i] = sum_of(s, n, c, row.chunks[i], other.chunks[i]);
        store_chunk(s.sum + n * s.C + c, row.chunks[i]);
    });
}

template <typename T, int W>
__device__ __forceinline__ void add_residual(ReadRow<T, W>& row, const RowPlace& at,
                                             const NormArgs<T>& s, int64_t n) {
    T* const sum = s.sum + n * s.C;
    const T* const residual = s.residual + n * s.residual_stride;
    row.each(at, [&](int64_t c, const Chunk<T, W>& x) {
        store_chunk(sum + c, sum_of(s, n, c, x, load_chunk<W>(residual + c)));
    });
    row.x = sum;  // each thread reads what it has written itself
}

// y (C) from the row. Adding -0 changes nothing, 0 included.
template <typename T, int W, typename Row>
__device__ __forceinline__ void apply_row(T* y, const Row& row, const RowPlace& at,
                                          const NormArgs<T>& s, const RowStats& stats) {
    const float shift = -stats.delta * stats.rstd;
    row.each(at, [&](int64_t c, const auto& x) {
        float weight[W], bias[W], v[W];
        load_parameter(weight, s.weight, s.weight_acc, c, 1.0f);
        load_parameter(bias, s.bias, s.bias_acc, c, -0.0f);
#pragma unroll
        for (int j = 0; j < W; ++j)
            v[j] = fmaf(fmaf(x[j] - stats.mean, stats.rstd, shift), weight[j], bias[j]);
        store_chunk(y + c, to_chunk<T>(v));
    });
}

template <typename T, int W, typename Row, typename Team>
__device__ __forceinline__ void norm_row(const NormArgs<T>& s, Team team) {
    const int64_t n = team.first_row();
    const RowPlace at{n < s.N ? s.C : 0, team.size, team.rank};
    Row row;
    row.load(at, s.x + n * s.x_stride);
    if (s.residual) add_residual(row, at, s, n);
    const RowStats stats = row_stats<W>(row, at, team, static_cast<float>(s.C), s.rms, s.eps);
    apply_row<T, W>(s.y + n * s.C, row, at, s, stats);
    if (n < s.N && team.rank == 0) {
        if (s.mean) s.mean[n] = stats.mean + stats.delta;
        if (s.rstd) s.rstd[n] = stats.rstd;
    }
    team.finish();
}

// `threads`: of a team.
template <typename T, int W, typename Team>
__global__ void __launch_bounds__(BlockTeam::most_threads)
    norm_kept_rows(NormArgs<T> s, int threads) {
    norm_row<T, W, KeptRow<T, W, norm_chunks<W>>>(s, Team(threads));
}

// Rows too long for registers.
template <typename T, int W>
__global__ void __launch_bounds__(BlockTeam::most_threads, 1)
    norm_long_rows(NormArgs<T> s, int threads) {
    norm_row<T, W, ReadRow<T, W>>(s, BlockTeam(threads));
}

}  // namespace plainformer::cuda
