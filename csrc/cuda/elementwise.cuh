// Where a thread of an elementwise kernel works: several chunks of W elements (16 bytes; one
// element where arrays are not aligned), all loaded before any is stored, so that a multiprocessor
// has enough bytes on their way (some 40 KB hide the latency of memory at 4 TB/s) and an output may
// be an input.
#pragma once
#include "chunk.cuh"
#include "divisor.h"

namespace plainformer::cuda {

constexpr int elementwise_threads = 256;

// Chunks of each of so many arrays that a thread has in flight: 64 bytes in all, or 8 elements.
template <int W, int inputs>
inline constexpr int chunks_in_flight = (W == 1 ? 8 : 4) / inputs;

// The u-th of `unroll` chunks of this thread. Neighbouring threads have neighbouring chunks.
template <int unroll>
__device__ __forceinline__ int64_t chunk_of_thread(int u) {
    return (int64_t{blockIdx.x} * unroll + u) * elementwise_threads + threadIdx.x;
}

// A chunk of rows (N, C) that have `per_row` chunks each: its row and first column.
struct RowChunk {
    int64_t n, c;

    __device__ __forceinline__ RowChunk(int64_t chunk, int W, const Divisor& per_row) : n(chunk) {
        c = per_row.split(n) * W;
    }
};

}  // namespace plainformer::cuda
