// Attention backward on tensor cores, bfloat16 and float16. Formulas and shapes:
// plainformer/attention.h. The walks: attention_backward_tiles.cuh
//
// A block of four warps owns 64 rows of keys or queries, which stay in shared memory, and streams
// the other side through a ring of two stages. A warp owns 16 of the rows and computes their scores
// with all streamed rows, so that P and dS come out of m16n8k16 as the left operand of the next
// product: they never leave the registers, and warps meet once a step, at the ring.
//
// Up to a width of 128 a block that owns keys sums dK and dV; at 256 these sums are 256 registers a
// thread, and each has a launch of its own.
#pragma once
#include "attention_backward_tiles.cuh"
#include "attention_tile.cuh"

namespace plainformer::cuda {

enum class Gradient { dk_dv, dk, dv, dq };

constexpr int owned_rows = 64, backward_threads = 128, warp_rows = 16;

// ---- tiles in shared memory ---------------------------------------------------------------------

// Fills a tile's rows with those of `from`, and 0 beyond them. Rows that are not whole aligned
// chunks of 16 bytes are read element by element, into the same places: a view gives the bytes of a
// copy.
template <int W, int rows, typename T>
__device__ __forceinline__ void fill_rows(T* to, const TileRows<const T>& from, bool aligned) {
    if (aligned) {
        copy_rows<W, rows, backward_threads>(shared_addr(to), from.data, from.stride, from.count,
                                             from.width);
        return;
    }
#pragma unroll 1
    for (int n = threadIdx.x; n < rows * W / 2; n += backward_threads) {
        const int r = n / (W / 2), c = n % (W / 2) * 2;
        const T* row = from.data + r * from.stride;
        uint32_t pair = 0;
        if (r < from.count && c < from.width) pair = row[c].bits;
        if (r < from.count && c + 1 < from.width) pair |= uint32_t{row[c + 1].bits} << 16;
        store_pair<W>(to, r, c, pair);
    }
}

// ---- products -----------------------------------------------------------------------------------

// d (16, columns) = X Y^T for all rows of y; left(a, c) loads the left operand of X's columns
// [16 c, 16 c + 16).
template <int W, int columns, int unrolled, typename T, typename Left>
__device__ __forceinline__ void multiply_rows(float (&d)[columns / 8][4], const T* y,
                                              const Left& left) {
    const uint32_t right = column_place<W>(shared_addr(y));
#pragma unroll
    for (int n = 0; n < columns / 2; ++n) d[n / 4][n % 4] = 0;
#pragma unroll(unrolled)
    for (int c = 0; c < W / 16; ++c) {
        uint32_t a[4];
        left(a, c);
#pragma unroll
        for (int n = 0; n < columns / 16; ++n) {
            uint32_t b[4];
            load_right<W>(b, right, 16 * n, c);
            mma_m16n8k16<T>(d[2 * n], a, b[0], b[1]);
            mma_m16n8k16<T>(d[2 * n + 1], a, b[2], b[3]);
        }
    }
}

// d (16, W) += A Y for accumulators A (16, columns) and all rows of y. `clean`: elements of Y that
// are not finite count as 0.
template <int W, int columns, bool clean, typename T>
__device__ __forceinline__ void add_product(float (&d)[W / 8][4],
                                            const float (&weights)[columns / 8][4], const T* y) {
    const uint32_t right = row_place<W>(shared_addr(y));
#pragma unroll
    for (int n = 0; n < columns / 16; ++n) {
        uint32_t a[4];
        pack_left<T>(a, weights[2 * n], weights[2 * n + 1]);
#pragma unroll
        for (int c = 0; c < W / 16; ++c) {
            uint32_t b[4];
            load_right_trans<W>(b, right, 16 * n, c);
            if constexpr (clean) {
#pragma unroll
                for (int e = 0; e < 4; ++e) b[e] &= ~whole_halves(not_finite<T>(b[e]));
            }
            mma_m16n8k16<T>(d[2 * c], a, b[0], b[1]);
            mma_m16n8k16<T>(d[2 * c + 1], a, b[2], b[3]);
        }
    }
}

template <int W, int columns, typename T>
__device__ __forceinline__ void add_product(float (&d)[W / 8][4],
                                            const float (&weights)[columns / 8][4], const T* y,
                                            bool clean) {
    if (clean)
        add_product<W, columns, true>(d, weights, y);
    else
        add_product<W, columns, false>(d, weights, y);
}

// ---- one block ----------------------------------------------------------------------------------

// Rows that a step streams, and steps in the ring: what 99 KB, the least that a device of today
// has, leave beside the owned rows.
template <int W>
constexpr int streamed_rows = W == 256 ? 16 : 32;
template <int W>
constexpr int backward_stages = W == 64 ? 4 : 2;

template <typename T, int W, Gradient gradient>
struct BackwardShared {
    static constexpr int columns = streamed_rows<W>, stages = backward_stages<W>;
    static constexpr bool owns_keys = gradient != Gradient::dq;
    static constexpr int queries = owns_keys ? columns : owned_rows;
    static constexpr int keys = owns_keys ? owned_rows : columns;
    struct Stage {
        T scores[columns * W], values[columns * W];  // Q and dO, or K and V
    };
    alignas(1024) Stage ring[stages];
    T owned_scores[owned_rows * W];                                 // K, or Q
    T owned_values[gradient == Gradient::dv ? 8 : owned_rows * W];  // V, or dO
    float shift[stages][columns], delta[stages][columns];           // of streamed queries
    KeptPairs<queries, keys> kept[stages];
};

// `simple`: a pair's score is its product times a factor and no pair is dropped.
template <typename T, int W, Gradient gradient, bool simple>
struct BackwardTile {
    using Shared = BackwardShared<T, W, gradient>;
    static constexpr int columns = Shared::columns, stages = Shared::stages;
    static constexpr bool owns_keys = Shared::owns_keys;
    static constexpr bool has_ds = gradient != Gradient::dv;
    static constexpr bool has_p = gradient == Gradient::dk_dv || gradient == Gradient::dv;
    // The owned rows are left operands of every step, and stay in registers where these suffice
    // beside the sums and the scores.
    static constexpr int operands = has_ds ? 2 : 1;
    static constexpr int registers =
        (has_ds + has_p) * W / 2 + operands * W / 4 + operands * columns / 2;
    static constexpr bool keeps_operands = registers <= 150;
    using Operand = uint32_t[keeps_operands ? W / 16 : 1][4];

