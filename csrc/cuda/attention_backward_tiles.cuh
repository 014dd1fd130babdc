// What the kernels of the attention backward share: how a block walks over the pairs of queries and
// keys, what it needs of each row beside its scores, and P and dS of one pair.
//
// A block owns a tile of rows of one side and streams those of the other, so that every sum is one
// block's, in order, and no float is added atomically:
//
//   it owns keys, streams queries       dV += P^T dO      dK += dS^T Q
//   it owns queries, streams keys       dQ += dS K
//
// P and dO V^T are computed once for each side: seven products in place of the five of one pass,
// whose dQ would have to wait for its turn or be summed from copies.
#pragma once
#include "attention_scores.cuh"

namespace plainformer::cuda {

// ---- the problem --------------------------------------------------------------------------------

// Numbers of each row, laid out like the log-sum-exp.
struct RowTerms {
    float* shift;  // log-sum-exp in units of log2; inf where no key is seen, so that P is 0
    float* delta;  // sum_c dO_ic O_ic
};

template <typename T>
struct BackwardProblem {
    AttentionBackwardArgs<T> s;
    ScoreRule rule;
    RowTerms terms;
    bool aligned_inputs, aligned_results;  // rows begin at 16 bytes and are whole pieces of 16
    QueryTiles tiles;                      // of the rows that blocks own
};

PF_INLINE int64_t term_place(const HeadsView<const float>& lse, int64_t start, int64_t h,
                             int64_t i) {
    return start * lse.batch + h * lse.head + i * lse.row;
}

// Those of query i. One that does not exist has P = 0.
template <typename T>
__device__ __forceinline__ void read_terms(float& shift, float& delta,
                                           const BackwardProblem<T>& problem, const Sequence& s,
                                           int64_t h, int i) {
    const bool exists = i < s.Lq;
    const int64_t at = term_place(problem.s.lse, s.q, h, exists ? i : 0);
    shift = exists ? problem.terms.shift[at] : INFINITY;
    delta = exists ? problem.terms.delta[at] : 0.0f;
}

// At most `most` rows of one head, from row `first` on.
template <typename T>
struct TileRows {
    T* data;
    int64_t stride;
    int count, width;
};

template <typename T>
__device__ __forceinline__ TileRows<T> tile_rows(const HeadsView<T>& x, int64_t start, int64_t h,
                                                 int first, int length, int most, int64_t width) {
    const int count = max(0, min(length - first, most));
    return {row_at(x, start, h, count ? first : 0), x.row, count, static_cast<int>(width)};
}

// ---- the walk -----------------------------------------------------------------------------------

enum class Owner { keys, queries };

// One block's tile and the steps it takes along the other side: tiles of `streamed` rows, and these
// for each query head of a group where keys are owned. Tiles that do the most come first: early
// keys and late queries under a triangle.
template <Owner owner, int owned, int streamed>
struct TileWalk {
    static constexpr bool owns_keys = owner == Owner::keys;
    Sequence sequence;
    int first;             // owned row
    int other, other_end;  // streamed rows, whole tiles of them
    int head, group;       // of the owned rows; query heads of a key/value head
    int steps;

    __device__ __forceinline__ TileWalk(const AttentionOptions& o, const QueryTiles& division) {
        const unsigned heads = static_cast<unsigned>(owns_keys ? o.KV : o.H);
        const unsigned n = blockIdx.x / division.tiles, place = blockIdx.x % division.tiles;
        const unsigned tile = owns_keys ? place : division.tiles - 1 - place;
        sequence = sequence_at(o, division.first_sequence + n / heads);
        head = static_cast<int>(n % heads);
        group = static_cast<int>(o.H / o.KV);
        first = static_cast<int>(tile) * owned;
        const int count = max(0, min(length() - first, owned));
        KeyRange seen{0, 0};
        if (count > 0)
            seen = owns_keys ? sequence.rows_of(first, count) : sequence.keys_of(first, count);
        const KeyRange range = tiles_of(seen, streamed);
        other = range.begin * streamed, other_end = range.end * streamed;
        steps = (range.end - range.begin) * (owns_keys ? group : 1);
    }

