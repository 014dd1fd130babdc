// Attention forward on sm_90a, bfloat16 and float16. Formula and shapes: plainformer/attention.h
//
// A block has 64 queries for each of its consumer warpgroups. One thread of a producer warp brings
// Q once, and tiles of K and V through two rings, by TMA. A consumer multiplies Q K^T from shared
// memory and P V with P from registers, and issues Q K^T of the next tile before P V of this one,
// so that softmax runs while the tensor cores do. Consumers take turns at issuing: then one's
// softmax runs under the other's products.
//
// Shah et al., "FlashAttention-3", 2024, arXiv:2407.08608.
#pragma once
#include "attention_sm90_heads.cuh"
#include "attention_softmax.cuh"

namespace plainformer::cuda {

// For heads up to W wide. More consumers where their registers allow it; at 256 shared memory has
// room for half as many keys.
template <int W>
struct AttentionSm90Sizes {
    static constexpr int width = W, panels = W / tile_row;
    static constexpr int consumers = W == 64 ? 3 : 2, queries = 64 * consumers;
    static constexpr int keys = W == 256 ? 64 : 128, stages = 2;
    static constexpr int threads = (consumers + 1) * warpgroup_threads;
    static constexpr int key_tile_bytes = panels * keys * tile_row_bytes;
    // Of 64 Ki, after a launch with 65536 / threads of them a thread.
    static constexpr int producer_registers = consumers == 3 ? 32 : 40;
    static constexpr int consumer_registers = consumers == 3 ? 160 : 232;
};

template <class Sizes>
struct alignas(1024) AttentionSm90Shared {
    // Panels of 64 columns, one below the other.
    alignas(1024) unsigned char q[Sizes::consumers][Sizes::panels * panel_bytes];  // later O
    alignas(1024) unsigned char k[Sizes::stages][Sizes::key_tile_bytes];
    alignas(1024) unsigned char v[Sizes::stages][Sizes::key_tile_bytes];
    uint64_t q_full;
    Ring<Sizes::stages> k_ring, v_ring;
    unsigned strange[Sizes::consumers];  // the last tile in which V was found not to be finite
};

template <typename T>
struct AttentionSm90Call {
    AttentionArgs<T> s;
    float factor;  // of a raw score, to units of log2
    QueryTiles tiles;
};

// ---- producer -----------------------------------------------------------------------------------

// By one thread.
template <typename T, class Sizes>
__device__ __forceinline__ void attention_sm90_produce(const TensorMap& map_q,
                                                       const TensorMap& map_k,
                                                       const TensorMap& map_v,
                                                       const AttentionOptions& o,
                                                       const QueryPlace& place, KeyRange tiles) {
    constexpr int W = Sizes::width;
    auto& m = shared<AttentionSm90Shared<Sizes>>();
    const bool packed = o.q_rows.starts != nullptr;
    const SequenceAxes q = axes_of(packed, place.sequence.q), k = axes_of(packed, place.sequence.k);
    const int head = static_cast<int>(place.h), kv = head / static_cast<int>(o.H / o.KV);
    const uint32_t q_full = shared_addr(&m.q_full);
    mbarrier_arrive_expect_tx(q_full, Sizes::consumers * Sizes::panels * panel_bytes);
    for (int c = 0; c < Sizes::consumers; ++c)
        load_head_rows<W>(map_q, shared_addr(m.q[c]), q_full, 64, q.row + place.first + 64 * c,
                          head, q.batch);
    RingPosition<Sizes::stages> at;
#pragma unroll 1
    for (int n = tiles.begin; n < tiles.end; ++n, at.advance()) {
        const int row = k.row + n * Sizes::keys;
        wait_empty(m.k_ring, at);
        const uint32_t k_full = shared_addr(&m.k_ring.full[at.stage]);
        mbarrier_arrive_expect_tx(k_full, Sizes::key_tile_bytes);
        load_head_rows<W>(map_k, shared_addr(m.k[at.stage]), k_full, Sizes::keys, row, kv, k.batch);
        wait_empty(m.v_ring, at);
        const uint32_t v_full = shared_addr(&m.v_ring.full[at.stage]);
        mbarrier_arrive_expect_tx(v_full, Sizes::key_tile_bytes);
        load_head_rows<W>(map_v, shared_addr(m.v[at.stage]), v_full, Sizes::keys, row, kv, k.batch);
    }
}

// ---- turns --------------------------------------------------------------------------------------

// Consumers issue their products one after the other, in a circle. Barrier 0 is __syncthreads;
// those behind the turns' are a consumer's own.
template <int consumers>
struct IssueTurns {
    static constexpr int both = 2 * warpgroup_threads;
    int consumer;