    const BackwardProblem<T>& problem;
    const AttentionBackwardArgs<T>& s;
    const AttentionOptions& o;
    Shared& shared;
    using Walk = TileWalk<owns_keys ? Owner::keys : Owner::queries, owned_rows, columns>;
    using Step = typename Walk::Step;
    const Walk walk;
    const int lane, first_row;  // of the warp, in the tile
    Operand owned_scores, owned_values;
    float own_shift[2], own_delta[2];  // of the thread's rows, where these are queries
    float kept_scale;

    __device__ __forceinline__ BackwardTile(const BackwardProblem<T>& p, Shared& memory)
        : problem(p),
          s(p.s),
          o(p.s.options),
          shared(memory),
          walk(p.s.options, p.tiles),
          lane(lane_id()),
          first_row(warp_id() * warp_rows),
          kept_scale(static_cast<float>(p.s.options.dropout.scale)) {
        if constexpr (!owns_keys) {
#pragma unroll
            for (int n = 0; n < 2; ++n)
                read_terms(own_shift[n], own_delta[n], problem, walk.sequence, walk.head,
                           walk.first + own_row(n));
        }
    }

    // The thread's rows of the tile are those of element n / 2 of each accumulator.
    __device__ __forceinline__ int own_row(int half) const {
        return first_row + lane / 4 + half * 8;
    }

    // ---- loads ----

    __device__ __forceinline__ TileRows<const T> rows(const HeadsView<const T>& x, bool keys,
                                                      int64_t h, int first, int most,
                                                      int64_t width) const {
        const Sequence& q = walk.sequence;
        return tile_rows(x, keys ? q.k : q.q, h, first, keys ? q.Lk : q.Lq, most, width);
    }

