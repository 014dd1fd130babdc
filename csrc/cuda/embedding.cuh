// Embedding lookup and its gradient. Formula and shapes: plainformer/embedding.h
//
// A warp has a stretch of one row, four 16-byte chunks a lane. In the backward the rows of an id
// are added in their order, as on the CPU. An id that comes often (a comma, padding) would keep one
// warp waiting for one row after another; it has a block for each few columns instead, which
// fetches many rows at once.
#pragma once
#include "checks/values.h"  // is_id
#include "divisor.h"
#include "group_by_id.h"
#include "plainformer/embedding.h"
#include "row_chunks.cuh"

namespace plainformer::cuda {

constexpr int embedding_threads = 128, embedding_chunks = 4;

// Chunks of a warp's stretch.
constexpr int embedding_stretch = embedding_chunks * warp_size;

// The stretch of a row that this thread's warp has, and the lane's first element in it.
template <typename T>
struct Stretch {
    int64_t row, first;
    bool is_first;

    __device__ __forceinline__ explicit Stretch(const Divisor& per_row) {
        row = int64_t{blockIdx.x} * (embedding_threads / warp_size) + warp_id();
        const int64_t stretch = per_row.split(row);
        is_first = stretch == 0;
        first = (stretch * embedding_stretch + lane_id()) * vector_width<T>;
    }
    __device__ __forceinline__ int64_t begin(int u) const {
        return first + u * warp_size * vector_width<T>;
    }
};

// y (N, C) = weight[ids]. An id that is no row is reported and gives zeros.
template <typename T>
__global__ void __launch_bounds__(embedding_threads)
    embedding_rows(EmbeddingArgs<T> s, Divisor stretches, ErrorRecord* errors) {
    constexpr int W = vector_width<T>;
    const Stretch<T> at(stretches);
    if (at.row >= s.N) return;
    const int64_t id = s.ids[at.row];
    const bool known = is_id(id, s.V);
    if (!known && at.is_first && lane_id() == 0) report(errors, Argument::ids, at.row, id, s.V);
    const T* row = s.weight + (known ? id : 0) * s.weight_stride;

    Chunk<T, W> chunks[embedding_chunks];
#pragma unroll
    for (int u = 0; u < embedding_chunks; ++u)
        chunks[u] = load_part<W>(row, at.begin(u), known ? s.C : 0, T{});
#pragma unroll
    for (int u = 0; u < embedding_chunks; ++u)
        store_part(s.y + at.row * s.C, at.begin(u), s.C, chunks[u]);
}

// Ids with so many rows have blocks of their own.
constexpr int64_t many_rows = 128;

// sum (W) += chunk
template <typename T, int W>
__device__ __forceinline__ void add_chunk(float (&sum)[W], const Chunk<T, W>& chunk) {
#pragma unroll
    for (int j = 0; j < W; ++j) sum[j] += chunk[j];
}

// out (V, C), each row that of an id with less than many_rows.
template <typename T, typename Out>
__global__ void __launch_bounds__(embedding_threads, 8)
    sum_few_rows(Out* out, EmbeddingBackwardArgs<T> s, IdGroups groups, Divisor stretches) {
    constexpr int W = vector_width<T>;
    const Stretch<T> at(stretches);
    if (at.row >= s.V) return;
    const int64_t begin = groups.first[at.row], end = groups.first[at.row + 1];
    if (end - begin >= many_rows || (s.accumulate && begin == end)) return;
    Out* row = out + at.row * s.C;

    float sum[embedding_chunks][W]{};
    if (s.accumulate)
#pragma unroll
        for (int u = 0; u < embedding_chunks; ++u)
            add_chunk(sum[u], load_part<W>(row, at.begin(u), s.C, Out{}));
#pragma unroll 1  // four loads are in flight; two rows would take 104 registers
    for (int64_t i = begin; i < end; ++i) {
        const T* dy_n = s.dy + groups.order[i] * s.dy_stride;
#pragma unroll
        for (int u = 0; u < embedding_chunks; ++u)
            add_chunk(sum[u], load_part<W>(dy_n, at.begin(u), s.C, T{}));
    }
#pragma unroll
    for (int u = 0; u < embedding_chunks; ++u)
        store_part(row, at.begin(u), s.C, to_chunk<Out>(sum[u]));
}

// A tile of rows and columns: rows follow the order of the id, columns are 8 chunks.
constexpr int tile_threads = 256, tile_rows = 128, tile_chunks = 8;
constexpr int tile_loads = tile_rows * tile_chunks / tile_threads;

template <typename T>
struct RowTiles {
    static constexpr int columns = tile_chunks * vector_width<T>;
    alignas(16) T tile[2][tile_rows][columns];
};

// The chunk of a tile that is this thread's u-th.
__device__ __forceinline__ int tile_row(int u) {
    return (static_cast<int>(threadIdx.x) + u * tile_threads) / tile_chunks;
}
__device__ __forceinline__ int tile_chunk() { return static_cast<int>(threadIdx.x) % tile_chunks; }

// This thread's part of the tile whose rows are order[i], .., those before `end`.
template <typename T, int W>
__device__ __forceinline__ void load_tile(Chunk<T, W> (&part)[tile_loads],
                                          const EmbeddingBackwardArgs<T>& s, const int64_t* order,
                                          int64_t i, int64_t end, int64_t column) {
#pragma unroll
    for (int u = 0; u < tile_loads; ++u) {
        const bool exists = i + tile_row(u) < end;
        const T* dy_n = s.dy + (exists ? order[i + tile_row(u)] : 0) * s.dy_stride;
        part[u] = load_part<W>(dy_n, column + tile_chunk() * W, exists ? s.C : 0, T{});
    }
}

// Whether the group of the key at i is one of many rows, and i the block's to begin it: the first
// multiple of many_rows / 2 in it, which a group of that size has.
__device__ __forceinline__ bool begins_many(const IdGroups& groups, int64_t i, int64_t V) {
    const int64_t v = groups.keys[i];
    if (v == V) return false;
    const int64_t begin = groups.first[v];
    return groups.first[v + 1] - begin >= many_rows && i - begin < many_rows / 2;
}

// out (V, C), each row that of an id with many_rows or more; a row has `slices` of columns.
template <typename T, typename Out>
__global__ void __launch_bounds__(tile_threads)
    sum_many_rows(Out* out, EmbeddingBackwardArgs<T> s, IdGroups groups, Divisor slices) {
    constexpr int W = vector_width<T>;
    auto& tiles = shared<RowTiles<T>>();
    int64_t first = blockIdx.x;
    const int64_t column = slices.split(first) * RowTiles<T>::columns;
    first *= many_rows / 2;
    if (!begins_many(groups, first, s.V)) return;  // the whole block
    const int64_t v = groups.keys[first], begin = groups.first[v], end = groups.first[v + 1];
    const int own = static_cast<int>(threadIdx.x);  // column of this thread, if it has one
    const bool sums = own < RowTiles<T>::columns && column + own < s.C;
    Out* place = out + v * s.C + column + own;
    float sum = sums && s.accumulate ? to_float(*place) : 0.0f;

    Chunk<T, W> part[tile_loads];
    load_tile(part, s, groups.order, begin, end, column);
    for (int64_t i = begin, turn = 0; i < end; i += tile_rows, turn ^= 1) {
        auto& tile = tiles.tile[turn];
#pragma unroll
        for (int u = 0; u < tile_loads; ++u)
            store_chunk(&tile[tile_row(u)][tile_chunk() * W], part[u]);
        load_tile(part, s, groups.order, i + tile_rows, end, column);
        __syncthreads();  // the other tile is written again only behind the next barrier
        const int rows = static_cast<int>(end - i < tile_rows ? end - i : tile_rows);
        if (sums)
#pragma unroll 8
            for (int r = 0; r < rows; ++r) sum += to_float(tile[r][own]);
    }
    if (sums) *place = from_float<Out>(sum);
}

}  // namespace plainformer::cuda