    __device__ __forceinline__ void begin() const {
        if (consumer == consumers - 1) barrier_arrive(1, both);
    }
    __device__ __forceinline__ void take() const { barrier_sync(1 + consumer, both); }
    __device__ __forceinline__ void pass_on(bool last) const {
        if (last && consumer == consumers - 1) return;  // nobody comes after
        barrier_arrive(1 + (consumer + 1) % consumers, both);
    }
    __device__ __forceinline__ void sync_own() const {
        barrier_sync(1 + consumers + consumer, warpgroup_threads);
    }
};

// ---- consumers ----------------------------------------------------------------------------------

// A consumer's 64 rows: a thread has two of them, 8 apart, together with three neighbours.
template <typename T, class Sizes>
struct AttentionSm90Rows {
    static constexpr int W = Sizes::width, keys = Sizes::keys, key_slices = keys / slice_steps;
    static constexpr int score_count = keys / 2, sum_count = W / 2;

    float scores[score_count];  // raw, then P
    float sums[sum_count];
    uint32_t p[key_slices][4];  // P, rounded, as left operands
    RowSoftmax softmax[2];

    // Hides what the rows from `row` on do not see of the keys from `key` on.
    __device__ __forceinline__ void hide(const Sequence& sequence, int row, int key) {
        TileRange seen[2];
#pragma unroll
        for (int r = 0; r < 2; ++r)
            seen[r] = seen_in_tile(sequence, row + accumulator_row(2 * r), key);
#pragma unroll
        for (int i = 0; i < score_count; ++i)
            if (!seen[i / 2 % 2].has(accumulator_column(i))) scores[i] = -INFINITY;
    }

    // P in place of the scores; scaled[r]: what the sums so far have to be multiplied with.
    __device__ __forceinline__ void take_scores(float factor, float (&scaled)[2]) {
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            float most = -INFINITY;
#pragma unroll
            for (int i = 0; i < score_count; ++i)
                if (i / 2 % 2 == r) most = fmaxf(most, scores[i]);
            most = warp_reduce<MaxOp, 4>(most);
            scaled[r] = softmax[r].raise(most * factor);
            const float shift = softmax[r].shift();
            float sum = 0;
#pragma unroll
            for (int i = 0; i < score_count; ++i)
                if (i / 2 % 2 == r) {
                    scores[i] = exp2_approx(fmaf(scores[i], factor, -shift));
                    sum += scores[i];
                }
            softmax[r].sum += sum;
        }
    }

    __device__ __forceinline__ void rescale(const float (&scaled)[2]) {
#pragma unroll
        for (int i = 0; i < sum_count; ++i) sums[i] *= scaled[i / 2 % 2];
    }

    // sums += P V where V holds NaN or infinities and P is 0 for some pairs: by mma.sync, whose
    // fragments stand where wgmma's do, so that what is not finite can be kept from rows that do
    // not see it (attention_tile.cuh).
    __device__ __forceinline__ void multiply_carefully(uint32_t v) {
#pragma unroll
        for (int slice = 0; slice < key_slices; ++slice) {
            uint32_t a[1][4];
#pragma unroll
            for (int e = 0; e < 4; ++e) a[0][e] = p[slice][e];
#pragma unroll
            for (int c = 0; c < W / 16; ++c) {
                const uint32_t panel = v + c / 4 * keys * tile_row_bytes;
                uint32_t b[4];
                load_right_trans<tile_row>(b, row_place<tile_row>(panel), 16 * slice, c % 4);
                float part[1][2][4];
#pragma unroll
                for (int e = 0; e < 8; ++e) part[0][e / 4][e % 4] = sums[8 * c + e];
                keep_finite<T>(part, 0, a, b);
                mma_m16n8k16<T>(part[0][0], a[0], b[0], b[1]);
                mma_m16n8k16<T>(part[0][1], a[0], b[2], b[3]);
#pragma unroll
                for (int e = 0; e < 8; ++e) sums[8 * c + e] = part[0][e / 4][e % 4];
            }
        }
    }
};

