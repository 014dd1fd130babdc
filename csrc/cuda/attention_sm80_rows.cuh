// Attention on tensor cores, one warp's part: scores, softmax and sums as fragments of m16n8k16;
// and the ring through which a block's tiles of K and V pass. Shared by the forward and by the
// cached attention.
#pragma once
#include "attention_softmax.cuh"
#include "attention_tile.cuh"

namespace plainformer::cuda {

// ---- rows ---------------------------------------------------------------------------------------

// The warp's rows: their softmax and their sums of products, as fragments, over tiles of
// 16 Sizes::key_groups keys. `general`: with a cap, additions or dropout; else the scale is folded
// into the exponential.
template <typename T, typename Sizes, bool general>
struct Sm80Rows {
    static constexpr int W = Sizes::width;
    static constexpr int row_tiles = Sizes::row_tiles, groups = Sizes::key_groups;

    float scores[row_tiles][2 * groups][4];  // raw, then P
    float sums[row_tiles][Sizes::columns][4] = {};
    RowSoftmax softmax[row_tiles][2];  // of rows g and g + 8 of each tile

    // scores = Q K^T; q: the warp's row_place
    __device__ __forceinline__ void multiply_keys(uint32_t q, uint32_t k_tile) {
        const uint32_t k = column_place<W>(k_tile);
#pragma unroll
        for (int t = 0; t < row_tiles; ++t)
#pragma unroll
            for (int n = 0; n < 2 * groups; ++n)
#pragma unroll
                for (int e = 0; e < 4; ++e) scores[t][n][e] = 0;
#pragma unroll
        for (int c = 0; c < W / 16; ++c) {
            uint32_t a[row_tiles][4];
#pragma unroll
            for (int t = 0; t < row_tiles; ++t) load_left<W>(a[t], q, 16 * t, c);
#pragma unroll
            for (int n = 0; n < groups; ++n) {
                uint32_t b[4];
                load_right<W>(b, k, 16 * n, c);
#pragma unroll
                for (int t = 0; t < row_tiles; ++t) {
                    mma_m16n8k16<T>(scores[t][2 * n], a[t], b[0], b[1]);
                    mma_m16n8k16<T>(scores[t][2 * n + 1], a[t], b[2], b[3]);
                }
            }
        }
    }

    // Hides what row i, at place r of tile t, does not see of the tile of keys.
    __device__ __forceinline__ void hide(int t, int r, TileRange seen) {
        const int first = lane_id() % 4 * 2;
#pragma unroll
        for (int n = 0; n < 2 * groups; ++n)
#pragma unroll
            for (int e = 0; e < 2; ++e)
                if (!seen.has(8 * n + first + e)) scores[t][n][2 * r + e] = -INFINITY;
    }

    // Scores of a row in units of log2, with cap and additions.
    __device__ __forceinline__ void score(int t, int r, const HeadScores<T>& head, int i, int key,
                                          TileRange seen) {
        const int first = lane_id() % 4 * 2;
#pragma unroll
        for (int n = 0; n < 2 * groups; ++n)
#pragma unroll
            for (int e = 0; e < 2; ++e) {
                float& x = scores[t][n][2 * r + e];
                const int j = 8 * n + first + e;
                x = seen.has(j) ? head.masked(head.capped(x), i, key + j) : -INFINITY;
            }
    }

    // P of a row in place of its scores, which `factor` brings to units of log2; returns by how
    // much the sums so far have to be scaled.
    __device__ __forceinline__ float take_row(int t, int r, float factor) {
        float most = -INFINITY;
#pragma unroll
        for (int n = 0; n < 2 * groups; ++n)
#pragma unroll
            for (int e = 0; e < 2; ++e) most = fmaxf(most, scores[t][n][2 * r + e]);
        most = warp_reduce<MaxOp, 4>(most);
        RowSoftmax& row = softmax[t][r];
        const float scaled = row.raise(most * factor), shift = row.shift();
        float sum = 0;
#pragma unroll
        for (int n = 0; n < 2 * groups; ++n)
#pragma unroll
            for (int e = 0; e < 2; ++e) {
                float& x = scores[t][n][2 * r + e];
                x = exp2_approx(general ? x - shift : fmaf(x, factor, -shift));
                sum += x;
            }
        row.sum += sum;
        return scaled;
    }

