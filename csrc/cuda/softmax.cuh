// softmax and log_softmax along the last axis, forward and backward. Formulas and shapes:
// plainformer/softmax.h
//
// A team of threads (lanes of a warp, a block, on sm_90 a cluster) keeps its row in registers: each
// byte is moved once. A row that is longer than the registers of a block is read twice, the second
// time from L2 as far as it holds the rows that are under way.
#pragma once
#include "log_sum_exp.cuh"
#include "plainformer/arith.h"
#include "plainformer/softmax.h"
#include "row_part.cuh"
#include "row_teams.cuh"
#include "softmax_values.cuh"

namespace plainformer::cuda {

// Chunks of each array that a thread keeps. With 64 registers, which aligned rows get along with, a
// multiprocessor has two of the largest blocks: one loads while the other stores.
constexpr int softmax_chunks = 8, softmax_backward_chunks = 4;

template <typename T, bool aligned, typename Team>
__global__ void __launch_bounds__(BlockTeam::most_threads, aligned ? 2 : 1)
    softmax_rows(SoftmaxArgs<T> s, int threads) {
    constexpr int W = vector_width<T>, kept = softmax_chunks;
    Team team(threads);
    const int64_t n = team.first_row(), L = n < s.N ? s.L : 0;
    const int64_t chunks = ceil_div(s.L, W), step = int64_t{kept} * team.size;
    const T* x = s.x + n * s.x_stride;
    RowPart<T, kept, aligned> part;
    LogSumExp sums;
    float last = 0;
    for (int pass = 0; pass < 2; ++pass) {
        for (int64_t first = 0; first < chunks; first += step) {
            if (pass == 0 || chunks > step) part.load(x, L, first, team, -INFINITY);
            if (pass == 0) {
#pragma unroll
                for (const auto& chunk : part.chunks) sums.add(chunk);
                continue;
            }
            part.store(s.y + n * s.L, L, first, team, [&](int u) {
                return make_chunk<T, W>([&](int j) {
                    return softmax_value(part.chunks[u][j] - sums.largest, last, s.log);
                });
            });
        }
        if (pass == 1) break;
        sums.combine(team);
        last = s.log ? logf(sums.sum) : __fdividef(1.0f, sums.sum);
    }
    team.finish();
}

template <int kept, typename T, int W>
__device__ __forceinline__ float sum_of_shares(const Chunk<T, W> (&dy)[kept],
                                               const Chunk<T, W> (&y)[kept], bool is_log) {
    float sum = 0;
#pragma unroll
    for (int u = 0; u < kept; ++u)
#pragma unroll
        for (int j = 0; j < W; ++j) sum += softmax_share(dy[u][j], y[u][j], is_log);
    return sum;
}

template <typename T, bool aligned, typename Team>
__global__ void __launch_bounds__(BlockTeam::most_threads, aligned ? 2 : 1)
    softmax_backward_rows(SoftmaxBackwardArgs<T> s, int threads) {
    constexpr int W = vector_width<T>, kept = softmax_backward_chunks;
    Team team(threads);
    const int64_t n = team.first_row(), L = n < s.N ? s.L : 0;
    const int64_t chunks = ceil_div(s.L, W), step = int64_t{kept} * team.size;
    const T *dy_n = s.dy + n * s.dy_stride, *y_n = s.y + n * s.y_stride;
    RowPart<T, kept, aligned> dy, y;
    float sum[1] = {0};
    for (int pass = 0; pass < 2; ++pass) {
        for (int64_t first = 0; first < chunks; first += step) {
            if (pass == 0 || chunks > step) {
                dy.load(dy_n, L, first, team, 0.0f);
                y.load(y_n, L, first, team, 0.0f);
            }
            if (pass == 0) {
                sum[0] += sum_of_shares(dy.chunks, y.chunks, s.log);
                continue;
            }
            y.store(s.dx + n * s.L, L, first, team, [&](int u) {
                return make_chunk<T, W>([&](int j) {
                    return softmax_gradient(dy.chunks[u][j], y.chunks[u][j], sum[0], s.log);
                });
            });
        }
        if (pass == 0) team.template reduce<SumOp>(sum);
    }
    team.finish();
}

}  // namespace plainformer::cuda