    __device__ __forceinline__ void load_owned() {
        const int h = walk.head, first = walk.first;
        fill_rows<W, owned_rows>(shared.owned_scores,
                                 rows(owns_keys ? s.k : s.q, owns_keys, h, first, owned_rows, o.D),
                                 problem.aligned_inputs);
        if constexpr (has_ds)
            fill_rows<W, owned_rows>(
                shared.owned_values,
                rows(owns_keys ? s.v : s.grad_out, owns_keys, h, first, owned_rows, o.Dv),
                problem.aligned_inputs);
    }

    // Step n of the walk, or nothing after the last; a group of copies in either case.
    __device__ __forceinline__ void load_step(int n, Step& step) {
        if (n < walk.steps) {
            fill_stage(n % stages, step);
            walk.advance(step);
        }
        cp_async_commit();
    }

    __device__ __forceinline__ void fill_stage(int slot, Step step) {
        auto& stage = shared.ring[slot];
        const int h = owns_keys ? step.head : walk.key_head(), first = step.place;
        fill_rows<W, columns>(stage.scores,
                              rows(owns_keys ? s.q : s.k, !owns_keys, h, first, columns, o.D),
                              problem.aligned_inputs);
        fill_rows<W, columns>(
            stage.values, rows(owns_keys ? s.grad_out : s.v, !owns_keys, h, first, columns, o.Dv),
            problem.aligned_inputs);
        if (owns_keys && threadIdx.x < columns)
            read_terms(shared.shift[slot][threadIdx.x], shared.delta[slot][threadIdx.x], problem,
                       walk.sequence, h, first + static_cast<int>(threadIdx.x));
        if (!simple && o.dropout.threshold)
            shared.kept[slot].draw(o.dropout,
                                   static_cast<uint32_t>(walk.sequence.b * o.H + step.head),
                                   walk.query(step), walk.key(step));
    }

    // Once the owned rows have landed.
    __device__ __forceinline__ void keep_operands() {
        if constexpr (keeps_operands) {
#pragma unroll
            for (int c = 0; c < W / 16; ++c) {
                load_left<W>(owned_scores[c], left_place(shared.owned_scores), 0, c);
                if constexpr (has_ds)
                    load_left<W>(owned_values[c], left_place(shared.owned_values), 0, c);
            }
        }
    }

    // Of the warp's rows.
    __device__ __forceinline__ uint32_t left_place(const T* owned) const {
        return row_place<W>(shared_addr(owned + first_row * W));
    }

    __device__ __forceinline__ void multiply(float (&d)[columns / 8][4], const Operand& kept,
                                             const T* owned, const T* streamed) const {
        if constexpr (keeps_operands) {
            multiply_rows<W, columns, W / 16>(d, streamed, [&](uint32_t (&a)[4], int c) {
#pragma unroll
                for (int e = 0; e < 4; ++e) a[e] = kept[c][e];
            });
        } else {
            const uint32_t place = left_place(owned);
            multiply_rows<W, columns, 2>(
                d, streamed, [&](uint32_t (&a)[4], int c) { load_left<W>(a, place, 0, c); });
        }
    }

    // ---- one step ----

    // Whether the thread saw a sign that a streamed row holds NaN or inf: each of its products does
    // then, whatever the owned row is.
    __device__ __forceinline__ bool has_bad_column(const float (&d)[columns / 8][4]) const {
        float check = 0;
#pragma unroll
        for (int n = 0; n < columns / 8; ++n)
            check = fmaf(d[n][1], 0.0f, fmaf(d[n][0], 0.0f, check));
        return check != check;
    }
    // Of dO the row terms know, where dO V^T is not computed.
    __device__ __forceinline__ bool has_bad_row(int slot) const {
        bool bad = false;
#pragma unroll
        for (int n = 0; n < columns / 8; ++n)
#pragma unroll
            for (int e = 0; e < 2; ++e) {
                const float shift = shared.shift[slot][n * 8 + lane % 4 * 2 + e];
                bad = bad || shift != shift;
            }
        return bad;
    }

