// Activations, forward and backward. Formulas: plainformer/activation.h
#pragma once
#include "activations.cuh"  // with_activation
#include "elementwise.cuh"

namespace plainformer::cuda {

// N is a multiple of W, as C is below.
template <typename T, int W>
__global__ void __launch_bounds__(elementwise_threads) activation_elements(ActivationArgs<T> s) {
    constexpr int unroll = chunks_in_flight<W, 1>;
    Chunk<T, W> x[unroll]{};
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const int64_t i = chunk_of_thread<unroll>(u) * W;
        if (i < s.N) x[u] = load_chunk<W>(s.x + i);
    }
    with_activation(s.kind, [&](auto f) {
#pragma unroll
        for (int u = 0; u < unroll; ++u)
            x[u] = make_chunk<T, W>([&](int j) { return f.value(x[u][j]); });
    });
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const int64_t i = chunk_of_thread<unroll>(u) * W;
        if (i < s.N) store_chunk(s.y + i, x[u]);
    }
}

template <typename T, int W>
__global__ void __launch_bounds__(elementwise_threads)
    activation_backward_elements(ActivationBackwardArgs<T> s) {
    constexpr int unroll = chunks_in_flight<W, 2>;
    Chunk<T, W> x[unroll]{}, dy[unroll]{};
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const int64_t i = chunk_of_thread<unroll>(u) * W;
        if (i < s.N) x[u] = load_chunk<W>(s.x + i), dy[u] = load_chunk<W>(s.dy + i);
    }
    with_activation(s.kind, [&](auto f) {
#pragma unroll
        for (int u = 0; u < unroll; ++u)
            x[u] = make_chunk<T, W>([&](int j) { return f.gradient(x[u][j], dy[u][j]); });
    });
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const int64_t i = chunk_of_thread<unroll>(u) * W;
        if (i < s.N) store_chunk(s.dx + i, x[u]);
    }
}

// y, gate, up (N, C), each row in `per_row` chunks.
template <typename T, int W>
__global__ void __launch_bounds__(elementwise_threads)
    gated_activation_rows(GatedActivationArgs<T> s, Divisor per_row) {
    constexpr int unroll = chunks_in_flight<W, 2>;
    Chunk<T, W> gate[unroll]{}, up[unroll]{};
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const RowChunk at(chunk_of_thread<unroll>(u), W, per_row);
        if (at.n >= s.N) continue;
        gate[u] = load_chunk<W>(s.gate + at.n * s.gate_stride + at.c);
        up[u] = load_chunk<W>(s.up + at.n * s.up_stride + at.c);
    }
    with_activation(s.kind, [&](auto f) {
#pragma unroll
        for (int u = 0; u < unroll; ++u)
            gate[u] = make_chunk<T, W>([&](int j) { return f.value(gate[u][j]) * up[u][j]; });
    });
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const int64_t i = chunk_of_thread<unroll>(u) * W;
        if (i < s.N * s.C) store_chunk(s.y + i, gate[u]);
    }
}

// dgate, dup, dy, gate, up (N, C)
template <typename T, int W>
__global__ void __launch_bounds__(elementwise_threads)
    gated_activation_backward_rows(GatedActivationBackwardArgs<T> s, Divisor per_row) {
    constexpr int unroll = chunks_in_flight<W, 4>;
    Chunk<T, W> gate[unroll]{}, up[unroll]{}, dy[unroll]{};
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const RowChunk at(chunk_of_thread<unroll>(u), W, per_row);
        if (at.n >= s.N) continue;
        gate[u] = load_chunk<W>(s.gate + at.n * s.gate_stride + at.c);
        up[u] = load_chunk<W>(s.up + at.n * s.up_stride + at.c);
        dy[u] = load_chunk<W>(s.dy + at.n * s.dy_stride + at.c);
    }
    with_activation(s.kind, [&](auto f) {
#pragma unroll
        for (int u = 0; u < unroll; ++u) {
            const Chunk<T, W> g = gate[u];
            gate[u] =
                make_chunk<T, W>([&](int j) { return f.gradient(g[j], dy[u][j] * up[u][j]); });
            up[u] = make_chunk<T, W>([&](int j) { return dy[u][j] * f.value(g[j]); });
        }
    });
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
        const int64_t i = chunk_of_thread<unroll>(u) * W;
        if (i < s.N * s.C) store_chunk(s.dgate + i, gate[u]), store_chunk(s.dup + i, up[u]);
    }
}

}  // namespace plainformer::cuda