// Whether the tile of V that has landed holds NaN or infinities; the warpgroup agrees. `tile` is
// its number and one, which no other tile has.
template <typename T, class Sizes>
__device__ __forceinline__ bool is_strange(const unsigned char* v, unsigned& mark, unsigned tile,
                                           const IssueTurns<Sizes::consumers>& turns) {
    const auto* words = reinterpret_cast<const uint4*>(v);
    uint32_t found = 0;
    for (int i = threadIdx.x % warpgroup_threads; i < Sizes::key_tile_bytes / 16;
         i += warpgroup_threads) {
        const uint4 w = words[i];
        found |= not_finite<T>(w.x) | not_finite<T>(w.y) | not_finite<T>(w.z) | not_finite<T>(w.w);
    }
    if (found) atomicExch(&mark, tile);
    turns.sync_own();
    const bool strange = *static_cast<volatile unsigned*>(&mark) == tile;
    turns.sync_own();  // nobody marks the next tile before all have seen
    return strange;
}

// O and lse of the consumer's rows from `row` on. O goes through the consumer's own queries, which
// it needs no more.
template <typename T, class Sizes>
__device__ __forceinline__ void attention_sm90_finish(AttentionSm90Rows<T, Sizes>& rows,
                                                      const AttentionArgs<T>& s,
                                                      const QueryPlace& place, int row,
                                                      unsigned char* staging) {
    const Sequence& sequence = place.sequence;
    float factor[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        RowSoftmax& softmax = rows.softmax[r];
        softmax.sum = warp_reduce<SumOp, 4>(softmax.sum);
        factor[r] = softmax.normalizer(1.0f);
        const int i = row + accumulator_row(2 * r);
        if (s.lse.data && lane_id() % 4 == 0 && i < sequence.Lq)
            *row_at(s.lse, sequence.q, place.h, i) = softmax.log_sum_exp();
    }
    rows.rescale(factor);
    store_head_rows(rows.sums, staging, row_at(s.out, sequence.q, place.h, row), s.out.row,
                    sequence.Lq - row, static_cast<int>(s.options.Dv));
}

// A consumer's walk over the tiles of keys.
template <typename T, class Sizes>
struct AttentionSm90Walk {
    AttentionSm90Shared<Sizes>& m;
    const Sequence& sequence;
    IssueTurns<Sizes::consumers> turns;
    float factor;
    int row;     // the first of its 64
    uint32_t q;  // their queries
    AttentionSm90Rows<T, Sizes> rows;
    RingPosition<Sizes::stages> at;  // of K; V is one tile behind

    __device__ __forceinline__ bool sees_whole(int n) const {
        return sees_all(sequence, row, 64, n * Sizes::keys, Sizes::keys);
    }

    // In its turn, Q K^T of the next tile.
    __device__ __forceinline__ void issue_scores() {
        wait_full(m.k_ring, at);
        turns.take();
        wgmma_fence();
        cuda::issue_scores<T, Sizes::width>(rows.scores, q, shared_addr(m.k[at.stage]));
    }

    // Scores that are there become P of tile n; `scaled` is for the sums so far.
    __device__ __forceinline__ void take_scores(int n, float (&scaled)[2]) {
        release(m.k_ring, at.stage, 1);
        if (!sees_whole(n)) rows.hide(sequence, row, n * Sizes::keys);
        rows.take_scores(factor, scaled);
    }

    __device__ __forceinline__ void begin(int n, bool only) {
        issue_scores();
        turns.pass_on(only);
        wgmma_wait<0>(rows.scores);
        float scaled[2];
        take_scores(n, scaled);
        round_to_left<T>(rows.p, rows.scores);
#pragma unroll
        for (float& x : rows.sums) x = 0;
    }

    // P V of tile n under way together with Q K^T of tile n + 1, and softmax of that.
    __device__ __forceinline__ void step(int n, int v_stage, bool last) {
        issue_scores();
        issue_sums<T>(rows.sums, rows.p, shared_addr(m.v[v_stage]));
        turns.pass_on(last);
        wgmma_wait<1>(rows.scores);
        float scaled[2];
        take_scores(n + 1, scaled);
        wgmma_wait<0>(rows.sums);
        release(m.v_ring, v_stage, 1);
        rows.rescale(scaled);
        round_to_left<T>(rows.p, rows.scores);
    }

    // The same where P V of tile n is done already.
    __device__ __forceinline__ void step_without_values(int n, bool last) {
        issue_scores();
        turns.pass_on(last);
        wgmma_wait<0>(rows.scores);
        float scaled[2];
        take_scores(n + 1, scaled);
        rows.rescale(scaled);
        round_to_left<T>(rows.p, rows.scores);
    }

    __device__ __forceinline__ void finish(int v_stage) {
        wgmma_fence();
        issue_sums<T>(rows.sums, rows.p, shared_addr(m.v[v_stage]));
        wgmma_wait<0>(rows.sums);
        release(m.v_ring, v_stage, 1);
    }

