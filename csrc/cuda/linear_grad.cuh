// The elementwise half of a linear layer's backward. Formula: plainformer/gemm.h
//
// One pass: grad_z is written while its columns are summed. A block has a strip of columns and some
// rows; its warps take rows in turn and join their sums, which column_sums.cuh adds block by block.
#pragma once
#include "activations.cuh"
#include "chunk.cuh"
#include "plainformer/gemm.h"

namespace plainformer::cuda {

constexpr int linear_grad_warps = 8;

// Floats of a strip of 32 chunks of W columns.
template <int W>
struct LinearGradShared {
    float sums[linear_grad_warps][W][warp_size];
};

// Rows of a warp that are in flight at once.
constexpr int linear_grad_rows_at_once = 4;

// Columns n .. n + W - 1 of up to four rows, `linear_grad_warps` apart: grad_z, added to the sums.
template <int W, typename F, typename T>
__device__ __forceinline__ void take_rows(F f, const LinearGradArgs<T>& s, int64_t m, int64_t end,
                                          int64_t n, float (&sums)[W]) {
    Chunk<T, W> grad_y[linear_grad_rows_at_once] = {}, z[linear_grad_rows_at_once] = {};
#pragma unroll
    for (int i = 0; i < linear_grad_rows_at_once; ++i) {
        const int64_t row = m + i * linear_grad_warps;
        if (row >= end) continue;
        grad_y[i] = load_chunk<W>(s.grad_y + row * s.grad_y_row + n);
        if (s.grad_z) z[i] = load_chunk<W>(s.z + row * s.N + n);
    }
#pragma unroll
    for (int i = 0; i < linear_grad_rows_at_once; ++i) {
        const int64_t row = m + i * linear_grad_warps;
        if (row >= end) continue;
        float grad[W];
        to_floats(grad, grad_y[i]);
        if (s.grad_z) {
#pragma unroll
            for (int j = 0; j < W; ++j) grad[j] = f.gradient(z[i][j], grad[j]);
            store_chunk(s.grad_z + row * s.N + n, to_chunk<T>(grad));
        }
#pragma unroll
        for (int j = 0; j < W; ++j) sums[j] += grad[j];
    }
}

// The warps' sums in order; the first warp writes them to part (N).
template <int W>
__device__ __forceinline__ void leave_column_sums(const float (&sums)[W], float* part, int64_t n,
                                                  int64_t N) {
    auto& s = shared<LinearGradShared<W>>();
#pragma unroll
    for (int j = 0; j < W; ++j) s.sums[warp_id()][j][lane_id()] = sums[j];
    __syncthreads();
    if (warp_id() > 0 || n >= N) return;
#pragma unroll
    for (int j = 0; j < W; ++j) {
        float total = sums[j];
        for (int warp = 1; warp < linear_grad_warps; ++warp) total += s.sums[warp][j][lane_id()];
        part[n + j] = total;
    }
}

// Rows [blockIdx.y rows, + rows), columns of strip blockIdx.x. parts: (gridDim.y, N) or null.
template <typename T, int W>
__global__ void __launch_bounds__(linear_grad_warps* warp_size, 2)
    linear_grad_rows(LinearGradArgs<T> s, float* parts, int64_t rows) {
    const int64_t n = (int64_t{blockIdx.x} * warp_size + lane_id()) * W;
    const int64_t begin = blockIdx.y * rows, end = begin + rows < s.M ? begin + rows : s.M;
    float sums[W] = {};
    if (n < s.N)
        with_activation(s.activation, [&](auto f) {
            constexpr int step = linear_grad_warps * linear_grad_rows_at_once;
            for (int64_t m = begin + warp_id(); m < end; m += step)
                take_rows<W>(f, s, m, end, n, sums);
        });
    if (parts) leave_column_sums<W>(sums, parts + blockIdx.y * s.N, n, s.N);
}

}  // namespace plainformer::cuda