    // f(n, e, half, c) for each of the thread's elements: d[n][e] is of own row `half` and
    // streamed row c.
    template <typename F>
    __device__ __forceinline__ void for_elements(const F& f) const {
#pragma unroll
        for (int n = 0; n < columns / 8; ++n)
#pragma unroll
            for (int e = 0; e < 4; ++e) f(n, e, e / 2, n * 8 + lane % 4 * 2 + e % 2);
    }
    __device__ __forceinline__ float shift_of(int slot, int half, int c) const {
        return owns_keys ? shared.shift[slot][c] : own_shift[half];
    }
    __device__ __forceinline__ float delta_of(int slot, int half, int c) const {
        return owns_keys ? shared.delta[slot][c] : own_delta[half];
    }

    // Scores become P and dO V^T becomes dS, both without their factors.
    __device__ __forceinline__ void differentiate(float (&p)[columns / 8][4],
                                                  float (&ds)[columns / 8][4], int slot,
                                                  Step step) const {
        const auto take = [&](int n, int e, int half, int c) {
            p[n][e] = exp2_approx(fmaf(p[n][e], problem.rule.factor, -shift_of(slot, half, c)));
            if constexpr (has_ds) ds[n][e] = p[n][e] * (ds[n][e] - delta_of(slot, half, c));
        };
        if (walk.is_full(step)) {
            for_elements(take);
            return;
        }
        const TileRange seen[2] = {walk.partners(step, own_row(0)),
                                   walk.partners(step, own_row(1))};
        for_elements([&](int n, int e, int half, int c) {
            take(n, e, half, c);
            if (!seen[half].has(c)) p[n][e] = ds[n][e] = 0;
        });
    }

    // The same with a cap, additions and dropout: each is a pass over the elements, entered by all
    // threads or none.
    __device__ __forceinline__ void differentiate_generally(float (&p)[columns / 8][4],
                                                            float (&ds)[columns / 8][4], int slot,
                                                            Step step) const {
        const HeadScores<T> scores(problem.rule, walk.sequence, step.head);
        const TileRange seen[2] = {walk.partners(step, own_row(0)),
                                   walk.partners(step, own_row(1))};
        const bool drops = o.dropout.threshold != 0;
        const auto is_kept = [&](int half, int c) {
            return shared.kept[slot].has(owns_keys ? c : own_row(half),
                                         owns_keys ? own_row(half) : c);
        };
        if constexpr (has_ds) {
            if (drops)
                for_elements([&](int n, int e, int half, int c) {
                    ds[n][e] = is_kept(half, c) ? ds[n][e] * kept_scale : 0.0f;
                });
            for_elements(
                [&](int n, int e, int half, int c) { ds[n][e] -= delta_of(slot, half, c); });
        }
        if (problem.rule.capped)
            for_elements([&](int n, int e, int, int) {
                const float x = scores.capped(p[n][e]);
                p[n][e] = x;
                if constexpr (has_ds) ds[n][e] *= fmaf(-x, x, 1.0f);
            });
        for_elements([&](int n, int e, int half, int c) {
            const int i = owns_keys ? c : own_row(half), j = owns_keys ? own_row(half) : c;
            const float t = seen[half].has(c)
                                ? scores.masked(p[n][e], walk.query(step) + i, walk.key(step) + j)
                                : -INFINITY;
            p[n][e] = t == -INFINITY ? 0.0f : exp2_approx(t - shift_of(slot, half, c));
            if constexpr (has_ds) ds[n][e] = t == -INFINITY ? 0.0f : p[n][e] * ds[n][e];
        });
        if (drops && has_p)
            for_elements([&](int n, int e, int half, int c) {
                if (!is_kept(half, c)) p[n][e] = 0;
            });
    }