    // Waits for V of tile n.
    __device__ __forceinline__ bool is_careful(int n) {
        wait_full(m.v_ring, at);
        return !sees_whole(n) && is_strange<T, Sizes>(m.v[at.stage], m.strange[turns.consumer],
                                                      static_cast<unsigned>(n) + 1, turns);
    }
};

template <typename T, class Sizes>
__device__ __forceinline__ void attention_sm90_consume(const AttentionSm90Call<T>& call,
                                                       const QueryPlace& place, KeyRange tiles) {
    auto& m = shared<AttentionSm90Shared<Sizes>>();
    const int consumer = warpgroup_index() - 1, row = place.first + 64 * consumer;
    AttentionSm90Walk<T, Sizes> walk{
        m, place.sequence, {consumer}, call.factor, row, shared_addr(m.q[consumer]), {}, {}};
    if (threadIdx.x % warpgroup_threads == 0) m.strange[consumer] = 0;
    walk.turns.sync_own();
    walk.turns.begin();
    mbarrier_wait(shared_addr(&m.q_full), 0);
    walk.begin(tiles.begin, tiles.end - tiles.begin == 1);
#pragma unroll 1
    for (int n = tiles.begin; n < tiles.end; ++n) {
        const int v_stage = walk.at.stage;
        const bool careful = walk.is_careful(n), last = n + 2 == tiles.end;
        if (careful) {  // in one place: it is long
            walk.rows.multiply_carefully(shared_addr(m.v[v_stage]));
            walk.turns.sync_own();  // each warp reads by itself, and one thread lets go for all
            release(m.v_ring, v_stage, 1);
        }
        walk.at.advance();
        if (n + 1 == tiles.end) {
            if (!careful) walk.finish(v_stage);
        } else if (careful) {
            walk.step_without_values(n, last);
        } else {
            walk.step(n, v_stage, last);
        }
    }
    attention_sm90_finish(walk.rows, call.s, place, row, m.q[consumer]);
}

// Rows of a block that sees no key: O = 0, lse = -inf.
template <typename T, class Sizes>
__device__ __forceinline__ void attention_sm90_nothing(const AttentionArgs<T>& s,
                                                       const QueryPlace& place) {
    const int rows = min(Sizes::queries, place.sequence.Lq - place.first);
    const int width = static_cast<int>(s.options.Dv);
    for (int n = threadIdx.x; n < rows * width; n += Sizes::threads)
        row_at(s.out, place.sequence.q, place.h, place.first + n / width)[n % width] =
            from_float<T>(0.0f);
    if (!s.lse.data) return;
    for (int r = threadIdx.x; r < rows; r += Sizes::threads)
        *row_at(s.lse, place.sequence.q, place.h, place.first + r) = -INFINITY;
}

template <typename T, int W>
__global__ void __launch_bounds__(AttentionSm90Sizes<W>::threads, 1)
    attention_sm90_kernel(const __grid_constant__ TensorMap map_q,
                          const __grid_constant__ TensorMap map_k,
                          const __grid_constant__ TensorMap map_v,
                          const __grid_constant__ AttentionSm90Call<T> call) {
    using Sizes = AttentionSm90Sizes<W>;
    auto& m = shared<AttentionSm90Shared<Sizes>>();
    const AttentionOptions& o = call.s.options;
    const QueryPlace place = query_place(o, call.tiles, Sizes::queries);
    if (place.is_empty()) return;  // all threads
    const int count = min(Sizes::queries, place.sequence.Lq - place.first);
    const KeyRange tiles = tiles_of(place.sequence.keys_of(place.first, count), Sizes::keys);
    if (tiles.empty()) return attention_sm90_nothing<T, Sizes>(call.s, place);  // all threads
    if (threadIdx.x == 0) {
        tma_prefetch(map_q), tma_prefetch(map_k), tma_prefetch(map_v);
        mbarrier_init(shared_addr(&m.q_full), 1);
        m.k_ring.init(Sizes::consumers);
        m.v_ring.init(Sizes::consumers);
        mbarrier_init_fence();
    }
    __syncthreads();
    if (warpgroup_index() == 0) {
        setmaxnreg_dec<Sizes::producer_registers>();
        if (threadIdx.x < 32 && elect_one())
            attention_sm90_produce<T, Sizes>(map_q, map_k, map_v, o, place, tiles);
    } else {
        setmaxnreg_inc<Sizes::consumer_registers>();
        attention_sm90_consume<T, Sizes>(call, place, tiles);
    }
}

}  // namespace plainformer::cuda
