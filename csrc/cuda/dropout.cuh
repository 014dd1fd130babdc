// Dropout. Formula and shapes: plainformer/dropout.h
//
// A thread has the 8 columns that one Philox call decides on. The call is the kernel's arithmetic:
// some 8 instructions an element, a third of what memory leaves time for.
#pragma once
#include "elementwise.cuh"
#include "plainformer/dropout.h"

namespace plainformer::cuda {

constexpr int dropout_columns = 8;

// Groups of columns that a thread has in flight.
template <typename T>
inline constexpr int dropout_groups = 64 / (dropout_columns * static_cast<int>(sizeof(T)));

// The values of column 8 k + j in the words of call k.
__device__ __forceinline__ bool is_kept(const philox::Words& words, int j, uint32_t threshold) {
    return (words.w[j / 2] >> (j % 2 * 16) & 0xffff) >= threshold;
}

// Columns of a group that the row (C) has, in pieces of W: all of them where C is a multiple of 8.
template <typename T, int W>
struct ColumnGroup {
    static constexpr int pieces = dropout_columns / W;
    Chunk<T, W> piece[pieces];

    __device__ __forceinline__ void load(const T* x, int64_t c, int64_t C) {
#pragma unroll
        for (int i = 0; i < pieces; ++i)
            if (c + i * W < C) piece[i] = load_chunk<W>(x + c + i * W);
    }
    __device__ __forceinline__ void drop(const philox::Words& words, uint32_t threshold,
                                         float scale) {
#pragma unroll
        for (int i = 0; i < pieces; ++i)
            piece[i] = make_chunk<T, W>([&](int j) {
                return is_kept(words, i * W + j, threshold) ? piece[i][j] * scale : 0.0f;
            });
    }
    __device__ __forceinline__ void store(T* y, int64_t c, int64_t C) const {
#pragma unroll
        for (int i = 0; i < pieces; ++i)
            if (c + i * W < C) store_chunk(y + c + i * W, piece[i]);
    }
};

// y, x (N, C), each row in `per_row` groups; C is a multiple of W. Row n of the counter is its low
// 32 bits; its high bits stand where attention counts heads.
template <typename T, int W>
__global__ void __launch_bounds__(elementwise_threads)
    dropout_rows(DropoutArgs<T> s, float scale, Divisor per_row) {
    constexpr int unroll = dropout_groups<T>;
    ColumnGroup<T, W> group[unroll]{};
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const RowChunk at(chunk_of_thread<unroll>(u), dropout_columns, per_row);
        if (at.n < s.N) group[u].load(s.x + at.n * s.x_stride, at.c, s.C);
    }
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const RowChunk at(chunk_of_thread<unroll>(u), dropout_columns, per_row);
        const auto call = static_cast<uint32_t>(at.c / dropout_columns);
        const auto row = static_cast<uint32_t>(at.n), head = static_cast<uint32_t>(at.n >> 32);
        group[u].drop(philox::generate(s.rule.seed, {{call, row, head, s.rule.offset}}),
                      s.rule.threshold, scale);
        if (at.n < s.N) group[u].store(s.y + at.n * s.C, at.c, s.C);
    }
}

}  // namespace plainformer::cuda
