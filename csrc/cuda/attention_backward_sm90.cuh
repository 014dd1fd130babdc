// Attention backward on sm_90a, bfloat16 and float16. Formulas and shapes: plainformer/attention.h.
// The walks: attention_backward_tiles.cuh
//
// A block owns 64 rows for each of its consumer warpgroups, of K and V or of Q and dO. A producer
// warp brings them once, and tiles of the other side through a ring, by TMA. A consumer has its
// owned rows as the rows of both score products, from shared memory, so that P and dS come out as
// the left operands of the sums' products: they never leave the registers. P is computed while
// dO V^T is under way, dS while P^T dO is.
#pragma once
#include "attention_backward_tiles.cuh"
#include "attention_sm90_heads.cuh"

namespace plainformer::cuda {

// For heads up to W wide.
template <int W, Owner owner>
struct BackwardSm90Sizes {
    static constexpr bool owns_keys = owner == Owner::keys;
    static constexpr int width = W, panels = W / tile_row;
    static constexpr int consumers = 2, owned = 64 * consumers;
    static constexpr int streamed = owns_keys ? 64 : 128;
    static constexpr int stages = W == 64 || owns_keys ? 4 : 2;
    static constexpr int threads = (consumers + 1) * warpgroup_threads;
    static constexpr int owned_bytes = panels * panel_bytes;  // of one consumer
    static constexpr int streamed_bytes = panels * streamed * tile_row_bytes;
    // Of 64 Ki, after a launch with 65536 / threads of them a thread.
    static constexpr int producer_registers = 40, consumer_registers = 232;
};

template <class Sizes>
struct alignas(1024) BackwardSm90Shared {
    // K and V, or Q and dO; later dK and dV, or dQ.
    alignas(1024) unsigned char owned_scores[Sizes::consumers][Sizes::owned_bytes];
    alignas(1024) unsigned char owned_values[Sizes::consumers][Sizes::owned_bytes];
    struct Stage {  // Q and dO, or K and V
        alignas(1024) unsigned char scores[Sizes::streamed_bytes], values[Sizes::streamed_bytes];
    };
    Stage stage[Sizes::stages];
    float shift[Sizes::stages][Sizes::streamed], delta[Sizes::stages][Sizes::streamed];
    uint64_t owned_full;
    Ring<Sizes::stages> ring;            // its consumers are warps
    unsigned strange[Sizes::consumers];  // the mark of the last step with rows that are not finite
};

template <class Sizes, Owner owner>
using BackwardSm90Walk = TileWalk<owner, Sizes::owned, Sizes::streamed>;

// ---- producer -----------------------------------------------------------------------------------

// Maps of the owned rows and of the streamed ones.
struct BackwardSm90Maps {
    const TensorMap &owned_scores, &owned_values, &scores, &values;
};

// By one warp.
template <typename T, int W, Owner owner>
__device__ __forceinline__ void attention_backward_sm90_produce(const BackwardSm90Maps& maps,
                                                                const BackwardProblem<T>& problem) {
    using Sizes = BackwardSm90Sizes<W, owner>;
    constexpr bool owns_keys = Sizes::owns_keys;
    auto& m = shared<BackwardSm90Shared<Sizes>>();
    const AttentionOptions& o = problem.s.options;
    const BackwardSm90Walk<Sizes, owner> walk(o, problem.tiles);
    const bool packed = o.q_rows.starts != nullptr, leads = lane_id() == 0;
    const SequenceAxes q = axes_of(packed, walk.sequence.q), k = axes_of(packed, walk.sequence.k);
    const SequenceAxes own = owns_keys ? k : q, other = owns_keys ? q : k;
    // The rows of a packed neighbour come along: their terms tell whether they are finite.
    Sequence reached = walk.sequence;
    if (packed) reached.Lq = static_cast<int>(o.q_rows.rows - reached.q);
    if (leads && walk.steps > 0) {
        const uint32_t full = shared_addr(&m.owned_full);
        mbarrier_arrive_expect_tx(full, 2 * Sizes::consumers * Sizes::owned_bytes);
        for (int c = 0; c < Sizes::consumers; ++c) {
            const int row = own.row + walk.first + 64 * c;
            load_head_rows<W>(maps.owned_scores, shared_addr(m.owned_scores[c]), full, 64, row,
                              walk.head, own.batch);
            load_head_rows<W>(maps.owned_values, shared_addr(m.owned_values[c]), full, 64, row,
                              walk.head, own.batch);
        }
    }
    RingPosition<Sizes::stages> at;
    auto step = walk.first_step();
#pragma unroll 1
    for (int n = 0; n < walk.steps; ++n, at.advance(), walk.advance(step)) {
        const int head = owns_keys ? step.head : walk.key_head(), first = step.place;
        wait_empty(m.ring, at);
        const uint32_t full = shared_addr(&m.ring.full[at.stage]);
        if (leads) {
            auto& stage = m.stage[at.stage];
            mbarrier_expect_tx(full, 2 * Sizes::streamed_bytes);
            load_head_rows<W>(maps.scores, shared_addr(stage.scores), full, Sizes::streamed,
                              other.row + first, head, other.batch);
            load_head_rows<W>(maps.values, shared_addr(stage.values), full, Sizes::streamed,
                              other.row + first, head, other.batch);
        }
        if constexpr (owns_keys)
            for (int i = lane_id(); i < Sizes::streamed; i += 32)
                read_terms(m.shift[at.stage][i], m.delta[at.stage][i], problem, reached, head,
                           first + i);
        __syncwarp();
        if (leads) mbarrier_arrive(full);
    }
}

// ---- consumers ----------------------------------------------------------------------------------

// A consumer's 64 rows: a thread has two of them, 8 apart, together with three neighbours.
template <typename T, int W, Owner owner>
struct BackwardSm90Rows {
    using Sizes = BackwardSm90Sizes<W, owner>;
    using Shared = BackwardSm90Shared<Sizes>;
    using Walk = BackwardSm90Walk<Sizes, owner>;
    using Step = typename Walk::Step;
    static constexpr bool owns_keys = Sizes::owns_keys;
    static constexpr int columns = Sizes::streamed, count = columns / 2;
    static constexpr int column_slices = columns / slice_steps;

