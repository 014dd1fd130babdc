// A block's rows of attention in float32 arithmetic, without tensor cores: shared by the forward
// and by the cached attention.
//
// Queries stay in shared memory. K and V pass through one buffer in chunks of 64 columns, so that
// any width fits. A thread computes four neighbouring scores of each of its rows, and of these rows
// four neighbouring columns of O in every chunk.
#pragma once
#include "attention_softmax.cuh"

namespace plainformer::cuda {

// `n` rows a thread, heads up to 64 `m` wide.
template <int n, int m>
struct SimtSizes {
    static constexpr int threads = 256, lanes = 16, rows = n;  // lanes: threads that share rows
    static constexpr int queries = threads / lanes * rows, keys = 64;
    static constexpr int columns = 64, chunks = m;
    static constexpr int blocks =
        m == 1 || n * m == 2 ? 2 : 1;  // of a multiprocessor, that registers allow
};

template <typename Sizes>
struct alignas(16) SimtShared {
    float q[Sizes::queries * Sizes::columns * Sizes::chunks];
    float chunk[Sizes::keys * Sizes::columns];  // of K or of V
    float p[Sizes::queries * Sizes::keys];
    int not_finite[Sizes::threads / warp_size];  // whether a warp found such in its part of V
};

// ---- rows to and from shared memory -------------------------------------------------------------

__device__ __forceinline__ float4& four(float* p) { return *reinterpret_cast<float4*>(p); }

// Where four columns from 4 c of row r lie in a chunk. The XOR lets eight threads read the same
// columns of rows four apart from all banks.
PF_INLINE int chunk_at(int r, int c) { return r * 64 + ((c ^ (r >> 2 & 7)) << 2); }

// Elements [c, c + 4) of a row that has `width`; 0 beyond.
template <typename T>
__device__ __forceinline__ float4 load_four(const T* row, int c, int width) {
    if constexpr (std::is_same_v<T, float>)
        if (c + 4 <= width && is_vector_aligned(row))
            return *reinterpret_cast<const float4*>(row + c);
    float x[4];
#pragma unroll
    for (int e = 0; e < 4; ++e) x[e] = c + e < width ? load(row + c + e) : 0.0f;
    return make_float4(x[0], x[1], x[2], x[3]);
}

template <typename T>
__device__ __forceinline__ void store_four(T* row, int c, int width, float4 x) {
    if constexpr (std::is_same_v<T, float>)
        if (c + 4 <= width && is_vector_aligned(row)) {
            *reinterpret_cast<float4*>(row + c) = x;
            return;
        }
    const float values[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
    for (int e = 0; e < 4; ++e)
        if (c + e < width) store(row + c + e, values[e]);
}

__device__ __forceinline__ bool is_finite(float4 x) {
    return x.x - x.x == 0 && x.y - x.y == 0 && x.z - x.z == 0 && x.w - x.w == 0;
}

// Columns [first, first + 64) of `rows` rows to put(row, group of four columns, values). row_of(r)
// is null where there is none, which reads as 0.
template <int rows, typename Row, typename Put>
__device__ __forceinline__ void load_columns(const Row& row_of, int first, int width,
                                             const Put& put) {
    constexpr int groups = 16, threads = 256;
    const int c = threadIdx.x % groups;
#pragma unroll
    for (int r = threadIdx.x / groups; r < rows; r += threads / groups) {
        const auto* const row = row_of(r);
        put(r, c, row ? load_four(row, first + 4 * c, width) : make_float4(0, 0, 0, 0));
    }
}

template <typename Sizes, typename Row>
__device__ __forceinline__ void load_queries(SimtShared<Sizes>& memory, int width,
                                             const Row& row_of) {
    constexpr int q_row = Sizes::columns * Sizes::chunks;
    for (int first = 0; first < width; first += Sizes::columns)
        load_columns<Sizes::queries>(row_of, first, width, [&](int r, int c, float4 x) {
            four(memory.q + r * q_row + first + 4 * c) = x;
        });
}

// ---- keys and values ----------------------------------------------------------------------------

// One key/value head of a sequence.
template <typename T>
struct SimtHead {
    const T *k, *v;
    int64_t k_row, v_row;
    int Lk, D, Dv;
};

template <typename T, typename View>
__device__ __forceinline__ SimtHead<T> simt_head(const View& k, const View& v,
                                                 const Sequence& sequence, int64_t kv,
                                                 const AttentionOptions& o) {
    return {row_at(k, sequence.k, kv, 0), row_at(v, sequence.k, kv, 0), k.row, v.row, sequence.Lk,
            static_cast<int>(o.D),        static_cast<int>(o.Dv)};
}

// ---- softmax ------------------------------------------------------------------------------------

// Dropout of P at four keys from j, half a block of Philox.
__device__ __forceinline__ void drop_four(float (&p)[4], const DropoutRule& rule, int64_t head,
                                          int i, int j) {
    const philox::Words words = dropout_words(
        rule, static_cast<uint32_t>(head), static_cast<uint32_t>(i), static_cast<uint32_t>(j / 8));
    const bool upper = j % 8 != 0;
    const uint32_t w[2] = {upper ? words.w[2] : words.w[0], upper ? words.w[3] : words.w[1]};
#pragma unroll
    for (int e = 0; e < 4; ++e)
        if (!keeps(rule, w[e / 2], e % 2)) p[e] = 0;
}

// P of row i at four keys from j, in place of raw scores; returns the factor for the sums so far.
// `whole`: the row exists and sees all keys of the tile. head_number: b H + h.
template <typename T>
__device__ __forceinline__ float simt_probabilities(float (&x)[4], RowSoftmax& row,
                                                    const Sequence& sequence,
                                                    const HeadScores<T>& head, int i, int j,
                                                    bool whole, const DropoutRule& dropout,
                                                    int64_t head_number) {
    float most = -INFINITY;
#pragma unroll
    for (int n = 0; n < 4; ++n) {
        const bool seen = whole || sees(sequence, i, j + n);
        x[n] = seen ? head.masked(head.capped(x[n]), i, j + n) : -INFINITY;
        most = fmaxf(most, x[n]);
    }
    const float factor = row.raise(warp_reduce<MaxOp, 16>(most));
#pragma unroll
    for (int n = 0; n < 4; ++n) {
        x[n] = exp2_approx(x[n] - row.shift());
        row.sum += x[n];
    }
    if (dropout.threshold) drop_four(x, dropout, head_number, i, j);
    return factor;
}

// ---- one thread's part --------------------------------------------------------------------------

template <typename S>
struct SimtTile {
    using Sizes = S;
    static constexpr int rows = Sizes::rows, chunks = Sizes::chunks, columns = Sizes::columns;
    static constexpr int q_row = columns * chunks;
    static constexpr int steps = rows == 1 ? 2 : 1;  // unrolled: enough products in flight

    float scores[rows][4];
    float sums[rows][chunks][4] = {};
    RowSoftmax softmax[rows];  // `sum` is the thread's part

    static __device__ __forceinline__ int lane() { return threadIdx.x % Sizes::lanes; }
    static __device__ __forceinline__ int first_row() {
        return static_cast<int>(threadIdx.x) / Sizes::lanes * rows;
    }

    // Forgets what was taken.
    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int r = 0; r < rows; ++r) {
            softmax[r] = RowSoftmax();
#pragma unroll
            for (int c = 0; c < chunks; ++c)
#pragma unroll
                for (int e = 0; e < 4; ++e) sums[r][c][e] = 0;
        }
    }

