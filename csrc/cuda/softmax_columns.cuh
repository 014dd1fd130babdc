// softmax and log_softmax along an axis that is not the last, forward and backward: of N matrices
// (L, M), each column by itself. Formulas and shapes: plainformer/softmax.h
//
// A block has a few neighbouring columns, 128 bytes of each row, and many threads along L. Columns
// of no more than kept_rows a thread stay in registers between the passes; longer ones are read
// twice.
#pragma once
#include "chunk.cuh"
#include "divisor.h"
#include "log_sum_exp.cuh"
#include "plainformer/softmax.h"
#include "softmax_values.cuh"

namespace plainformer::cuda {

constexpr int column_threads = 256, column_warps = column_threads / warp_size, kept_rows = 4;

// W columns a thread, 16 bytes or one; `lanes` threads side by side. A warp has several rows.
template <typename T, int W>
struct ColumnBlock {
    static constexpr int lanes = W == 1 ? warp_size : 8, columns = lanes * W;
    static constexpr int rows = column_threads / lanes;  // in hand at a time

    int64_t n, column;
    int lane, row;

    __device__ __forceinline__ explicit ColumnBlock(const Divisor& blocks)
        : n(blockIdx.x),
          lane(static_cast<int>(threadIdx.x) % lanes),
          row(static_cast<int>(threadIdx.x) / lanes) {
        column = blocks.split(n) * columns + lane * W;
    }
};

struct ColumnShared {
    LogSumExp of_warp[column_warps][64], total[64];
};

// The sums of each of the block's columns, for all of its threads: first over the rows of a warp,
// then over warps in order.
template <typename T, int W>
__device__ __forceinline__ void combine_columns(LogSumExp (&sums)[W], const ColumnBlock<T, W>& at) {
    using Block = ColumnBlock<T, W>;
    static_assert(Block::columns <= 64);
    auto& s = shared<ColumnShared>();
#pragma unroll
    for (int distance = Block::lanes; distance < warp_size; distance *= 2)
#pragma unroll
        for (int j = 0; j < W; ++j)
            sums[j].merge({__shfl_xor_sync(full_warp, sums[j].largest, distance),
                           __shfl_xor_sync(full_warp, sums[j].sum, distance)});
    if (lane_id() < Block::lanes)
#pragma unroll
        for (int j = 0; j < W; ++j) s.of_warp[warp_id()][at.lane * W + j] = sums[j];
    __syncthreads();
    if (threadIdx.x < Block::columns) {
        LogSumExp total = s.of_warp[0][threadIdx.x];
        for (int w = 1; w < column_warps; ++w) total.merge(s.of_warp[w][threadIdx.x]);
        s.total[threadIdx.x] = total;
    }
    __syncthreads();
#pragma unroll
    for (int j = 0; j < W; ++j) sums[j] = s.total[at.lane * W + j];
}

// A thread's W columns in the rows first, first + rows, .. of a matrix (L, M).
template <typename T, int W>
struct ColumnPart {
    Chunk<T, W> chunks[kept_rows];

    __device__ __forceinline__ void load(const T* x, int64_t first, int64_t L, int64_t M,
                                         const ColumnBlock<T, W>& at, float fill) {
        float none[W];
#pragma unroll
        for (int j = 0; j < W; ++j) none[j] = fill;
#pragma unroll
        for (int u = 0; u < kept_rows; ++u) {
            const int64_t l = first + u * at.rows + at.row;
            const bool exists = l < L && at.column < M;
            chunks[u] = exists ? load_chunk<W>(x + l * M + at.column) : to_chunk<T>(none);
        }
    }
    // y = f(u) for those that exist.
    template <typename F>
    __device__ __forceinline__ void store(T* y, int64_t first, int64_t L, int64_t M,
                                          const ColumnBlock<T, W>& at, F f) const {
#pragma unroll
        for (int u = 0; u < kept_rows; ++u) {
            const int64_t l = first + u * at.rows + at.row;
            if (l < L && at.column < M) store_chunk(y + l * M + at.column, f(u));
        }
    }
};

// A matrix has `blocks` blocks of columns; M is a multiple of W.
template <typename T, int W>
__global__ void __launch_bounds__(column_threads)
    softmax_columns(SoftmaxArgs<T> s, Divisor blocks) {
    const ColumnBlock<T, W> at(blocks);
    const T* x = s.x + at.n * s.x_stride;
    const int64_t step = int64_t{kept_rows} * at.rows;
    ColumnPart<T, W> part;
    LogSumExp sums[W];
    for (int64_t first = 0; first < s.L; first += step) {
        part.load(x, first, s.L, s.M, at, -INFINITY);
#pragma unroll
        for (int j = 0; j < W; ++j) {
            float column[kept_rows];
#pragma unroll
            for (int u = 0; u < kept_rows; ++u) column[u] = part.chunks[u][j];
            sums[j].add(column);
        }
    }
    combine_columns(sums, at);
    float last[W];
#pragma unroll
    for (int j = 0; j < W; ++j) last[j] = s.log ? logf(sums[j].sum) : __fdividef(1.0f, sums[j].sum);
    for (int64_t first = 0; first < s.L; first += step) {
        if (s.L > step) part.load(x, first, s.L, s.M, at, 0.0f);
        part.store(s.y + at.n * s.L * s.M, first, s.L, s.M, at, [&](int u) {
            float y[W];
#pragma unroll
            for (int j = 0; j < W; ++j)
                y[j] = softmax_value(part.chunks[u][j] - sums[j].largest, last[j], s.log);
            return to_chunk<T>(y);
        });
    }
}

template <typename T, int W>
__global__ void __launch_bounds__(column_threads)
    softmax_backward_columns(SoftmaxBackwardArgs<T> s, Divisor blocks) {
    const ColumnBlock<T, W> at(blocks);
    const T *dy_n = s.dy + at.n * s.dy_stride, *y_n = s.y + at.n * s.y_stride;
    const int64_t step = int64_t{kept_rows} * at.rows;
    ColumnPart<T, W> dy, y;
    LogSumExp sums[W];  // plain sums: with one maximum for all, none is rescaled
#pragma unroll
    for (int j = 0; j < W; ++j) sums[j].largest = 0;
    for (int64_t first = 0; first < s.L; first += step) {
        dy.load(dy_n, first, s.L, s.M, at, 0.0f);
        y.load(y_n, first, s.L, s.M, at, 0.0f);
#pragma unroll
        for (int u = 0; u < kept_rows; ++u)
#pragma unroll
            for (int j = 0; j < W; ++j)
                sums[j].sum += softmax_share(dy.chunks[u][j], y.chunks[u][j], s.log);
    }
    combine_columns(sums, at);
    for (int64_t first = 0; first < s.L; first += step) {
        if (s.L > step) dy.load(dy_n, first, s.L, s.M, at, 0.0f);
        if (s.L > step) y.load(y_n, first, s.L, s.M, at, 0.0f);
        y.store(s.dx + at.n * s.L * s.M, first, s.L, s.M, at, [&](int u) {
            float dx[W];
#pragma unroll
            for (int j = 0; j < W; ++j)
                dx[j] = softmax_gradient(dy.chunks[u][j], y.chunks[u][j], sums[j].sum, s.log);
            return to_chunk<T>(dx);
        });
    }
}

}  // namespace plainformer::cuda