    Shared& m;
    const BackwardProblem<T>& problem;
    const Walk walk;
    const int consumer, first;                // its first row in the tile
    float own_shift[2], own_delta[2];         // where the rows are queries
    float sums[W / 2];                        // dK or dQ
    float value_sums[owns_keys ? W / 2 : 1];  // dV

    __device__ __forceinline__ BackwardSm90Rows(Shared& memory, const BackwardProblem<T>& p)
        : m(memory),
          problem(p),
          walk(p.s.options, p.tiles),
          consumer(warpgroup_index() - 1),
          first(64 * consumer),
          sums{},
          value_sums{} {
        if constexpr (!owns_keys) {
#pragma unroll
            for (int r = 0; r < 2; ++r)
                read_terms(own_shift[r], own_delta[r], problem, walk.sequence, walk.head,
                           walk.first + first + accumulator_row(2 * r));
        }
    }

    __device__ __forceinline__ void sync_own() const {
        barrier_sync(1 + consumer, warpgroup_threads);
    }

    // Whether the rows see any of a step's, and whether they exist.
    __device__ __forceinline__ bool reaches(Step step) const {
        return walk.first + first < walk.length() && walk.reaches(step, first, 64);
    }

    // Whether every pair counts. A sum over queries must not take those of a neighbour.
    __device__ __forceinline__ bool is_whole(Step step) const {
        const int own = walk.first + first;
        if (owns_keys)
            return step.place + columns <= walk.sequence.Lq &&
                   sees_all(walk.sequence, step.place, columns, own, 64);
        return sees_all(walk.sequence, own, 64, step.place, columns);
    }

    // x[i] becomes f(x[i], the term of its query). Terms of streamed queries are in shared memory.
    template <typename F>
    __device__ __forceinline__ void with_terms(float (&x)[count], const float* streamed,
                                               const float (&own)[2], const F& f) const {
#pragma unroll
        for (int n = 0; n < columns / 8; ++n) {
            float2 pair{};
            if constexpr (owns_keys)
                pair = *reinterpret_cast<const float2*>(streamed + accumulator_column(4 * n));
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const float term = owns_keys ? (e % 2 ? pair.y : pair.x) : own[e / 2];
                x[4 * n + e] = f(4 * n + e, x[4 * n + e], term);
            }
        }
    }

