// The gradient of an additive mask: dS, summed over the axes along which the mask is broadcast.
//
// Kernels of their own, because those sums cross the heads that are blocks elsewhere: here a block
// owns a tile of the mask and visits all that was added to it, in order: sequences, heads, and
// tiles of queries and keys where these share a mask's row or column.
#pragma once
#include "attention_backward.cuh"

namespace plainformer::cuda {

// ---- tiles of a mask ----------------------------------------------------------------------------

inline int64_t mask_tiles(const int64_t (&shape)[4], int rows, int columns) {
    return shape[0] * shape[1] * ceil_div(shape[2], rows) * ceil_div(shape[3], columns);
}

// The block's tile: its place along each axis.
template <int rows, int columns>
struct MaskTile {
    int b, h, row, column;

    __device__ __forceinline__ explicit MaskTile(const int64_t (&shape)[4]) {
        const unsigned across = static_cast<unsigned>(ceil_div(shape[3], columns));
        const unsigned down = static_cast<unsigned>(ceil_div(shape[2], rows));
        const unsigned head = blockIdx.x / across / down, H = static_cast<unsigned>(shape[1]);
        column = static_cast<int>(blockIdx.x % across) * columns;
        row = static_cast<int>(blockIdx.x / across % down) * rows;
        h = static_cast<int>(head % H), b = static_cast<int>(head / H);
    }
};

// What part of an axis of scores, as long as `length`, a mask's tile was added to: all of it where
// the mask has one place for it.
__device__ __forceinline__ KeyRange part_of_axis(int first, int size, int64_t mask_size,
                                                 int length) {
    if (mask_size == 1) return {0, length};
    return {first, min(length, first + size)};
}

// Walks over the tiles of scores that a tile of the mask was added to and that hold visible pairs.
template <int rows, int columns>
struct MaskWalk {
    const AttentionOptions& o;
    const int64_t (&shape)[4];
    const MaskTile<rows, columns> tile;
    Sequence sequence{};
    int b, h, i = 0, j = 0;  // the tile at hand, once `advance` has been called
    KeyRange queries{0, 0}, keys{0, 0};

    template <typename T>
    __device__ __forceinline__ explicit MaskWalk(const AttentionBackwardArgs<T>& s)
        : o(s.options), shape(s.mask_shape), tile(s.mask_shape) {
        b = shape[0] == 1 ? -1 : tile.b - 1;
        h = heads().end;
    }

    __device__ __forceinline__ KeyRange heads() const {
        if (shape[1] == 1) return {0, static_cast<int>(o.H)};
        return {tile.h, tile.h + 1};
    }

    // To the next tile; false after the last.
    __device__ __forceinline__ bool advance() {
        j += columns;
        while (j >= keys.end) {
            i += rows;
            while (i >= queries.end)
                if (!advance_head()) return false;
            const KeyRange part = part_of_axis(tile.column, columns, shape[3], sequence.Lk);
            const KeyRange seen = sequence.keys_of(i, min(rows, sequence.Lq - i));
            j = max(part.begin, seen.begin / columns * columns);
            keys = {j, min(part.end, seen.end)};
        }
        return true;
    }

    __device__ __forceinline__ bool advance_head() {
        if (++h >= heads().end) {
            if (++b >= (shape[0] == 1 ? static_cast<int>(o.B) : tile.b + 1)) return false;
            h = heads().begin;
            sequence = sequence_at(o, b);
            queries = part_of_axis(tile.row, rows, shape[2], sequence.Lq);
        }
        i = queries.begin;
        return true;
    }

    __device__ __forceinline__ int key_head() const { return h / static_cast<int>(o.H / o.KV); }
    __device__ __forceinline__ bool sees(int query, int key) const {
        return cuda::sees(sequence, i + query, j + key);
    }
};

// Sums of a tile's rows, of its columns or of all, where the mask has one place for them.
template <int rows, int columns>
__device__ __forceinline__ float tile_sum(const float (&sums)[rows][columns + 1], int row,
                                          int column, bool all_rows, bool all_columns) {
    float sum = 0;
    for (int r = all_rows ? 0 : row; r < (all_rows ? rows : row + 1); ++r)
        for (int c = all_columns ? 0 : column; c < (all_columns ? columns : column + 1); ++c)
            sum += sums[r][c];
    return sum;
}

// By all threads, from the block's sums in shared memory.
template <typename T, int rows, int columns>
__device__ __forceinline__ void store_mask_tile(const AttentionBackwardArgs<T>& s,
                                                const MaskTile<rows, columns>& tile,
                                                const float (&sums)[rows][columns + 1]) {
    const int64_t height = s.mask_shape[2], width = s.mask_shape[3];
    T* const to = s.dmask + (tile.b * s.mask_shape[1] + tile.h) * height * width;
    for (int n = threadIdx.x; n < rows * columns; n += blockDim.x) {
        const int r = n / columns, c = n % columns;
        if (tile.row + r < height && tile.column + c < width)
            to[(tile.row + r) * width + tile.column + c] =
                from_float<T>(tile_sum<rows, columns>(sums, r, c, height == 1, width == 1));
    }
}

// ---- without tensor cores -----------------------------------------------------------------------

template <typename T>
__global__ void __launch_bounds__(plain_threads, 1)
    attention_mask_gradient(const __grid_constant__ BackwardProblem<T> problem) {
    auto& shared = cuda::shared<PlainShared>();
    const AttentionBackwardArgs<T>& s = problem.s;
    const AttentionOptions& o = s.options;
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    float sums[4][4] = {};
    MaskWalk<plain_tile, plain_tile> walk(s);
    while (walk.advance()) {
        const auto rows = [&](const HeadsView<const T>& x, bool keys, int64_t width) {
            const Sequence& q = walk.sequence;
            return tile_rows(x, keys ? q.k : q.q, keys ? walk.key_head() : walk.h,
                             keys ? walk.j : walk.i, keys ? q.Lk : q.Lq, plain_tile, width);
        };
        __syncthreads();  // the last tile's terms have been read
        load_terms(shared, problem, walk.sequence, walk.h, walk.i, walk.j);
        float raw[4][4], grad_p[4][4];
        plain_scores(raw, rows(s.q, false, o.D), rows(s.k, true, o.D), shared);
        plain_scores(grad_p, rows(s.grad_out, false, o.Dv), rows(s.v, true, o.Dv), shared);
        const HeadScores<T> scores(problem.rule, walk.sequence, walk.h);
#pragma unroll
        for (int n = 0; n < 16; ++n) {
            const int query = ty + 16 * (n / 4), key = tx + 16 * (n % 4);
            if (!walk.sees(query, key)) continue;
            const bool kept = !o.dropout.threshold || shared.kept.has(query, key);
            sums[n / 4][n % 4] +=
                pair_gradient(scores, raw[n / 4][n % 4], grad_p[n / 4][n % 4], kept,
                              static_cast<float>(o.dropout.scale), shared.shift[query],
                              shared.delta[query], walk.i + query, walk.j + key)
                    .after_cap;
        }
    }
#pragma unroll
    for (int n = 0; n < 16; ++n)
        shared.ds[ty + 16 * (n / 4)][tx + 16 * (n % 4)] = sums[n / 4][n % 4];
    __syncthreads();
    store_mask_tile(s, walk.tile, shared.ds);
}

}  // namespace plainformer::cuda
