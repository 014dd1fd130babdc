// The gradient of an additive mask on tensor cores, for heads up to 128 wide: a block owns 64
// queries by 32 keys of the mask, a warp 16 of the queries. The walk: attention_backward_mask.cuh
#pragma once
#include "attention_backward_mask.cuh"
#include "attention_backward_sm80.cuh"

namespace plainformer::cuda {

constexpr int mask_rows = 64, mask_columns = 32;

template <typename T, int W>
struct MaskShared {
    struct Stage {
        T q[mask_rows * W], grad[mask_rows * W], k[mask_columns * W], v[mask_columns * W];
    };
    union {
        alignas(1024) Stage ring[2];
        float sums[mask_rows][mask_columns + 1];
    };
    KeptPairs<mask_rows, mask_columns> kept[2];
};

template <typename T, int W>
struct MaskGradientTile {
    const BackwardProblem<T>& problem;
    const AttentionBackwardArgs<T>& s;
    const AttentionOptions& o;
    MaskShared<T, W>& shared;
    const int lane, first_row;  // of the warp, in the tile
    float sums[mask_columns / 8][4] = {};

    __device__ __forceinline__ MaskGradientTile(const BackwardProblem<T>& p,
                                                MaskShared<T, W>& memory)
        : problem(p),
          s(p.s),
          o(p.s.options),
          shared(memory),
          lane(lane_id()),
          first_row(warp_id() * warp_rows) {}

    using Walk = MaskWalk<mask_rows, mask_columns>;

    __device__ __forceinline__ void load(const Walk& walk, int slot) {
        auto& stage = shared.ring[slot];
        const Sequence& q = walk.sequence;
        const bool aligned = problem.aligned_inputs;
        const auto queries = [&](const HeadsView<const T>& x, int64_t width) {
            return tile_rows(x, q.q, walk.h, walk.i, q.Lq, mask_rows, width);
        };
        const auto keys = [&](const HeadsView<const T>& x, int64_t width) {
            return tile_rows(x, q.k, walk.key_head(), walk.j, q.Lk, mask_columns, width);
        };
        fill_rows<W, mask_rows>(stage.q, queries(s.q, o.D), aligned);
        fill_rows<W, mask_rows>(stage.grad, queries(s.grad_out, o.Dv), aligned);
        fill_rows<W, mask_columns>(stage.k, keys(s.k, o.D), aligned);
        fill_rows<W, mask_columns>(stage.v, keys(s.v, o.Dv), aligned);
        if (o.dropout.threshold)
            shared.kept[slot].draw(o.dropout, static_cast<uint32_t>(q.b * o.H + walk.h), walk.i,
                                   walk.j);
    }

    __device__ __forceinline__ void multiply(float (&d)[mask_columns / 8][4], const T* left,
                                             const T* right) const {
        const uint32_t place = row_place<W>(shared_addr(left + first_row * W));
        multiply_rows<W, mask_columns, 2>(
            d, right, [&](uint32_t (&a)[4], int c) { load_left<W>(a, place, 0, c); });
    }

    __device__ __forceinline__ void add(const Walk& walk, int slot) {
        const auto& stage = shared.ring[slot];
        float raw[mask_columns / 8][4], grad_p[mask_columns / 8][4];
        multiply(raw, stage.q, stage.k);
        multiply(grad_p, stage.grad, stage.v);
        const HeadScores<T> scores(problem.rule, walk.sequence, walk.h);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int i = first_row + lane / 4 + half * 8;
            float shift, delta;
            read_terms(shift, delta, problem, walk.sequence, walk.h, walk.i + i);
#pragma unroll
            for (int m = 0; m < mask_columns / 4; ++m) {
                const int n = m / 2, e = half * 2 + m % 2, j = n * 8 + lane % 4 * 2 + m % 2;
                if (!walk.sees(i, j)) continue;
                const bool kept = !o.dropout.threshold || shared.kept[slot].has(i, j);
                sums[n][e] += pair_gradient(scores, raw[n][e], grad_p[n][e], kept,
                                            static_cast<float>(o.dropout.scale), shift, delta,
                                            walk.i + i, walk.j + j)
                                  .after_cap;
            }
        }
    }

    __device__ __forceinline__ void share() {
#pragma unroll
        for (int n = 0; n < mask_columns / 2; ++n)
            shared.sums[first_row + lane / 4 + n % 4 / 2 * 8][n / 4 * 8 + lane % 4 * 2 + n % 2] =
                sums[n / 4][n % 4];
    }
};

template <typename T, int W>
__global__ void __launch_bounds__(backward_threads, 2)
    attention_mask_gradient_sm80(const __grid_constant__ BackwardProblem<T> problem) {
    auto& shared = cuda::shared<MaskShared<T, W>>();
    MaskGradientTile<T, W> tile(problem, shared);
    MaskWalk<mask_rows, mask_columns> walk(problem.s), next(problem.s);
    bool more = next.advance();
    if (more) tile.load(next, 0);
    cp_async_commit();
    for (int slot = 0; more; slot ^= 1) {
        walk.advance();
        more = next.advance();
        cp_async_wait<0>();
        __syncthreads();  // this tile's rows are there, and nobody reads those of the one before
        if (more) tile.load(next, slot ^ 1);
        cp_async_commit();
        tile.add(walk, slot);
    }
    __syncthreads();  // nobody reads the rows any more, in whose place the sums come
    tile.share();
    __syncthreads();
    store_mask_tile(problem.s, walk.tile, shared.sums);
}

}  // namespace plainformer::cuda
