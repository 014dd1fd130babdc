// Layer norm and RMS norm, backward. Formulas and shapes: plainformer/norm.h
//
// dweight and dbias are sums over rows. A team of threads goes through several rows, always with
// the same columns, and adds up their shares where no other thread does; each block leaves one
// partial row, and column_sums.cuh adds those in order. No atomics: the same bytes at each run.
#pragma once
#include "norm_backward_row.cuh"
#include "norm_sums.cuh"

namespace plainformer::cuda {

// Chunks that a thread keeps, of each of x, dy and both sums over rows: 16 elements.
template <int W>
inline constexpr int norm_backward_chunks = W == 1 ? 8 : 16 / W;

// Partial rows of the sums over rows, (blocks, C) each; null where they are not wanted.
struct NormParts {
    float *dweight, *dbias;
};

// x and dy of a row in registers, as they are stored; of halves the gradient to add too, for which
// floats leave no room.
template <typename T, int W, int kept>
struct KeptPair {
    static constexpr bool keeps_added = sizeof(T) == 2;
    KeptRow<T, W, kept> x, dy, grad_residual;

    __device__ __forceinline__ void load(const RowPlace& at, const BackwardRow<T>& row) {
        x.load(at, row.x);
        dy.load(at, row.dy);
        if (keeps_added && row.grad_residual) grad_residual.load(at, row.grad_residual);
    }
    template <typename F>
    __device__ __forceinline__ void each(const RowPlace& at, F f) const {
        for_kept_chunks<kept, W>(at, [&](int i, int c) { f(i, c, x.chunks[i], dy.chunks[i]); });
    }
    __device__ __forceinline__ Chunk<T, W> added(int i, const T* there) const {
        return keeps_added ? grad_residual.chunks[i] : load_chunk<W>(there);
    }
};

// What a block needs beside its teams' sums: room for the columns of those that share a block, half
// the smallest block at most.
constexpr int least_norm_block = 256;
struct NormBackwardShared {
    BlockTeam::Shared team;
    float columns[least_norm_block / 2 * 16];
};

// Rows in registers. All teams of a block go through the loop equally often: they share barriers.
template <typename T, int W, typename Team>
__global__ void __launch_bounds__(BlockTeam::most_threads)
    norm_backward_kept_rows(NormBackwardArgs<T> s, NormParts parts, int threads) {
    constexpr int kept = norm_backward_chunks<W>;
    Team team(threads);
    float dweight[kept][W] = {}, dbias[kept][W] = {};
    for (int64_t first = team.first_row_of_block(); first < s.N; first += team.row_step()) {
        const int64_t n = first + team.number();
        const RowPlace at{n < s.N ? s.C : 0, team.size, team.rank};
        const BackwardRow<T> row = backward_row(s, n);
        KeptPair<T, W, kept> pair;
        pair.load(at, row);
        const RowSums sums = reduce_row<T, W>(pair, at, s, row, team);
        finish_row<T, W>(pair, at, s, row, sums,
                         [&](int i, int64_t, const float (&dy)[W], const float (&x_hat)[W]) {
#pragma unroll
                             for (int j = 0; j < W; ++j) {
                                 dweight[i][j] = fmaf(dy[j], x_hat[j], dweight[i][j]);
                                 dbias[i][j] += dy[j];
                             }
                         });
        if (s.dx) drop_row<T, W>(s, at, n);
    }
    float* const scratch = shared<NormBackwardShared>().columns;
    const int64_t part = team.part() * s.C;
    if (parts.dweight) leave_part(dweight, s.C, team, scratch, parts.dweight + part);
    if (parts.dbias) leave_part(dbias, s.C, team, scratch, parts.dbias + part);
    team.finish();
}

// x and dy of a row that stays in memory.
template <typename T, int W>
struct ReadPair {
    const T *x, *dy;

    template <typename F>
    __device__ __forceinline__ void each(const RowPlace& at, F f) const {
        for_chunks<W>(at, [&](int64_t c) { f(0, c, load_chunk<W>(x + c), load_chunk<W>(dy + c)); });
    }
    __device__ __forceinline__ Chunk<T, W> added(int, const T* grad_residual) const {
        return load_chunk<W>(grad_residual);
    }
};

// Rows too long for registers: they are read twice, and the sums are kept in the partial row, each
// of whose columns only one thread touches.
template <typename T, int W>
__global__ void __launch_bounds__(BlockTeam::most_threads, 1)
    norm_backward_long_rows(NormBackwardArgs<T> s, NormParts parts, int threads) {
    BlockTeam team(threads);
    const RowPlace at{s.C, team.size, team.rank};
    const int64_t first = team.first_row(), part = team.part() * s.C;
    for (int64_t n = first; n < s.N; n += team.row_step()) {
        const BackwardRow<T> row = backward_row(s, n);
        const ReadPair<T, W> pair{row.x, row.dy};
        const RowSums sums = reduce_row<T, W>(pair, at, s, row, team);
        finish_row<T, W>(pair, at, s, row, sums,
                         [&](int, int64_t c, const float (&dy)[W], const float (&x_hat)[W]) {
#pragma unroll
                             for (int j = 0; j < W; ++j) {
                                 float* const dweight = parts.dweight + part + c + j;
                                 float* const dbias = parts.dbias + part + c + j;
                                 if (parts.dweight)
                                     *dweight = fmaf(dy[j], x_hat[j], n > first ? *dweight : 0.0f);
                                 if (parts.dbias) *dbias = dy[j] + (n > first ? *dbias : 0.0f);
                             }
                         });
        if (s.dx) drop_row<T, W>(s, at, n);
    }
    team.finish();
}

}  // namespace plainformer::cuda
