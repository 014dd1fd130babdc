// The gradient of an additive mask: dS, summed over the axes along which the mask is broadcast.
//
// A kernel of its own, because those sums cross the heads that are blocks elsewhere: here a block
// owns a tile of the mask and visits all that was added to it, in order: sequences, heads, and
// tiles of queries and keys where these share a mask's row or column.
#pragma once
#include "attention_backward.cuh"

namespace plainformer::cuda {

// Part n of `parts` of an axis of the mask: [begin, end) of the axis of scores that it was added
// to, all of it where the mask has one place for it.
__device__ __forceinline__ KeyRange axis_part(int n, int size, int64_t mask_size, int length) {
    if (mask_size == 1) return {0, length};
    return {n * size, min(length, (n + 1) * size)};
}

PF_INLINE int64_t axis_parts(int64_t size, int64_t mask_size) { return ceil_div(mask_size, size); }

// One block's tile of the mask.
struct MaskTile {
    int64_t b, h;
    int row, column;  // parts of these axes

    __device__ __forceinline__ explicit MaskTile(const int64_t (&shape)[4]) {
        int64_t n = blockIdx.x;
        const int64_t columns = axis_parts(plain_tile, shape[3]);
        const int64_t rows = axis_parts(plain_tile, shape[2]);
        column = static_cast<int>(n % columns), n /= columns;
        row = static_cast<int>(n % rows), n /= rows;
        h = n % shape[1], b = n / shape[1];
    }
};

inline int64_t mask_tiles(const int64_t (&shape)[4]) {
    return shape[0] * shape[1] * axis_parts(plain_tile, shape[2]) *
           axis_parts(plain_tile, shape[3]);
}

// sums += dS of queries [i, ..) and keys [j, ..) of one head.
template <typename T>
__device__ __forceinline__ void add_mask_gradient(float (&sums)[4][4],
                                                  const BackwardProblem<T>& problem,
                                                  const Sequence& sequence, int64_t h, int i, int j,
                                                  PlainShared& shared) {
    const AttentionBackwardArgs<T>& s = problem.s;
    const AttentionOptions& o = s.options;
    const int64_t kv = h / (o.H / o.KV);
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    const auto rows = [&](const HeadsView<const T>& x, int64_t width) {
        return tile_rows(x, sequence.q, h, i, sequence.Lq, plain_tile, width);
    };
    const auto keys = [&](const HeadsView<const T>& x, int64_t width) {
        return tile_rows(x, sequence.k, kv, j, sequence.Lk, plain_tile, width);
    };
    __syncthreads();  // the last tile's terms have been read
    load_terms(shared, problem, sequence, h, i, j);
    float raw[4][4], grad_p[4][4];
    plain_scores(raw, rows(s.q, o.D), keys(s.k, o.D), shared);
    plain_scores(grad_p, rows(s.grad_out, o.Dv), keys(s.v, o.Dv), shared);
    const HeadScores<T> scores(problem.rule, sequence, h);
#pragma unroll
    for (int n = 0; n < 16; ++n) {
        const int query = ty + 16 * (n / 4), key = tx + 16 * (n % 4);
        if (i + query >= sequence.Lq) continue;
        if (!seen_in_tile(sequence, i + query, j).has(key)) continue;
        const bool kept = !o.dropout.threshold || shared.kept.has(query, key);
        sums[n / 4][n % 4] +=
            pair_gradient(scores, raw[n / 4][n % 4], grad_p[n / 4][n % 4], kept,
                          static_cast<float>(o.dropout.scale), shared.shift[query],
                          shared.delta[query], i + query, j + key)
                .after_cap;
    }
}

// Sums of the tile's rows, of its columns or of all, where the mask has one place for them.
__device__ __forceinline__ float tile_sum(const PlainShared& shared, int row, int column,
                                          bool all_rows, bool all_columns) {
    float sum = 0;
    for (int i = all_rows ? 0 : row; i < (all_rows ? plain_tile : row + 1); ++i)
        for (int j = all_columns ? 0 : column; j < (all_columns ? plain_tile : column + 1); ++j)
            sum += shared.ds[i][j];
    return sum;
}

template <typename T>
__device__ __forceinline__ void store_mask_tile(const AttentionBackwardArgs<T>& s,
                                                const MaskTile& tile, const float (&sums)[4][4],
                                                PlainShared& shared) {
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
#pragma unroll
    for (int n = 0; n < 16; ++n)
        shared.ds[ty + 16 * (n / 4)][tx + 16 * (n % 4)] = sums[n / 4][n % 4];
    __syncthreads();
    const int64_t rows = s.mask_shape[2], columns = s.mask_shape[3];
    T* to = s.dmask + (tile.b * s.mask_shape[1] + tile.h) * rows * columns;
    for (int n = threadIdx.x; n < plain_tile * plain_tile; n += plain_threads) {
        const int r = n / plain_tile, c = n % plain_tile;
        const int64_t row = int64_t{tile.row} * plain_tile + r;
        const int64_t column = int64_t{tile.column} * plain_tile + c;
        if (row < rows && column < columns)
            to[row * columns + column] =
                from_float<T>(tile_sum(shared, r, c, rows == 1, columns == 1));
    }
}

template <typename T>
__global__ void __launch_bounds__(plain_threads, 1)
    attention_mask_gradient(const __grid_constant__ BackwardProblem<T> problem) {
    auto& shared = cuda::shared<PlainShared>();
    const AttentionBackwardArgs<T>& s = problem.s;
    const AttentionOptions& o = s.options;
    const MaskTile tile(s.mask_shape);
    float sums[4][4] = {};
    for (int64_t b = 0; b < o.B; ++b) {
        if (s.mask_shape[0] != 1 && b != tile.b) continue;
        const Sequence sequence = sequence_at(o, b);
        const KeyRange rows = axis_part(tile.row, plain_tile, s.mask_shape[2], sequence.Lq);
        for (int64_t h = 0; h < o.H; ++h) {
            if (s.mask_shape[1] != 1 && h != tile.h) continue;
            for (int i = rows.begin; i < rows.end; i += plain_tile) {
                const KeyRange columns =
                    axis_part(tile.column, plain_tile, s.mask_shape[3], sequence.Lk);
                const KeyRange seen = sequence.keys_of(i, min(plain_tile, sequence.Lq - i));
                for (int j = columns.begin; j < columns.end; j += plain_tile)
                    if (j < seen.end && j + plain_tile > seen.begin)
                        add_mask_gradient(sums, problem, sequence, h, i, j, shared);
            }
        }
    }
    store_mask_tile(s, tile, sums, shared);
}

}  // namespace plainformer::cuda
