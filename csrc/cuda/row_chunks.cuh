// Chunks of rows that begin anywhere: every second row of 50257 logits begins at an odd place. A
// chunk that lies across a 16-byte boundary is put together from the two 16 bytes around it; only
// at the ends of a row elements are moved one by one.
#pragma once
#include "chunk.cuh"

namespace plainformer::cuda {

// Elements of T between the 16-byte boundary and p.
template <typename T>
__device__ __forceinline__ int beyond_boundary(const T* p) {
    return static_cast<int>(reinterpret_cast<uintptr_t>(p) % 16 / sizeof(T));
}

// 16 bytes out of 32, from element `first` on.
template <typename T>
__device__ __forceinline__ Chunk<T, vector_width<T>> middle_of(
    const Chunk<T, vector_width<T>>& low, const Chunk<T, vector_width<T>>& high, int first) {
    const int bytes = first * static_cast<int>(sizeof(T));
    uint32_t words[8];
#pragma unroll
    for (int j = 0; j < 4; ++j) words[j] = low.words[j], words[4 + j] = high.words[j];
    // By 2 words and by 1: registers have no addresses.
#pragma unroll
    for (int j = 0; j < 6; ++j) words[j] = bytes & 8 ? words[j + 2] : words[j];
#pragma unroll
    for (int j = 0; j < 5; ++j) words[j] = bytes & 4 ? words[j + 1] : words[j];
    Chunk<T, vector_width<T>> middle;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const uint64_t both = uint64_t{words[j + 1]} << 32 | words[j];
        middle.words[j] = static_cast<uint32_t>(both >> bytes % 4 * 8);
    }
    return middle;
}

// Whether both 16 bytes around the chunk from `begin` are inside of row x (n).
template <typename T>
__device__ __forceinline__ bool is_amid(const T* x, int64_t begin, int64_t n) {
    const int64_t boundary = begin - beyond_boundary(x + begin);
    return boundary >= 0 && boundary + 2 * vector_width<T> <= n;
}

// That chunk.
template <int W, typename T>
__device__ __forceinline__ Chunk<T, W> load_amid(const T* x, int64_t begin) {
    const int beyond = beyond_boundary(x + begin);
    const T* boundary = x + begin - beyond;
    if (beyond == 0) return load_chunk<W>(boundary);
    return middle_of<T>(load_chunk<W>(boundary), load_chunk<W>(boundary + W), beyond);
}

// The elements begin .. begin + W - 1 of row x (n), `fill` where the row has none.
template <int W, typename T>
__device__ __forceinline__ Chunk<T, W> load_elements(const T* x, int64_t begin, int64_t n, T fill) {
    Chunk<T, W> chunk;
#pragma unroll
    for (int j = 0; j < W; ++j) chunk.put(j, begin + j >= 0 && begin + j < n ? x[begin + j] : fill);
    return chunk;
}

// Whether a chunk of W elements of row x (n) can be moved as such.
template <int W, typename T>
__device__ __forceinline__ bool is_chunk(const T* x, int64_t begin, int64_t n) {
    return begin >= 0 && begin + W <= n && beyond_boundary(x + begin) == 0;
}

template <int W, typename T>
__device__ __forceinline__ Chunk<T, W> load_part(const T* x, int64_t begin, int64_t n, T fill) {
    if (is_chunk<W>(x, begin, n)) return load_chunk<W>(x + begin);
    return load_elements<W>(x, begin, n, fill);
}

template <typename T, int W>
__device__ __forceinline__ void store_part(T* y, int64_t begin, int64_t n,
                                           const Chunk<T, W>& chunk) {
    if (is_chunk<W>(y, begin, n)) return store_chunk(y + begin, chunk);
#pragma unroll
    for (int j = 0; j < W; ++j)
        if (begin + j >= 0 && begin + j < n) y[begin + j] = chunk.get(j);
}

// The same where neighbouring threads of a team of `size`, and all lanes of a warp, store
// neighbouring chunks of a row: each thread stores the 16 bytes up to a boundary within its chunk,
// which begin in the chunk before; single elements are left to both ends of a warp.
template <typename T, int W>
__device__ __forceinline__ void store_neighbours(T* y, int64_t begin, int64_t n,
                                                 const Chunk<T, W>& chunk, int rank, int size) {
    const int beyond = beyond_boundary(y + begin), own = W - beyond;  // elements up to the boundary
    Chunk<T, W> before;
#pragma unroll
    for (int j = 0; j < 4; ++j) before.words[j] = __shfl_up_sync(full_warp, chunk.words[j], 1);
    // The last elements are the next thread's to store where that one can store 16 bytes.
    const bool joins = lane_id() > 0 && rank > 0 && begin + own <= n;
    const bool next_joins = lane_id() < warp_size - 1 && rank + 1 < size && begin + W + own <= n;
    if (beyond == 0 && begin + W <= n) return store_chunk(y + begin, chunk);
    if (joins && beyond > 0) store_chunk(y + begin - beyond, middle_of<T>(before, chunk, own));
#pragma unroll
    for (int j = 0; j < W; ++j) {
        const bool stored = beyond > 0 && (j < own ? joins : next_joins);
        if (!stored && begin + j < n) y[begin + j] = chunk.get(j);
    }
}

}  // namespace plainformer::cuda