    __device__ __forceinline__ int length() const { return owns_keys ? sequence.Lk : sequence.Lq; }
    __device__ __forceinline__ int key_head() const { return owns_keys ? head : head / group; }

    // A step: a query head, and the first of the streamed rows.
    struct Step {
        int head, place;
    };
    __device__ __forceinline__ Step first_step() const {
        return {owns_keys ? head * group : head, other};
    }
    __device__ __forceinline__ void advance(Step& step) const {
        step.place += streamed;
        if (owns_keys && step.place >= other_end) step = {step.head + 1, other};
    }

    // First query and key of a step's tile.
    __device__ __forceinline__ int query(Step step) const { return owns_keys ? step.place : first; }
    __device__ __forceinline__ int key(Step step) const { return owns_keys ? first : step.place; }
    // Which streamed rows of a step owned row r of the tile pairs with: none if it does not exist.
    __device__ __forceinline__ TileRange partners(Step step, int r) const {
        if (owns_keys) return seeing_in_tile(sequence, first + r, step.place);
        if (first + r >= sequence.Lq) return {0, 0};
        return seen_in_tile(sequence, first + r, step.place);
    }
    // Whether any of owned rows [r, r + rows) of the tile has one.
    __device__ __forceinline__ bool reaches(Step step, int r, int rows) const {
        const KeyRange range =
            owns_keys ? sequence.rows_of(first + r, rows) : sequence.keys_of(first + r, rows);
        return step.place < range.end && step.place + streamed > range.begin;
    }
    // Whether no pair of a step's tile has to be hidden. Queries that do not exist have P = 0 by
    // their shift, and keys that do not exist are nobody's partners.
    __device__ __forceinline__ bool is_full(Step step) const {
        return sees_all(sequence, query(step), owns_keys ? streamed : owned, key(step),
                        owns_keys ? owned : streamed);
    }
};

// ---- dropout ------------------------------------------------------------------------------------

// A bit for each pair of a tile: bit n of a byte is of the n-th key of a block of eight, which one
// call of Philox decides about.
template <int queries, int keys>
struct KeptPairs {
    uint8_t bytes[queries][keys / 8];

    __device__ __forceinline__ bool has(int query, int key) const {
        return bytes[query][key / 8] >> key % 8 & 1;
    }

    // By all threads of a block; key is a multiple of 8.
    __device__ __forceinline__ void draw(const DropoutRule& rule, uint32_t head, int query,
                                         int key) {
        for (int n = threadIdx.x; n < queries * keys / 8; n += blockDim.x) {
            const int i = n / (keys / 8), block = n % (keys / 8);
            const philox::Words words = dropout_words(rule, head, static_cast<uint32_t>(query + i),
                                                      static_cast<uint32_t>(key / 8 + block));
            unsigned kept = 0;
#pragma unroll
            for (int j = 0; j < 8; ++j) kept |= unsigned{keeps(rule, words.w[j / 2], j % 2)} << j;
            bytes[i][block] = static_cast<uint8_t>(kept);
        }
    }
};

// ---- one pair -----------------------------------------------------------------------------------

// Of scores before the cap and the additions, or after them, where a mask is added. Without the
// factors that are the same for all pairs: `scale` of dS, and dropout's of P.
struct PairGradient {
    float p, before_cap, after_cap;
};

// From the scores q k and dO V^T of query i and key j, which is visible to it.
template <typename T>
__device__ __forceinline__ PairGradient pair_gradient(const HeadScores<T>& scores, float raw,
                                                      float grad_p, bool kept, float kept_scale,
                                                      float shift, float delta, int i, int j) {
    const float x = scores.capped(raw), t = scores.masked(x, i, j);
    if (scores.rule.adds() && t == -INFINITY) return {0, 0, 0};
    const float p = exp2_approx(t - shift);
    const float ds = p * ((kept ? grad_p * kept_scale : 0.0f) - delta);
    return {kept ? p : 0.0f, scores.rule.capped ? ds * fmaf(-x, x, 1.0f) : ds, ds};
}

}  // namespace plainformer::cuda
