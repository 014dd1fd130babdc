// Attention forward on tensor cores, bfloat16 and float16. Formula and shapes:
// plainformer/attention.h
//
// A block keeps its queries in shared memory and walks over the keys that they see, a tile at a
// time: K and V pass through a ring of cp.async copies, scores and P stay in registers, where P has
// the layout of a left operand already. Heads are padded to W with zeros, which the copies write.
// Only tiles at the edge of what the rows see are masked. A row's bytes depend on nothing but the
// row and its sequence's keys: tiles are cut at multiples of their size.
#pragma once
#include "attention_softmax.cuh"
#include "attention_tile.cuh"

namespace plainformer::cuda {

// Sizes for heads up to W wide, for 128 queries. A warp with two tiles of 16 rows reads each
// fragment of K and V for both, if its registers hold the sums of both; in `general` the options
// take some as well. At W = 256 the ring is what 99 KB, the least that a device of today has,
// leave beside the queries.
template <int W, bool general>
struct Sm80Sizes {
    static constexpr int width = W, queries = 128;
    static constexpr int row_tiles = W == 64 || (W == 128 && !general) ? 2 : 1;  // of a warp
    static constexpr int warp_rows = 16 * row_tiles;
    static constexpr int threads = queries / warp_rows * 32;
    static constexpr int keys = W * row_tiles <= 128 ? 64 : 32;
    static constexpr int slots = W * keys <= 4096 ? 4 : 2;  // of the ring
    static constexpr int key_groups = keys / 16, columns = W / 8;
};

template <typename T, typename Sizes>
struct alignas(1024) Sm80Shared {
    T q[Sizes::queries * Sizes::width];  // later O, each warp's rows its own
    T ring[Sizes::slots][Sizes::keys * Sizes::width];
};

template <typename T>
struct Sm80Call {
    AttentionArgs<T> s;
    ScoreRule rule;
    QueryTiles tiles;
};

// ---- one warp -----------------------------------------------------------------------------------

// The warp's rows: their softmax and their sums of products, as fragments. `general`: with a cap,
// additions or dropout; else the scale is folded into the exponential.
template <typename T, int W, bool general>
struct Sm80Rows {
    using Sizes = Sm80Sizes<W, general>;
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

// ---- one block ----------------------------------------------------------------------------------

// The tiles of K and V in the order of their use, K before V, through a ring of slots.
template <typename T, int W, bool general>
struct Sm80Ring {
    using Sizes = Sm80Sizes<W, general>;
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

// Softmax of one tile of keys for the warp's rows from `i`. Returns whether P is 0 for some pairs.
template <typename T, int W, bool general>
__device__ __forceinline__ bool sm80_take_scores(Sm80Rows<T, W, general>& rows,
                                                 const Sm80Call<T>& call, const QueryPlace& place,
                                                 const HeadScores<T>& head, int i, int key) {
    using Sizes = Sm80Sizes<W, general>;
    const AttentionOptions& o = call.s.options;
    const Sequence& sequence = place.sequence;
    const bool whole = sees_all(sequence, i, Sizes::warp_rows, key, Sizes::keys);
#pragma unroll
    for (int t = 0; t < Sizes::row_tiles; ++t) {
        float scaled[2];
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            const int row = i + 16 * t + 8 * r + lane_id() / 4;
            if constexpr (general) {
                TileRange seen = seen_in_tile(sequence, row, key);
                if (row >= sequence.Lq) seen = {0, 0};
                rows.score(t, r, head, row, key, seen);
            } else if (!whole) {
                rows.hide(t, r, seen_in_tile(sequence, row, key));
            }
            scaled[r] = rows.take_row(t, r, general ? 1.0f : call.rule.factor);
            if (general && o.dropout.threshold)
                rows.drop(t, r, o.dropout, static_cast<uint32_t>(sequence.b * o.H + place.h), row,
                          key);
        }
        rows.rescale(t, scaled[0], scaled[1]);
    }
    return !whole || (general && (o.dropout.threshold || call.rule.mask.kind != MaskKind::none));
}

// O and lse of the warp's rows. O goes through the warp's part of the queries' shared memory, so
// that rows are written 16 bytes at a time.
template <typename T, int W, bool general>
__device__ __forceinline__ void sm80_finish(Sm80Rows<T, W, general>& rows, const Sm80Call<T>& call,
                                            const QueryPlace& place, int i, T* q_rows) {
    using Sizes = Sm80Sizes<W, general>;
    const AttentionArgs<T>& s = call.s;
    const Sequence& sequence = place.sequence;
    const int lane = lane_id();
#pragma unroll
    for (int t = 0; t < Sizes::row_tiles; ++t)
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            RowSoftmax& row = rows.softmax[t][r];
            row.sum = warp_reduce<SumOp, 4>(row.sum);
            const float factor = row.normalizer(static_cast<float>(s.options.dropout.scale));
            const int local = 16 * t + 8 * r + lane / 4;
#pragma unroll
            for (int n = 0; n < Sizes::columns; ++n) {
                const float* sums = rows.sums[t][n] + 2 * r;
                store_pair<W>(q_rows, local, 8 * n + lane % 4 * 2,
                              pack<T>(sums[0] * factor, sums[1] * factor));
            }
            if (s.lse.data && lane % 4 == 0 && i + local < sequence.Lq)
                *row_at(s.lse, sequence.q, place.h, i + local) = row.log_sum_exp();
        }
    __syncwarp();
    const int width = static_cast<int>(s.options.Dv);
    for (int n = lane; n < Sizes::warp_rows * Sizes::columns; n += 32) {
        const int r = n / Sizes::columns, c = n % Sizes::columns;
        if (8 * c < width && i + r < sequence.Lq)
            *reinterpret_cast<uint4*>(row_at(s.out, sequence.q, place.h, i + r) + 8 * c) =
                *reinterpret_cast<const uint4*>(q_rows + tile_offset<W>(r, c) / 2);
    }
}

template <typename T, int W, bool general>
__global__ void __launch_bounds__(Sm80Sizes<W, general>::threads)
    attention_sm80(const __grid_constant__ Sm80Call<T> call) {
    using Sizes = Sm80Sizes<W, general>;
    const AttentionArgs<T>& s = call.s;
    const AttentionOptions& o = s.options;
    const QueryPlace place = query_place(o, call.tiles, Sizes::queries);
    const Sequence& sequence = place.sequence;
    if (place.first >= sequence.Lq) return;  // all threads: a shorter sequence than the longest
    auto& memory = shared<Sm80Shared<T, Sizes>>();
    const KeyRange tiles = tiles_of(
        sequence.keys_of(place.first, min(Sizes::queries, sequence.Lq - place.first)), Sizes::keys);
    const int64_t kv = place.h / (o.H / o.KV);
    Sm80Ring<T, W, general> ring{row_at(s.k, sequence.k, kv, 0),
                                 row_at(s.v, sequence.k, kv, 0),
                                 s.k.row,
                                 s.v.row,
                                 static_cast<int>(o.D),
                                 static_cast<int>(o.Dv),
                                 shared_addr(memory.ring),
                                 sequence.Lk,
                                 tiles.begin,
                                 tiles.end};

    copy_rows<W, Sizes::queries, Sizes::threads>(
        shared_addr(memory.q), row_at(s.q, sequence.q, place.h, place.first), s.q.row,
        sequence.Lq - place.first, static_cast<int>(o.D));
    for (int n = 0; n < Sizes::slots - 1; ++n) ring.issue();

    Sm80Rows<T, W, general> rows;
    const HeadScores<T> head(call.rule, sequence, place.h);
    const int warp_row = warp_id() * Sizes::warp_rows;
    const int i = place.first + warp_row;
    T* const q_rows = memory.q + warp_row * W;
    const uint32_t q = row_place<W>(shared_addr(q_rows));
    const KeyRange seen = sequence.keys_of(i, Sizes::warp_rows);
    for (int tile = tiles.begin; tile < tiles.end; ++tile) {
        const int key = tile * Sizes::keys;
        const bool any = seen.begin < key + Sizes::keys && key < seen.end;
        bool careful = false;
        const uint32_t k = ring.take();
        if (any) {
            rows.multiply_keys(q, k);
            careful = sm80_take_scores(rows, call, place, head, i, key);
        }
        const uint32_t v = ring.take();
        if (any) rows.multiply_values(v, careful);
    }
    cp_async_wait<0>();
    __syncthreads();  // where no tile was taken, others' copies of this warp's queries have landed
    sm80_finish(rows, call, place, i, q_rows);
}

}  // namespace plainformer::cuda