    // A tile of keys from `key`. probabilities(r, scores of four keys, first of the keys) turns
    // scores into P and returns by how much the sums so far have to be scaled.
    template <typename T, typename Probabilities>
    __device__ __forceinline__ void take_keys(SimtShared<Sizes>& memory, const SimtHead<T>& kv,
                                              int key, const Probabilities& probabilities) {
        const int rest = kv.Lk - key;
        multiply_keys(memory, kv.k + key * kv.k_row, kv.k_row, rest, kv.D);
        float* const p = memory.p + first_row() * Sizes::keys;
#pragma unroll
        for (int r = 0; r < rows; ++r) {
            rescale(r, probabilities(r, scores[r], key + 4 * lane()));
            four(p + r * Sizes::keys + 4 * lane()) =
                make_float4(scores[r][0], scores[r][1], scores[r][2], scores[r][3]);
        }
        multiply_values(memory, kv.v + key * kv.v_row, kv.v_row, rest, kv.Dv);
    }

    // scores = Q K^T
    template <typename T>
    __device__ __forceinline__ void multiply_keys(SimtShared<Sizes>& memory, const T* k,
                                                  int64_t stride, int count, int width) {
#pragma unroll
        for (int r = 0; r < rows; ++r)
#pragma unroll
            for (int n = 0; n < 4; ++n) scores[r][n] = 0;
        for (int first = 0; first < width; first += columns) {
            __syncthreads();  // nobody reads the chunk before
            load_columns<Sizes::keys>(
                [&](int r) { return r < count ? k + r * stride : nullptr; }, first, width,
                [&](int r, int c, float4 x) { four(memory.chunk + chunk_at(r, c)) = x; });
            __syncthreads();
            multiply_chunk(memory.q + first_row() * q_row + first, memory.chunk,
                           min(columns, width - first));
        }
    }