    __device__ __forceinline__ void compute(int slot, Step step, float (&sums)[W / 8][4],
                                            float (&value_sums)[has_p ? W / 8 : 1][4]) {
        const auto& stage = shared.ring[slot];
        float p[columns / 8][4], ds[columns / 8][4];
        multiply(p, owned_scores, shared.owned_scores, stage.scores);
        bool dirty = has_bad_column(p);
        if constexpr (has_ds) multiply(ds, owned_values, shared.owned_values, stage.values);
        if constexpr (has_p) dirty = dirty || (has_ds ? has_bad_column(ds) : has_bad_row(slot));
        dirty = __any_sync(full_warp, dirty);
        if constexpr (simple)
            differentiate(p, ds, slot, step);
        else
            differentiate_generally(p, ds, slot, step);
        if constexpr (has_p) add_product<W, columns>(value_sums, p, stage.values, dirty);
        if constexpr (has_ds) add_product<W, columns>(sums, ds, stage.scores, dirty);
    }

    // ---- results ----

    // The warp's rows, through its own part of a tile that nobody else reads, to whole pieces.
    __device__ __forceinline__ void store(const HeadsView<T>& to, int64_t width, T* memory,
                                          const float (&d)[W / 8][4], double factor) const {
        T* tile = memory + first_row * W;
        const float scale = static_cast<float>(factor);
#pragma unroll
        for (int n = 0; n < W / 4; ++n) {
            const float* pair = d[n / 2] + n % 2 * 2;
            store_pair<W>(tile, lane / 4 + n % 2 * 8, n / 2 * 8 + lane % 4 * 2,
                          pack<T>(pair[0] * scale, pair[1] * scale));
        }
        __syncwarp();
        const Sequence& q = walk.sequence;
        const TileRows<T> rows = tile_rows(to, owns_keys ? q.k : q.q, walk.head,
                                           walk.first + first_row, walk.length(), warp_rows, width);
        for (int n = lane; n < warp_rows * W / 8; n += 32) {
            const int r = n / (W / 8), piece = n % (W / 8), c = piece * 8;
            if (r >= rows.count || c >= rows.width) continue;
            const T* from = tile + tile_offset<W>(r, piece) / 2;
            T* row = rows.data + r * rows.stride + c;
            if (problem.aligned_results)
                *reinterpret_cast<uint4*>(row) = *reinterpret_cast<const uint4*>(from);
            else
                for (int m = 0; m < 8 && c + m < rows.width; ++m) row[m] = from[m];
        }
    }
};

template <typename T, int W, Gradient gradient, bool simple>
__global__ void __launch_bounds__(backward_threads, 2)
    attention_backward_sm80(const __grid_constant__ BackwardProblem<T> problem) {
    using Tile = BackwardTile<T, W, gradient, simple>;
    constexpr int stages = Tile::stages;
    auto& shared = cuda::shared<typename Tile::Shared>();
    Tile tile(problem, shared);
    const AttentionBackwardArgs<T>& s = problem.s;
    const AttentionOptions& o = s.options;
    float sums[W / 8][4] = {};                          // dK or dQ
    float value_sums[Tile::has_p ? W / 8 : 1][4] = {};  // dV

    const int steps = tile.walk.steps;
    auto step = tile.walk.first_step(), next = step;
    if (steps > 0) tile.load_owned();
    for (int n = 0; n < stages - 1; ++n) tile.load_step(n, next);
    for (int n = 0; n < steps; ++n, tile.walk.advance(step)) {
        cp_async_wait<stages - 2>();
        __syncthreads();  // this step's rows are there, and nobody reads those of the one before
        if (n == 0) tile.keep_operands();
        tile.load_step(n + stages - 1, next);
        if (tile.walk.reaches(step, tile.first_row, warp_rows))
            tile.compute(n % stages, step, sums, value_sums);
    }
    if constexpr (gradient == Gradient::dq)
        tile.store(s.dq, o.D, shared.owned_scores, sums, o.scale);
    if constexpr (gradient == Gradient::dk_dv || gradient == Gradient::dk)
        tile.store(s.dk, o.D, shared.owned_scores, sums, o.scale);
    if constexpr (gradient == Gradient::dk_dv)
        tile.store(s.dv, o.Dv, shared.owned_values, value_sums, o.dropout.scale);
    if constexpr (gradient == Gradient::dv)
        tile.store(s.dv, o.Dv, shared.owned_scores, value_sums, o.dropout.scale);
}

}  // namespace plainformer::cuda
