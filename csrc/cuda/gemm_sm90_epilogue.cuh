// From accumulators to memory: bias, activation and the ways out. See gemm_sm90.cuh
//
// A consumer finishes its sums in chunks of 64 x 64. Rounded results go through shared memory and
// out by TMA, which writes whole lines and minds the edges. What TMA cannot address (rows that are
// no multiple of 16 bytes) and float32 sums go straight from registers, two columns at a time.
#pragma once
#include "gemm_sm90_mainloop.cuh"

namespace plainformer::cuda {

inline constexpr int chunk = 64;       // rows and columns
inline constexpr int chunk_sums = 32;  // of a thread

// Moves the next chunk's sums to the front, so that the code of a chunk exists once, not four
// times: 96 moves a chunk, against 128 activations unrolled six times.
template <class Shape>
__device__ __forceinline__ void rotate(Sums<Shape>& sums) {
#pragma unroll
    for (int i = 0; i + chunk_sums < Sums<Shape>::count; ++i) sums.d[i] = sums.d[i + chunk_sums];
}

// A consumer's two staging tiles: while TMA reads one the other is written.
struct Staging {
    uint32_t first;  // the other is panel_bytes behind it
    int barrier;     // of the consumer's warpgroup
    bool leads;      // the thread that issues the stores
    int next = 0;
};

// What became of a tile's sums, and where it goes.
template <typename T>
struct TileOutput {
    GemmOutput<T> to;
    bool by_tma;
    const TensorMap *map_c, *map_z;
    int m, n, matrix;
};

// ---- ways out -----------------------------------------------------------------------------------

template <typename T>
__device__ __forceinline__ void store_by_tma(const TensorMap& map, const float (&v)[chunk_sums],
                                             int m, int n, int matrix, Staging& staging) {
    const uint32_t tile = staging.first + staging.next * panel_bytes;
#pragma unroll
    for (int slice = 0; slice < slices; ++slice) store_accumulators<T>(tile, v, slice);
    fence_proxy_async();
    if (staging.leads) tma_store_wait<0>();  // the other tile is read, free behind this barrier
    barrier_sync(staging.barrier, warpgroup_threads);
    if (staging.leads) {
        tma_store_3d(map, tile, n, m, matrix);
        tma_store_commit();
    }
    staging.next ^= 1;
}

// To C or C_acc of `to`, without anything else.
template <typename T>
__device__ __forceinline__ void store_directly(const GemmOutput<T>& to,
                                               const float (&v)[chunk_sums], int m, int n) {
#pragma unroll
    for (int i = 0; i < chunk_sums; i += 2) {
        const float pair[2] = {v[i], v[i + 1]};
        finish(to, m + accumulator_row(i), n + accumulator_column(i), pair);
    }
}

template <typename T>
__device__ __forceinline__ void store_sums(const GemmOutput<T>& out, const float (&v)[chunk_sums],
                                           int m, int n) {
    GemmOutput<T> to;
    to.M = out.M, to.N = out.N, to.C_row = out.C_row;
    to.C_acc = out.C_acc, to.accumulate = out.accumulate, to.aligned = out.aligned;
    store_directly(to, v, m, n);
}

// Rounds v and writes it to `matrix`, which is C or the preactivation.
template <typename T>
__device__ __forceinline__ void store_rounded(T* matrix, const TensorMap* map,
                                              const TileOutput<T>& out,
                                              const float (&v)[chunk_sums], int m, int n,
                                              Staging& staging) {
    if (out.by_tma) return store_by_tma<T>(*map, v, m, n, out.matrix, staging);
    GemmOutput<T> to;
    to.M = out.to.M, to.N = out.to.N, to.C_row = out.to.C_row;
    to.C = matrix, to.aligned = out.to.aligned;
    store_directly(to, v, m, n);
}

// ---- a chunk ------------------------------------------------------------------------------------

// Sums i and i + 2 stand in the same column.
template <typename T>
__device__ __forceinline__ void add_bias(float (&v)[chunk_sums], const GemmOutput<T>& to, int n) {
#pragma unroll
    for (int i = 0; i < chunk_sums; i += 4) {
        const int column = n + accumulator_column(i);
        float bias[2] = {};
        if (to.aligned && column < to.N) {
            load_columns(bias, to.bias + column);
        } else {
            if (column < to.N) bias[0] = to_float(to.bias[column]);
            if (column + 1 < to.N) bias[1] = to_float(to.bias[column + 1]);
        }
        v[i] += bias[0], v[i + 1] += bias[1];
        v[i + 2] += bias[0], v[i + 3] += bias[1];
    }
}

__device__ __forceinline__ void activate(float (&v)[chunk_sums], Activation kind) {
    with_activation(kind, [&](auto f) {
#pragma unroll
        for (int i = 0; i < chunk_sums; ++i) v[i] = f.value(v[i]);
    });
}

// The statistics of a chunk's rows; four lanes have a row.
template <typename T>
__device__ __forceinline__ void leave_chunk_statistics(const GemmOutput<T>& to,
                                                       const float (&v)[chunk_sums], int m, int n) {
    static_assert(chunk == statistics_columns);
#pragma unroll
    for (int h = 0; h < 4; h += 2) {  // rows g and g + 8 of the fragments
        float value[chunk_sums / 2];
#pragma unroll
        for (int i = 0; i < chunk_sums / 2; ++i) {
            const int from = i / 2 * 4 + h + i % 2, column = n + accumulator_column(from);
            const bool inside = column < to.N;
            value[i] = inside ? v[from] : -INFINITY;
            if (to.bias && inside) value[i] += to_float(to.bias[column]);
        }
        const float4 of_row = statistics_of<4>(value);
        const int64_t row = m + accumulator_row(h);
        if (threadIdx.x % 4 == 0 && row < to.M)
            to.statistics[row * statistics_across(to.N) + n / statistics_columns] = of_row;
    }
}

// Rounded results and at most a bias, by TMA.
template <typename T>
__device__ __forceinline__ void finish_plain_chunk(const TileOutput<T>& out, float (&v)[chunk_sums],
                                                   int m, int n, Staging& staging) {
    if (out.to.bias) add_bias(v, out.to, n);
    store_by_tma<T>(*out.map_c, v, m, n, out.matrix, staging);
}

// Whatever there is.
template <typename T>
__device__ __forceinline__ void finish_chunk(const TileOutput<T>& out, float (&v)[chunk_sums],
                                             int m, int n, Staging& staging) {
    if (out.to.statistics) leave_chunk_statistics(out.to, v, m, n);
    if (out.to.C_acc) return store_sums(out.to, v, m, n);
    if (!out.to.C) return;
    if (out.to.bias) add_bias(v, out.to, n);
#pragma unroll 1
    for (int last = out.to.preactivation ? 0 : 1; last < 2; ++last) {
        if (last) activate(v, out.to.activation);
        store_rounded(last ? out.to.C : out.to.preactivation, last ? out.map_c : out.map_z, out, v,
                      m, n, staging);
    }
}

// ---- a tile -------------------------------------------------------------------------------------

// Chunk `c`, whose sums begin at `from`. One beyond the edges is left out; the branch is the same
// for the whole warpgroup, which meets at the staging barrier.
template <bool plain, class Shape, typename T>
__device__ __forceinline__ void finish_chunk_of(const TileOutput<T>& out, Sums<Shape>& sums, int c,
                                                int from, Staging& staging) {
    constexpr int across = Shape::N / chunk;
    const int m = out.m + c / across * chunk, n = out.n + c % across * chunk;
    if (m >= out.to.M || n >= out.to.N) return;
    float v[chunk_sums];
#pragma unroll
    for (int i = 0; i < chunk_sums; ++i) v[i] = sums.d[from + i];
    if constexpr (plain)
        finish_plain_chunk(out, v, m, n, staging);
    else
        finish_chunk(out, v, m, n, staging);
}

template <class Shape, typename T>
__device__ __forceinline__ void finish_sums(const TileOutput<T>& out, Sums<Shape>& sums,
                                            Staging& staging) {
    constexpr int chunks = Sums<Shape>::count / chunk_sums;
    const bool plain = out.to.activation == Activation::none && !out.to.preactivation;
    if (out.by_tma && plain) {
#pragma unroll
        for (int c = 0; c < chunks; ++c)
            finish_chunk_of<true>(out, sums, c, c * chunk_sums, staging);
    } else {
#pragma unroll 1
        for (int c = 0; c < chunks; ++c) {
            finish_chunk_of<false>(out, sums, c, 0, staging);
            rotate(sums);
        }
    }
}

}  // namespace plainformer::cuda
