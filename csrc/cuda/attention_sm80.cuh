// Attention forward on tensor cores, bfloat16 and float16. Formula and shapes:
// plainformer/attention.h
//
// A block keeps its queries in shared memory and walks over the keys that they see, a tile at a
// time: K and V pass through a ring of cp.async copies, scores and P stay in registers, where P has
// the layout of a left operand already. Heads are padded to W with zeros, which the copies write.
// Only tiles at the edge of what the rows see are masked. A row's bytes depend on nothing but the
// row and its sequence's keys: tiles are cut at multiples of their size.
#pragma once
#include "attention_sm80_rows.cuh"

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

// ---- one block ----------------------------------------------------------------------------------

// Softmax of one tile of keys for the warp's rows from `i`. Returns whether P is 0 for some pairs.
template <typename T, int W, bool general>
__device__ __forceinline__ bool sm80_take_scores(Sm80Rows<T, Sm80Sizes<W, general>, general>& rows,
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
__device__ __forceinline__ void sm80_finish(Sm80Rows<T, Sm80Sizes<W, general>, general>& rows,
                                            const Sm80Call<T>& call, const QueryPlace& place, int i,
                                            T* q_rows) {
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
    Sm80Ring<T, Sizes> ring{row_at(s.k, sequence.k, kv, 0),
                            row_at(s.v, sequence.k, kv, 0),
                            s.k.row,
                            s.v.row,
                            static_cast<int>(o.D),
                            static_cast<int>(o.Dv),
                            shared_addr(memory.ring),
                            sequence.Lk,
                            tiles.begin,
                            tiles.end};

    if (!tiles.empty()) {
        copy_rows<W, Sizes::queries, Sizes::threads>(
            shared_addr(memory.q), row_at(s.q, sequence.q, place.h, place.first), s.q.row,
            sequence.Lq - place.first, static_cast<int>(o.D));
        for (int n = 0; n < Sizes::slots - 1; ++n) ring.issue();
    }

    Sm80Rows<T, Sizes, general> rows;
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
    sm80_finish(rows, call, place, i, q_rows);
}

}  // namespace plainformer::cuda
