// Elementwise sums. Formula and shapes: plainformer/add.h
#pragma once
#include "elementwise.cuh"
#include "plainformer/add.h"

namespace plainformer::cuda {

// N is a multiple of W.
template <typename T, int W>
__global__ void __launch_bounds__(elementwise_threads) add_elements(AddArgs<T> s) {
    constexpr int unroll = chunks_in_flight<W, 2>;
    Chunk<T, W> a[unroll], b[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const int64_t i = chunk_of_thread<unroll>(u) * W;
        if (i < s.N) a[u] = load_chunk<W>(s.a + i), b[u] = load_chunk<W>(s.b + i);
    }
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const int64_t i = chunk_of_thread<unroll>(u) * W;
        if (i < s.N)
            store_chunk(s.y + i, make_chunk<T, W>([&](int j) { return a[u][j] + b[u][j]; }));
    }
}

template <typename T, int W>
__global__ void __launch_bounds__(elementwise_threads) accumulate_elements(AccumulateArgs<T> s) {
    constexpr int unroll = chunks_in_flight<W, 2>;
    Chunk<T, W> x[unroll];
    Chunk<float, W> out[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const int64_t i = chunk_of_thread<unroll>(u) * W;
        if (i < s.N) x[u] = load_chunk<W>(s.x + i), out[u] = load_chunk<W>(s.out + i);
    }
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const int64_t i = chunk_of_thread<unroll>(u) * W;
        if (i < s.N)
            store_chunk(s.out + i,
                        make_chunk<float, W>([&](int j) { return out[u][j] + x[u][j]; }));
    }
}

}  // namespace plainformer::cuda
