// What the passes of layer norm and RMS norm walk along: a row that a team's threads keep in their
// registers, or one that is read again at each pass.
#pragma once
#include "chunk.cuh"
#include "row_teams.cuh"

namespace plainformer::cuda {

// A team's place along a row of C elements; C is 0 for a team that has no row.
struct RowPlace {
    int64_t C;
    int size, rank;
};

// f(i, c): this thread's i-th chunk begins at column c. All of them are in flight at once.
template <int kept, int W, typename F>
__device__ __forceinline__ void for_kept_chunks(const RowPlace& at, F f) {
    const int C = static_cast<int>(at.C);
#pragma unroll
    for (int i = 0; i < kept; ++i) {
        const int c = (i * at.size + at.rank) * W;
        if (c < C) f(i, c);
    }
}

// f(c): the same for a row of any length.
template <int W, typename F>
__device__ __forceinline__ void for_chunks(const RowPlace& at, F f) {
#pragma unroll 4
    for (int64_t c = int64_t(at.rank) * W; c < at.C; c += int64_t(at.size) * W) f(c);
}

// A row (C) in registers, as it is stored: `kept` chunks a thread.
template <typename T, int W, int kept>
struct KeptRow {
    Chunk<T, W> chunks[kept];

    __device__ __forceinline__ void load(const RowPlace& at, const T* x) {
        for_kept_chunks<kept, W>(at, [&](int i, int c) { chunks[i] = load_chunk<W>(x + c); });
    }
    // f(c, chunk) for each of this thread's.
    template <typename F>
    __device__ __forceinline__ void each(const RowPlace& at, F f) const {
        for_kept_chunks<kept, W>(at, [&](int i, int c) { f(c, chunks[i]); });
    }
};

// A row (C) that stays in memory, most of it in L2.
template <typename T, int W>
struct ReadRow {
    const T* x;

    __device__ __forceinline__ void load(const RowPlace&, const T* row) { x = row; }
    template <typename F>
    __device__ __forceinline__ void each(const RowPlace& at, F f) const {
        for_chunks<W>(at, [&](int64_t c) { f(c, load_chunk<W>(x + c)); });
    }
};

// Columns c .. c + W - 1 of a weight or bias (C) of T or float32, `otherwise` where there is none.
template <int W, typename T>
__device__ __forceinline__ void load_parameter(float (&out)[W], const T* p, const float* p_acc,
                                               int64_t c, float otherwise) {
    if (p) {
        to_floats(out, load_chunk<W>(p + c));
    } else if (p_acc) {
        to_floats(out, load_chunk<W>(p_acc + c));
    } else {
#pragma unroll
        for (int j = 0; j < W; ++j) out[j] = otherwise;
    }
}

}  // namespace plainformer::cuda
