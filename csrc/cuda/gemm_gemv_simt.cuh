// Matrix product in float32 with at most 16 rows, on the CUDA cores. As gemm_gemv.cuh: B is read
// once by 16-byte loads, and the warps of a block share its columns and take every eighth step of
// k.
#pragma once
#include "gemm_gemv.cuh"

namespace plainformer::cuda {

__device__ __forceinline__ float4 load_quad(const float* p, bool inside) {
    return inside ? *reinterpret_cast<const float4*>(p) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
}

// Rows of A that a kernel is built for: with few the registers of 16 would be idle.
inline constexpr int gemv_few_rows = 4;

// ---- B contiguous along k -----------------------------------------------------------------------

// Eight lanes take 32 k of one column after another: lane 8 g + q k from 4 q on of columns g + 4 j.
template <int ROWS>
__global__ void __launch_bounds__(gemv_threads, 2)
    gemv_simt_along_k(const __grid_constant__ GemmTask<float> task) {
    auto& s = shared<GemvShared<gemv_k_columns>>();
    const GemmArgs<float>& args = task.s;
    const GemmMatrix<float> one = matrix_of(args, task.first_matrix + blockIdx.z);
    const StepRange range = steps_of_part(task, gemv_k_depth);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 8;
    const int64_t n0 = int64_t{blockIdx.x} * gemv_k_columns;
    const int64_t first = range.first * gemv_k_depth + warp * gemv_k_step + lane % 8 * 4;
    float sums[ROWS][4] = {};
#pragma unroll(ROWS <= gemv_few_rows ? 2 : 1)
    for (int t = 0; t < range.count; ++t) {
        const int64_t k = first + int64_t{t} * gemv_k_depth;
        float4 b[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int64_t n = n0 + g + 4 * j;
            b[j] = load_quad(one.B + n * args.B_column + k, k < args.K && n < args.N);
        }
#pragma unroll
        for (int m = 0; m < ROWS; ++m) {
            const float4 a = load_quad(one.A + m * args.A_row + k, k < args.K && m < args.M);
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                sums[m][j] = fmaf(a.x, b[j].x, sums[m][j]);
                sums[m][j] = fmaf(a.y, b[j].y, sums[m][j]);
                sums[m][j] = fmaf(a.z, b[j].z, sums[m][j]);
                sums[m][j] = fmaf(a.w, b[j].w, sums[m][j]);
            }
        }
    }
#pragma unroll
    for (int m = 0; m < ROWS; ++m)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const float sum = warp_reduce<SumOp, 8>(sums[m][j]);
            if (lane % 8 == 0) s.of_warp[warp][m][g + 4 * j] = sum;
        }
    s.finish_sums(part_of(task, one.out), n0);
}

// ---- B contiguous along n -----------------------------------------------------------------------

inline constexpr int gemv_simt_n_columns = 128, gemv_simt_n_depth = 4 * gemv_warps;

// A warp takes 4 k of 128 columns, a lane 4 of the columns.
template <int ROWS>
__global__ void __launch_bounds__(gemv_threads, 2)
    gemv_simt_along_n(const __grid_constant__ GemmTask<float> task) {
    auto& s = shared<GemvShared<gemv_simt_n_columns>>();
    const GemmArgs<float>& args = task.s;
    const GemmMatrix<float> one = matrix_of(args, task.first_matrix + blockIdx.z);
    const StepRange range = steps_of_part(task, gemv_simt_n_depth);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int64_t n0 = int64_t{blockIdx.x} * gemv_simt_n_columns, n = n0 + lane * 4;
    float4 sums[ROWS] = {};
#pragma unroll(ROWS <= gemv_few_rows ? 2 : 1)
    for (int t = 0; t < range.count; ++t) {
        const int64_t k = (range.first + t) * gemv_simt_n_depth + warp * 4;
        float4 b[4];
#pragma unroll
        for (int i = 0; i < 4; ++i)
            b[i] = load_quad(one.B + (k + i) * args.B_row + n, k < args.K && n < args.N);
#pragma unroll
        for (int m = 0; m < ROWS; ++m) {
            const float4 quad = load_quad(one.A + m * args.A_row + k, k < args.K && m < args.M);
            const float a[4] = {quad.x, quad.y, quad.z, quad.w};
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                sums[m].x = fmaf(a[i], b[i].x, sums[m].x);
                sums[m].y = fmaf(a[i], b[i].y, sums[m].y);
                sums[m].z = fmaf(a[i], b[i].z, sums[m].z);
                sums[m].w = fmaf(a[i], b[i].w, sums[m].w);
            }
        }
    }
#pragma unroll
    for (int m = 0; m < ROWS; ++m)
        *reinterpret_cast<float4*>(&s.of_warp[warp][m][lane * 4]) = sums[m];
    s.finish_sums(part_of(task, one.out), n0);
}

}  // namespace plainformer::cuda
