// Attention forward without tensor cores: float32, and heads of the other types whose rows 16-byte
// copies cannot take. Formula and shapes: plainformer/attention.h
//
// A block keeps 64 queries in shared memory and walks over the keys that they see, 64 at a time.
#pragma once
#include "attention_simt.cuh"

namespace plainformer::cuda {

template <typename T>
struct SimtCall {
    AttentionArgs<T> s;
    ScoreRule rule;
    QueryTiles tiles;
};

template <typename T, typename Tile>
__device__ __forceinline__ void simt_finish_row(Tile& tile, int r, const AttentionArgs<T>& s,
                                                const QueryPlace& place, int i) {
    RowSoftmax& row = tile.softmax[r];
    row.sum = warp_reduce<SumOp, Tile::Sizes::lanes>(row.sum);
    if (i >= place.sequence.Lq) return;
    const float factor = row.normalizer(static_cast<float>(s.options.dropout.scale));
    tile.store_sums(row_at(s.out, place.sequence.q, place.h, i), r, static_cast<int>(s.options.Dv),
                    factor);
    if (s.lse.data && tile.lane() == 0)
        *row_at(s.lse, place.sequence.q, place.h, i) = row.log_sum_exp();
}

template <typename T, typename Sizes>
__global__ void __launch_bounds__(Sizes::threads, Sizes::blocks)
    attention_simt(const __grid_constant__ SimtCall<T> call) {
    const AttentionArgs<T>& s = call.s;
    const AttentionOptions& o = s.options;
    const QueryPlace place = query_place(o, call.tiles, Sizes::queries);
    if (place.is_empty()) return;  // all threads
    const Sequence& sequence = place.sequence;
    auto& memory = shared<SimtShared<Sizes>>();
    const int count = min(Sizes::queries, sequence.Lq - place.first);
    const T* const q = row_at(s.q, sequence.q, place.h, place.first);
    load_queries(memory, static_cast<int>(o.D),
                 [&](int r) { return r < count ? q + r * s.q.row : nullptr; });
    const HeadScores<T> head(call.rule, sequence, place.h);
    const SimtHead<T> kv = simt_head<T>(s.k, s.v, sequence, place.h / (o.H / o.KV), o);
    SimtTile<Sizes> tile;
    const int i = place.first + tile.first_row();
    const KeyRange tiles = tiles_of(sequence.keys_of(place.first, count), Sizes::keys);
    for (int n = tiles.begin; n < tiles.end; ++n) {
        const int key = n * Sizes::keys;
        const bool whole = count == Sizes::queries &&
                           sees_all(sequence, place.first, Sizes::queries, key, Sizes::keys);
        tile.take_keys(memory, kv, key, [&](int r, float (&x)[4], int j) {
            return simt_probabilities(x, tile.softmax[r], sequence, head, i + r, j, whole,
                                      o.dropout, sequence.b * o.H + place.h);
        });
    }
#pragma unroll
    for (int r = 0; r < Sizes::rows; ++r) simt_finish_row(tile, r, s, place, i + r);
}

}  // namespace plainformer::cuda