    // 0 for pairs that do not count.
    __device__ __forceinline__ void hide(float (&x)[count], Step step) const {
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            const TileRange partners = walk.partners(step, first + accumulator_row(2 * r));
#pragma unroll
            for (int i = 0; i < count; ++i)
                if (i / 2 % 2 == r && !partners.has(accumulator_column(i))) x[i] = 0;
        }
    }

    // Whether a streamed row may hold NaN or infinities; the warpgroup agrees. All scores of such a
    // row of Q or K show it, before any is hidden; of dO its shift does. `mark`: no other step's.
    __device__ __forceinline__ bool is_strange(const float (&raw)[count], int stage,
                                               unsigned mark) {
        float check = 0;
        bool found = false;
#pragma unroll
        for (int i = 0; i < count; ++i) check = fmaf(raw[i], 0.0f, check);
        if constexpr (owns_keys) {
#pragma unroll
            for (int n = 0; n < columns / 8; ++n) {
                const float* shift = m.shift[stage] + accumulator_column(4 * n);
                found = found || shift[0] != shift[0] || shift[1] != shift[1];
            }
        }
        if (found || check != check) atomicExch(&m.strange[consumer], mark);
        sync_own();
        const bool strange = *static_cast<volatile unsigned*>(&m.strange[consumer]) == mark;
        sync_own();  // nobody marks the next step before all have seen
        return strange;
    }

    // d += A Y, where elements of Y that are not finite count as 0: whoever sees them has a P of
    // NaN already. By mma.sync, whose fragments stand where wgmma's do.
    __device__ __forceinline__ void multiply_finite(float (&d)[W / 2],
                                                    const uint32_t (&a)[column_slices][4],
                                                    const unsigned char* y) const {
#pragma unroll
        for (int c = 0; c < W / 16; ++c) {
            const uint32_t place =
                row_place<tile_row>(shared_addr(y + c / 4 * columns * tile_row_bytes));
            float left[4], right[4];
#pragma unroll
            for (int e = 0; e < 4; ++e) left[e] = d[8 * c + e], right[e] = d[8 * c + 4 + e];
#pragma unroll
            for (int slice = 0; slice < column_slices; ++slice) {
                uint32_t b[4];
                load_right_trans<tile_row>(b, place, 16 * slice, c % 4);
#pragma unroll
                for (int e = 0; e < 4; ++e) b[e] &= ~whole_halves(not_finite<T>(b[e]));
                mma_m16n8k16<T>(left, a[slice], b[0], b[1]);
                mma_m16n8k16<T>(right, a[slice], b[2], b[3]);
            }
#pragma unroll
            for (int e = 0; e < 4; ++e) d[8 * c + e] = left[e], d[8 * c + 4 + e] = right[e];
        }
    }

    __device__ __forceinline__ void compute(int stage, Step step, unsigned mark) {
        auto& streamed = m.stage[stage];
        const bool whole = is_whole(step);
        float p[count], ds[count];
        uint32_t left_p[owns_keys ? column_slices : 1][4], left_ds[column_slices][4];
        wgmma_fence();
        issue_scores<T, W>(p, shared_addr(m.owned_scores[consumer]), shared_addr(streamed.scores));
        issue_scores<T, W>(ds, shared_addr(m.owned_values[consumer]), shared_addr(streamed.values));
        wgmma_wait<1>(p);
        bool strange = false;
        if (!whole) strange = is_strange(p, stage, mark);
        const float factor = problem.rule.factor;
        with_terms(p, m.shift[stage], own_shift, [factor](int, float raw, float shift) {
            return exp2_approx(fmaf(raw, factor, -shift));
        });
        if (!whole) hide(p, step);
        if constexpr (owns_keys) round_to_left<T>(left_p, p);
        const auto differentiate = [&] {
            with_terms(ds, m.delta[stage], own_delta,
                       [&](int i, float grad, float delta) { return p[i] * (grad - delta); });
            if (!whole) hide(ds, step);
            round_to_left<T>(left_ds, ds);
        };
        if (strange) {
            wgmma_wait<0>(ds);
            differentiate();
            if constexpr (owns_keys) multiply_finite(value_sums, left_p, streamed.values);
            multiply_finite(sums, left_ds, streamed.scores);
        } else {
            if constexpr (owns_keys) {
                wgmma_fence();
                issue_sums<T>(value_sums, left_p, shared_addr(streamed.values));
                wgmma_wait<1>(ds);
            } else {
                wgmma_wait<0>(ds);
            }
            differentiate();
            wgmma_fence();
            issue_sums<T>(sums, left_ds, shared_addr(streamed.scores));
            wgmma_wait<0>(sums);
            if constexpr (owns_keys) wgmma_wait<0>(value_sums);
        }
    }

    __device__ __forceinline__ void run() {
        if (threadIdx.x % warpgroup_threads == 0) m.strange[consumer] = 0;
        sync_own();
        if (walk.steps > 0) mbarrier_wait(shared_addr(&m.owned_full), 0);
        RingPosition<Sizes::stages> at;
        Step step = walk.first_step();
#pragma unroll 1
        for (int n = 0; n < walk.steps; ++n, at.advance(), walk.advance(step)) {
            wait_full(m.ring, at);
            if (reaches(step)) compute(at.stage, step, static_cast<unsigned>(n) + 1);
            release_by_warp(m.ring, at.stage);
        }
    }

    // Through the consumer's own rows, which it needs no more.
    template <int R>
    __device__ __forceinline__ void store(float (&d)[R], const HeadsView<T>& to, int64_t width,
                                          unsigned char* staging, double scale) const {
#pragma unroll
        for (float& x : d) x *= static_cast<float>(scale);
        const int row = walk.first + first;
        store_head_rows(d, staging,
                        row_at(to, owns_keys ? walk.sequence.k : walk.sequence.q, walk.head, row),
                        to.row, walk.length() - row, static_cast<int>(width));
    }
};

