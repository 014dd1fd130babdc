// Attention backward on float32: row terms for every type, and both walks with plain products.
// Formulas and shapes: plainformer/attention.h. The walks: attention_backward_tiles.cuh
#pragma once
#include "attention_backward_tiles.cuh"

namespace plainformer::cuda {

// ---- row terms ----------------------------------------------------------------------------------

constexpr int row_terms_threads = 128;

// Eight elements of a row from c on, 0 beyond its width.
template <typename T>
__device__ __forceinline__ void load_eight(float (&x)[8], const T* row, int c, int width,
                                           bool aligned) {
    if (aligned && c + 8 <= width) {
        constexpr int pieces = sizeof(T) / 2;
        alignas(16) T values[8];
        for (int n = 0; n < pieces; ++n)
            reinterpret_cast<uint4*>(values)[n] = reinterpret_cast<const uint4*>(row + c)[n];
#pragma unroll
        for (int n = 0; n < 8; ++n) x[n] = to_float(values[n]);
    } else {
#pragma unroll
        for (int n = 0; n < 8; ++n) x[n] = c + n < width ? to_float(row[c + n]) : 0.0f;
    }
}

// `lanes` threads a row, eight elements each. Packed sequences are rows one after the other: one
// sequence as long as all.
template <typename T, int lanes>
__global__ void __launch_bounds__(row_terms_threads)
    attention_row_terms(const __grid_constant__ BackwardProblem<T> problem, int64_t sequences,
                        int64_t length) {
    const AttentionBackwardArgs<T>& s = problem.s;
    const int64_t H = s.options.H, rows = row_terms_threads / lanes;
    const int64_t n = blockIdx.x * rows + threadIdx.x / lanes;
    const bool exists = n < sequences * H * length;
    const int64_t i = exists ? n % length : 0, h = exists ? n / length % H : 0;
    const int64_t b = exists ? n / length / H : 0;
    float sum = 0, poison = 0;
    if (exists) {
        float grad[8], out[8];
        const int c = threadIdx.x % lanes * 8, width = static_cast<int>(s.options.Dv);
        load_eight(grad, row_at(s.grad_out, b, h, i), c, width, problem.aligned_inputs);
        load_eight(out, row_at(s.out, b, h, i), c, width, problem.aligned_inputs);
#pragma unroll
        for (int m = 0; m < 8; ++m) {
            sum = fmaf(grad[m], out[m], sum);
            poison = fmaf(grad[m], 0.0f, poison);
        }
    }
#pragma unroll
    for (int step = lanes / 2; step > 0; step /= 2) {
        sum += __shfl_xor_sync(full_warp, sum, step);
        poison += __shfl_xor_sync(full_warp, poison, step);
    }
    if (!exists || threadIdx.x % lanes != 0) return;
    // A dO that is not finite must show in dV although the products take 0 in its place (they skip
    // what is hidden by a P of 0, and 0 NaN is NaN): poison makes this row's P NaN.
    const float lse = *row_at(s.lse, b, h, i);
    const int64_t at = term_place(s.lse, b, h, i);
    problem.terms.shift[at] = poison + (lse == -INFINITY ? INFINITY : lse * log2_e);
    problem.terms.delta[at] = sum;
}

// ---- plain products -----------------------------------------------------------------------------

// 256 threads as 16 x 16, each with 4 x 4 pairs of a tile of 64 x 64, rows and columns 16 apart.
// Widths come in chunks of 32, so that a tile of any width takes the same shared memory.
constexpr int plain_tile = 64, plain_chunk = 32, plain_threads = 256;

struct PlainShared {
    float x[plain_tile][plain_chunk + 1], y[plain_tile][plain_chunk + 1];
    float p[plain_tile][plain_tile + 1], ds[plain_tile][plain_tile + 1];  // [owned][streamed]
    float shift[plain_tile], delta[plain_tile];                           // of queries
    KeptPairs<plain_tile, plain_tile> kept;
};

// Columns [c, c + plain_chunk) of a tile's rows, 0 beyond them. `finite`: also 0 for what is not.
template <typename T>
__device__ __forceinline__ void load_chunk(float (&to)[plain_tile][plain_chunk + 1],
                                           const TileRows<const T>& from, int c,
                                           bool finite = false) {
#pragma unroll 4
    for (int n = threadIdx.x; n < plain_tile * plain_chunk; n += plain_threads) {
        const int r = n / plain_chunk, k = n % plain_chunk;
        float x = 0;
        if (r < from.count && c + k < from.width) x = to_float(from.data[r * from.stride + c + k]);
        to[r][k] = finite && x - x != 0 ? 0.0f : x;
    }
}

// d = X Y^T of two tiles of equal width.
template <typename T>
__device__ __forceinline__ void plain_scores(float (&d)[4][4], const TileRows<const T>& x,
                                             const TileRows<const T>& y, PlainShared& shared) {
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
#pragma unroll
    for (int n = 0; n < 16; ++n) d[n / 4][n % 4] = 0;
    for (int c = 0; c < x.width; c += plain_chunk) {
        load_chunk(shared.x, x, c);
        load_chunk(shared.y, y, c);
        __syncthreads();
#pragma unroll 8
        for (int k = 0; k < plain_chunk; ++k) {
            float a[4], b[4];
#pragma unroll
            for (int n = 0; n < 4; ++n) {
                a[n] = shared.x[ty + 16 * n][k];
                b[n] = shared.y[tx + 16 * n][k];
            }
#pragma unroll
            for (int n = 0; n < 16; ++n)
                d[n / 4][n % 4] = fmaf(a[n / 4], b[n % 4], d[n / 4][n % 4]);
        }
        __syncthreads();
    }
}

// d += A Y, where A (owned, streamed) is P or dS in shared memory. A thread has four rows, 16
// apart, and two columns of each chunk.
template <typename T, int W>
__device__ __forceinline__ void plain_sums(float (&d)[W / plain_chunk][4][2],
                                           const float (&a)[plain_tile][plain_tile + 1],
                                           const TileRows<const T>& y, PlainShared& shared) {
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
#pragma unroll
    for (int chunk = 0; chunk < W / plain_chunk; ++chunk) {
        if (chunk * plain_chunk >= y.width) break;
        load_chunk(shared.y, y, chunk * plain_chunk, true);
        __syncthreads();
#pragma unroll 8
        for (int k = 0; k < plain_tile; ++k) {
            const float y0 = shared.y[k][tx], y1 = shared.y[k][tx + 16];
#pragma unroll
            for (int n = 0; n < 4; ++n) {
                const float weight = a[ty + 16 * n][k];
                d[chunk][n][0] = fmaf(weight, y0, d[chunk][n][0]);
                d[chunk][n][1] = fmaf(weight, y1, d[chunk][n][1]);
            }
        }
        __syncthreads();
    }
}

template <typename T, int W>
__device__ __forceinline__ void store_plain(const TileRows<T>& to,
                                            const float (&d)[W / plain_chunk][4][2], float factor) {
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
#pragma unroll
    for (int n = 0; n < W / plain_chunk * 8; ++n) {
        const int chunk = n / 8, row = ty + 16 * (n / 2 % 4);
        const int c = chunk * plain_chunk + tx + 16 * (n % 2);
        if (row < to.count && c < to.width)
            to.data[row * to.stride + c] = from_float<T>(d[chunk][n / 2 % 4][n % 2] * factor);
    }
}

// ---- both walks ---------------------------------------------------------------------------------

// Shift and delta of the queries of a tile, and which of its pairs are kept.
template <typename T>
__device__ __forceinline__ void load_terms(PlainShared& shared, const BackwardProblem<T>& problem,
                                           const Sequence& sequence, int64_t h, int i, int j) {
    const AttentionOptions& o = problem.s.options;
    if (threadIdx.x < plain_tile)
        read_terms(shared.shift[threadIdx.x], shared.delta[threadIdx.x], problem, sequence, h,
                   i + static_cast<int>(threadIdx.x));
    if (o.dropout.threshold)
        shared.kept.draw(o.dropout, static_cast<uint32_t>(sequence.b * o.H + h), i, j);
}

template <typename T, int W, Owner owner>
__global__ void __launch_bounds__(plain_threads, 1)
    attention_backward_plain(const __grid_constant__ BackwardProblem<T> problem) {
    constexpr bool owns_keys = owner == Owner::keys;
    auto& shared = cuda::shared<PlainShared>();
    const AttentionBackwardArgs<T>& s = problem.s;
    const AttentionOptions& o = s.options;
    const TileWalk<owner, plain_tile, plain_tile> walk(o, problem.tiles);
    const Sequence& sequence = walk.sequence;
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    const float kept_scale = static_cast<float>(o.dropout.scale);
    float scores_sums[W / plain_chunk][4][2] = {};  // dK or dQ
    float values_sums[W / plain_chunk][4][2] = {};  // dV

    auto step = walk.first_step();
    for (int n = 0; n < walk.steps; ++n, walk.advance(step)) {
        const int h = step.head, i = walk.query(step), j = walk.key(step);
        const auto rows = [&](const HeadsView<const T>& x, int64_t width) {
            return tile_rows(x, sequence.q, h, i, sequence.Lq, plain_tile, width);
        };
        const auto keys = [&](const HeadsView<const T>& x, int64_t width) {
            return tile_rows(x, sequence.k, walk.key_head(), j, sequence.Lk, plain_tile, width);
        };
        const TileRows<const T> q = rows(s.q, o.D), grad = rows(s.grad_out, o.Dv);
        const TileRows<const T> k = keys(s.k, o.D), v = keys(s.v, o.Dv);
        load_terms(shared, problem, sequence, h, i, j);
        float raw[4][4], grad_p[4][4];
        plain_scores(raw, owns_keys ? k : q, owns_keys ? q : k, shared);
        plain_scores(grad_p, owns_keys ? v : grad, owns_keys ? grad : v, shared);
        const HeadScores<T> scores(problem.rule, sequence, h);
#pragma unroll
        for (int n = 0; n < 16; ++n) {
            const int own = ty + 16 * (n / 4), other = tx + 16 * (n % 4);
            const int query = owns_keys ? other : own, key = owns_keys ? own : other;
            PairGradient g{0, 0, 0};
            if (walk.partners(step, own).has(other)) {
                const bool kept = !o.dropout.threshold || shared.kept.has(query, key);
                g = pair_gradient(scores, raw[n / 4][n % 4], grad_p[n / 4][n % 4], kept, kept_scale,
                                  shared.shift[query], shared.delta[query], i + query, j + key);
            }
            shared.p[own][other] = g.p;
            shared.ds[own][other] = g.before_cap;
        }  // read after the first barrier of the sums
        if (owns_keys) plain_sums<T, W>(values_sums, shared.p, grad, shared);
        plain_sums<T, W>(scores_sums, shared.ds, owns_keys ? q : k, shared);
    }

    const float scale = static_cast<float>(o.scale);
    const auto results = [&](const HeadsView<T>& x, int64_t start, int64_t width) {
        return tile_rows(x, start, walk.head, walk.first, walk.length(), plain_tile, width);
    };
    if (owns_keys) {
        store_plain<T, W>(results(s.dk, sequence.k, o.D), scores_sums, scale);
        store_plain<T, W>(results(s.dv, sequence.k, o.Dv), values_sums, kept_scale);
    } else {
        store_plain<T, W>(results(s.dq, sequence.q, o.D), scores_sums, scale);
    }
}

}  // namespace plainformer::cuda
