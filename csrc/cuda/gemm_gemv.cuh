// Matrix product with at most 16 rows, as in decoding. Formula: plainformer/gemm.h
//
// The time is that of reading B once, so every byte of it is loaded once, 16 bytes at a time, from
// global memory straight into registers. The warps of a block share its columns and take every
// eighth step of k; their sums are added in the order of the warps. 16-bit elements go through
// mma.sync, whose 16 rows are then all there is of A; which 16 k meet in one mma is free, and
// chosen so that each lane's are neighbours in memory.
#pragma once
#include "gemm.cuh"

namespace plainformer::cuda {

inline constexpr int gemv_rows = 16, gemv_warps = 8, gemv_threads = 32 * gemv_warps;

// The sums of every warp, added and finished by the block.
template <int COLUMNS>
struct GemvShared {
    float of_warp[gemv_warps][gemv_rows][COLUMNS];

    template <typename T>
    __device__ __forceinline__ void finish_sums(const GemmOutput<T>& out, int64_t n) {
        __syncthreads();
        for (int i = 2 * threadIdx.x; i < gemv_rows * COLUMNS; i += 2 * gemv_threads) {
            const int m = i / COLUMNS, c = i % COLUMNS;
            if (m >= out.M) break;
            float sums[2] = {};
#pragma unroll
            for (int w = 0; w < gemv_warps; ++w) {
                const float2 part = *reinterpret_cast<const float2*>(&of_warp[w][m][c]);
                sums[0] += part.x, sums[1] += part.y;
            }
            finish(out, m, n + c, sums);
        }
    }
};

// 16 bytes from `p`, or zeros.
__device__ __forceinline__ void load_chunk(uint32_t (&w)[4], const void* p, bool inside) {
    w[0] = w[1] = w[2] = w[3] = 0;
    if (inside) load_words(w, p);
}

// ---- B contiguous along k, 16-bit ---------------------------------------------------------------

// Columns of a block and k of a step of one warp and of the block.
inline constexpr int gemv_k_columns = 16, gemv_k_step = 32, gemv_k_depth = 32 * gemv_warps;

// Lane 4 g + q takes k from 8 q on of row g and g + 8 of A and of columns g and g + 8 of B: words 0
// and 1 of the four are its part of one mma, 2 and 3 of another.
template <typename T>
__global__ void __launch_bounds__(gemv_threads)
    gemv_along_k(const __grid_constant__ GemmTask<T> task) {
    auto& s = shared<GemvShared<gemv_k_columns>>();
    const GemmArgs<T>& args = task.s;
    const GemmMatrix<T> one = matrix_of(args, task.first_matrix + blockIdx.z);
    const StepRange range = steps_of_part(task, gemv_k_depth);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4;
    const int64_t n0 = int64_t{blockIdx.x} * gemv_k_columns;
    const int64_t first = range.first * gemv_k_depth + warp * gemv_k_step + lane % 4 * 8;
    const T* const A = one.A + g * args.A_row;
    const T* const B = one.B + (n0 + g) * args.B_column;
    float sums[2][4] = {};
#pragma unroll 4
    for (int t = 0; t < range.count; ++t) {
        const int64_t k = first + int64_t{t} * gemv_k_depth;
        const bool inside = k < args.K;
        uint32_t a[2][4], b[2][4];
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            load_chunk(b[h], B + 8 * h * args.B_column + k, inside && n0 + g + 8 * h < args.N);
            load_chunk(a[h], A + 8 * h * args.A_row + k, inside && g + 8 * h < args.M);
        }
#pragma unroll
        for (int i = 0; i < 4; i += 2) {
            const uint32_t rows[4] = {a[0][i], a[1][i], a[0][i + 1], a[1][i + 1]};
#pragma unroll
            for (int h = 0; h < 2; ++h) mma_m16n8k16<T>(sums[h], rows, b[h][i], b[h][i + 1]);
        }
    }
#pragma unroll
    for (int h = 0; h < 2; ++h)
#pragma unroll
        for (int i = 0; i < 4; ++i)
            s.of_warp[warp][g + i / 2 * 8][8 * h + lane % 4 * 2 + i % 2] = sums[h][i];
    s.finish_sums(part_of(task, one.out), n0);
}

// ---- B contiguous along n, 16-bit ---------------------------------------------------------------

inline constexpr int gemv_n_columns = 64, gemv_n_step = 16, gemv_n_depth = 16 * gemv_warps;

// Lane 4 g + q takes rows 4 q to 4 q + 3 of B, 8 columns from 8 g on: column 8 g + j of all g makes
// the B of mma j.
template <typename T>
__global__ void __launch_bounds__(gemv_threads)
    gemv_along_n(const __grid_constant__ GemmTask<T> task) {
    auto& s = shared<GemvShared<gemv_n_columns>>();
    const GemmArgs<T>& args = task.s;
    const GemmMatrix<T> one = matrix_of(args, task.first_matrix + blockIdx.z);
    const StepRange range = steps_of_part(task, gemv_n_depth);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, q = lane % 4;
    const int64_t n0 = int64_t{blockIdx.x} * gemv_n_columns;
    const int64_t first = range.first * gemv_n_depth + warp * gemv_n_step + q * 4;
    const T* const A = one.A + g * args.A_row;
    const T* const B = one.B + n0 + g * 8;
    const bool column_inside = n0 + g * 8 < args.N;
    float sums[8][4] = {};
#pragma unroll 2
    for (int t = 0; t < range.count; ++t) {
        const int64_t k = first + int64_t{t} * gemv_n_depth;
        uint32_t a[2][2] = {}, b[4][4];
#pragma unroll
        for (int i = 0; i < 4; ++i)
            load_chunk(b[i], B + (k + i) * args.B_row, column_inside && k + i < args.K);
#pragma unroll
        for (int h = 0; h < 2; ++h)
            if (k < args.K && g + 8 * h < args.M) load_words(a[h], A + 8 * h * args.A_row + k);
        const uint32_t rows[4] = {a[0][0], a[1][0], a[0][1], a[1][1]};
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            const int w = j / 2, shift = j % 2 * 16;
            const auto pair = [&](int i) {  // of rows i and i + 1
                return (b[i][w] >> shift & 0xffffu) | (b[i + 1][w] >> shift) << 16;
            };
            mma_m16n8k16<T>(sums[j], rows, pair(0), pair(2));
        }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i)  // row g or g + 8, columns from 8 (2 q) or 8 (2 q + 1) on
#pragma unroll
        for (int j = 0; j < 8; j += 4)
            *reinterpret_cast<float4*>(&s.of_warp[warp][g + i / 2 * 8][16 * q + i % 2 * 8 + j]) =
                make_float4(sums[j][i], sums[j + 1][i], sums[j + 2][i], sums[j + 3][i]);
    s.finish_sums(part_of(task, one.out), n0);
}

}  // namespace plainformer::cuda