template <typename T, int W, Owner owner>
__global__ void __launch_bounds__(BackwardSm90Sizes<W, owner>::threads, 1)
    attention_backward_sm90_kernel(const __grid_constant__ TensorMap owned_scores,
                                   const __grid_constant__ TensorMap owned_values,
                                   const __grid_constant__ TensorMap scores,
                                   const __grid_constant__ TensorMap values,
                                   const __grid_constant__ BackwardProblem<T> problem) {
    using Sizes = BackwardSm90Sizes<W, owner>;
    auto& m = shared<BackwardSm90Shared<Sizes>>();
    if (threadIdx.x == 0) {
        tma_prefetch(owned_scores), tma_prefetch(owned_values);
        tma_prefetch(scores), tma_prefetch(values);
        mbarrier_init(shared_addr(&m.owned_full), 1);
        m.ring.init(Sizes::consumers * warpgroup_threads / 32);
        mbarrier_init_fence();
    }
    __syncthreads();
    if (warpgroup_index() == 0) {
        setmaxnreg_dec<Sizes::producer_registers>();
        if (threadIdx.x < 32)
            attention_backward_sm90_produce<T, W, owner>(
                {owned_scores, owned_values, scores, values}, problem);
        return;
    }
    setmaxnreg_inc<Sizes::consumer_registers>();
    const AttentionBackwardArgs<T>& s = problem.s;
    BackwardSm90Rows<T, W, owner> rows(m, problem);
    rows.run();
    rows.sync_own();  // all have read what results are staged in
    if constexpr (Sizes::owns_keys) {
        rows.store(rows.sums, s.dk, s.options.D, m.owned_scores[rows.consumer], s.options.scale);
        rows.store(rows.value_sums, s.dv, s.options.Dv, m.owned_values[rows.consumer], 1);
    } else {
        rows.store(rows.sums, s.dq, s.options.D, m.owned_scores[rows.consumer], s.options.scale);
    }
}

}  // namespace plainformer::cuda
