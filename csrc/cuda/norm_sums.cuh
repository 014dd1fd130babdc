// The sums over rows of a norm's backward, while a team of threads goes through its rows; and how a
// block's teams join theirs to one partial row.
#pragma once
#include "norm_row.cuh"

namespace plainformer::cuda {

// This thread's columns of a sum over rows, (kept, W), in registers.
template <int W, int kept>
using ColumnSums = float[kept][W];

// Lanes of one rank in the teams of a warp have the same columns: all of them get the total.
template <int W, int kept>
__device__ __forceinline__ void add_teams_of_warp(float (&sums)[kept][W], int lanes) {
    for (int distance = lanes; distance < warp_size; distance *= 2) {
#pragma unroll
        for (int i = 0; i < kept; ++i)
#pragma unroll
            for (int j = 0; j < W; ++j)
                sums[i][j] += __shfl_xor_sync(full_warp, sums[i][j], distance);
    }
}

// The block's partial row: its teams add their sums one after the other, in `scratch` (C) until
// the last one writes `part` (C).
template <int W, int kept, typename Team>
__device__ __forceinline__ void leave_part(float (&sums)[kept][W], int64_t C, const Team& team,
                                           float* scratch, float* part) {
    add_teams_of_warp(sums, team.size);
    const RowPlace at{C, team.size, team.rank};
    const int threads = team.size < warp_size ? warp_size : team.size;
    const int turns = team.teams() > 1 ? static_cast<int>(blockDim.x) / threads : 1;
    const bool has_sums = static_cast<int>(threadIdx.x) % threads < team.size;
    for (int turn = 0; turn < turns; ++turn) {
        float* const to = turn + 1 < turns ? scratch : part;
        if (has_sums && (turns == 1 || turn == static_cast<int>(threadIdx.x) / threads))
            for_kept_chunks<kept, W>(at, [&](int i, int c) {
#pragma unroll
                for (int j = 0; j < W; ++j)
                    to[c + j] = turn > 0 ? scratch[c + j] + sums[i][j] : sums[i][j];
            });
        __syncthreads();
    }
}

}  // namespace plainformer::cuda