    __device__ __forceinline__ void multiply_chunk(float* q, float* chunk, int width) {
#pragma unroll steps
        for (int d = 0; d < width; d += 4) {
            float4 a[rows], b[4];
#pragma unroll
            for (int r = 0; r < rows; ++r) a[r] = four(q + r * q_row + d);
#pragma unroll
            for (int n = 0; n < 4; ++n) b[n] = four(chunk + chunk_at(4 * lane() + n, d / 4));
#pragma unroll
            for (int r = 0; r < rows; ++r)
#pragma unroll
                for (int n = 0; n < 4; ++n) {
                    float& x = scores[r][n];
                    x = fmaf(a[r].x, b[n].x, x), x = fmaf(a[r].y, b[n].y, x);
                    x = fmaf(a[r].z, b[n].z, x), x = fmaf(a[r].w, b[n].w, x);
                }
        }
    }

    __device__ __forceinline__ void rescale(int r, float factor) {
#pragma unroll
        for (int c = 0; c < chunks; ++c)
#pragma unroll
            for (int e = 0; e < 4; ++e) sums[r][c][e] *= factor;
    }

    // sums += P V
    template <typename T>
    __device__ __forceinline__ void multiply_values(SimtShared<Sizes>& memory, const T* v,
                                                    int64_t stride, int count, int width) {
#pragma unroll
        for (int c = 0; c < chunks; ++c) {
            if (columns * c >= width) break;
            __syncthreads();
            bool finite = true;
            load_columns<Sizes::keys>([&](int r) { return r < count ? v + r * stride : nullptr; },
                                      columns * c, width,
                                      [&](int r, int group, float4 x) {
                                          four(memory.chunk + chunk_at(r, group)) = x;
                                          finite &= is_finite(x);
                                      });
            const bool found = __any_sync(full_warp, !finite);
            if (lane_id() == 0) memory.not_finite[warp_id()] = found;
            __syncthreads();
            bool careful = false;
            for (int flag : memory.not_finite) careful |= flag != 0;
            float* const p = memory.p + first_row() * Sizes::keys;
            if (careful)
                add_products<true>(c, p, memory.chunk);
            else
                add_products<false>(c, p, memory.chunk);
        }
    }

    // `careful`: where P is 0, V may hold anything.
    template <bool careful>
    __device__ __forceinline__ void add_products(int c, float* p, float* chunk) {
#pragma unroll steps
        for (int j = 0; j < Sizes::keys; j += 4) {
            float4 v[4];
#pragma unroll
            for (int n = 0; n < 4; ++n) v[n] = four(chunk + chunk_at(j + n, lane()));
#pragma unroll
            for (int r = 0; r < rows; ++r) {
                const float4 w = four(p + r * Sizes::keys + j);
                add_product<careful>(sums[r][c], w.x, v[0]);
                add_product<careful>(sums[r][c], w.y, v[1]);
                add_product<careful>(sums[r][c], w.z, v[2]);
                add_product<careful>(sums[r][c], w.w, v[3]);
            }
        }
    }

    template <bool careful>
    static __device__ __forceinline__ void add_product(float (&sum)[4], float p, float4 v) {
        if (careful && p == 0) return;
        sum[0] = fmaf(p, v.x, sum[0]), sum[1] = fmaf(p, v.y, sum[1]);
        sum[2] = fmaf(p, v.z, sum[2]), sum[3] = fmaf(p, v.w, sum[3]);
    }

    // Row r of O times a factor.
    template <typename T>
    __device__ __forceinline__ void store_sums(T* out, int r, int width, float factor) const {
#pragma unroll
        for (int c = 0; c < chunks; ++c) {
            const float (&x)[4] = sums[r][c];
            store_four(out, columns * c + 4 * lane(), width,
                       make_float4(x[0] * factor, x[1] * factor, x[2] * factor, x[3] * factor));
        }
    }
};

}  // namespace plainformer::cuda