    // Brings the sums of a tile's rows to their new maxima.
    __device__ __forceinline__ void rescale(int t, float upper, float lower) {
        if (!__any_sync(full_warp, upper != 1 || lower != 1)) return;
#pragma unroll
        for (int n = 0; n < Sizes::columns; ++n) {
            sums[t][n][0] *= upper, sums[t][n][1] *= upper;
            sums[t][n][2] *= lower, sums[t][n][3] *= lower;
        }
    }

    // Dropout of a row of P.
    __device__ __forceinline__ void drop(int t, int r, const DropoutRule& rule, uint32_t head,
                                         int i, int key) {
#pragma unroll
        for (int m = 0; m < 2 * groups; m += 4) {
            uint32_t words[4];
            dropout_words_of_quad(words, rule, head, static_cast<uint32_t>(i),
                                  static_cast<uint32_t>(key / 8 + m));
#pragma unroll
            for (int n = 0; n < 4; ++n) {
                float* p = scores[t][m + n] + 2 * r;
                if (!keeps(rule, words[n], false)) p[0] = 0;
                if (!keeps(rule, words[n], true)) p[1] = 0;
            }
        }
    }

    // sums += P V. `careful`: P is 0 for some pairs, where V may hold anything.
    __device__ __forceinline__ void multiply_values(uint32_t v_tile, bool careful) {
        const uint32_t v = row_place<W>(v_tile);
#pragma unroll
        for (int n = 0; n < groups; ++n) {
            uint32_t p[row_tiles][4];
#pragma unroll
            for (int t = 0; t < row_tiles; ++t)
                pack_left<T>(p[t], scores[t][2 * n], scores[t][2 * n + 1]);
#pragma unroll
            for (int c = 0; c < W / 16; ++c) {
                uint32_t b[4];
                load_right_trans<W>(b, v, 16 * n, c);
                if (careful) keep_finite<T>(sums, 2 * c, p, b);
#pragma unroll
                for (int t = 0; t < row_tiles; ++t) {
                    mma_m16n8k16<T>(sums[t][2 * c], p[t], b[0], b[1]);
                    mma_m16n8k16<T>(sums[t][2 * c + 1], p[t], b[2], b[3]);
                }
            }
        }
    }
};

// ---- keys and values ----------------------------------------------------------------------------

// The tiles of K and V in the order of their use, K before V, through a ring of slots.
template <typename T, typename Sizes>
struct Sm80Ring {
    static constexpr int W = Sizes::width;
    const T *k, *v;  // rows of the head
    int64_t k_stride, v_stride;
    int k_width, v_width;
    uint32_t slots;       // of shared memory
    int Lk, issued, end;  // keys; tiles of keys
    bool values_next = false;
    int filled = 0, used = 0;  // slots

    // Asks for the next tile, or for nothing after the last: a group in either case.
    __device__ __forceinline__ void issue() {
        if (issued < end) {
            const int key = issued * Sizes::keys;
            const uint32_t to = slots + filled * (Sizes::keys * W * 2);
            if (values_next)
                copy_rows<W, Sizes::keys, Sizes::threads>(to, v + int64_t{key} * v_stride, v_stride,
                                                          Lk - key, v_width);
            else
                copy_rows<W, Sizes::keys, Sizes::threads>(to, k + int64_t{key} * k_stride, k_stride,
                                                          Lk - key, k_width);
            issued += values_next;
            values_next = !values_next;
            filled = next(filled);
        }
        cp_async_commit();
    }

    // The address of the next tile, which has landed. The slot of the one before is refilled.
    __device__ __forceinline__ uint32_t take() {
        cp_async_wait<Sizes::slots - 2>();
        __syncthreads();
        issue();
        const uint32_t at = slots + used * (Sizes::keys * W * 2);
        used = next(used);
        return at;
    }

    static __device__ __forceinline__ int next(int slot) {
        return slot + 1 == Sizes::slots ? 0 : slot + 1;
    }
};

}  // namespace plainformer::cuda
