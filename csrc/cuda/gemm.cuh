// What all matrix products share: the matrices of a batch, the place of a tile, and what happens to
// its sums on their way out (bias, activation, rounding, accumulation). Formula: plainformer/gemm.h
//
// A mainloop (gemm_simt.cuh, gemm_sm80.cuh, gemm_sm90.cuh, gemm_gemv.cuh) makes sums in float32 and
// hands them to `finish`, a few neighbouring columns at a time, or to `finish_tile`, a whole tile
// that lies in shared memory. Sums over parts of K go to a workspace through the same functions and
// are added in the order of K by `add_parts`.
#pragma once
#include "activations.cuh"
#include "device.cuh"
#include "plainformer/gemm.h"

namespace plainformer::cuda {

template <typename T>
inline constexpr bool is_half = sizeof(T) == 2;

// ---- Several values of T as floats --------------------------------------------------------------

template <int N>  // 32-bit words; the address is a multiple of their size, at most 16 bytes
__device__ __forceinline__ void load_words(uint32_t (&w)[N], const void* from) {
    static_assert(N == 1 || N == 2 || N % 4 == 0);
    if constexpr (N == 1) {
        w[0] = *static_cast<const uint32_t*>(from);
    } else if constexpr (N == 2) {
        const uint2 v = *static_cast<const uint2*>(from);
        w[0] = v.x, w[1] = v.y;
    } else {
#pragma unroll
        for (int i = 0; i < N; i += 4) {
            const uint4 v = static_cast<const uint4*>(from)[i / 4];
            w[i] = v.x, w[i + 1] = v.y, w[i + 2] = v.z, w[i + 3] = v.w;
        }
    }
}

template <int N>
__device__ __forceinline__ void store_words(void* to, const uint32_t (&w)[N]) {
    static_assert(N == 1 || N == 2 || N % 4 == 0);
    if constexpr (N == 1) {
        *static_cast<uint32_t*>(to) = w[0];
    } else if constexpr (N == 2) {
        *static_cast<uint2*>(to) = make_uint2(w[0], w[1]);
    } else {
#pragma unroll
        for (int i = 0; i < N; i += 4)
            static_cast<uint4*>(to)[i / 4] = make_uint4(w[i], w[i + 1], w[i + 2], w[i + 3]);
    }
}

// W values of T that lie side by side at a multiple of their size, at most 16 bytes for T itself.
template <typename T, int W>
__device__ __forceinline__ void load_columns(float (&v)[W], const T* from) {
    if constexpr (W == 1) {
        v[0] = to_float(*from);
    } else {
        uint32_t w[W * sizeof(T) / 4];
        load_words(w, from);
#pragma unroll
        for (int i = 0; i < W; ++i) {
            if constexpr (is_half<T>) {
                const float2 pair = unpack<T>(w[i / 2]);
                v[i] = i % 2 ? pair.y : pair.x;
            } else {
                v[i] = __uint_as_float(w[i]);
            }
        }
    }
}

template <typename T, int W>
__device__ __forceinline__ void store_columns(T* to, const float (&v)[W]) {
    if constexpr (W == 1) {
        *to = from_float<T>(v[0]);
    } else {
        uint32_t w[W * sizeof(T) / 4];
#pragma unroll
        for (int i = 0; i < W; i += 4 / sizeof(T)) {
            if constexpr (is_half<T>)
                w[i / 2] = pack<T>(v[i], v[i + 1]);
            else
                w[i] = __float_as_uint(v[i]);
        }
        store_words(to, w);
    }
}

// ---- One matrix of the batch --------------------------------------------------------------------

// Where the sums of one matrix go, and through what.
template <typename T>
struct GemmOutput {
    int64_t M = 0, N = 0, C_row = 0;
    T* C = nullptr;                // (M, N), or null where C_acc is given
    float* C_acc = nullptr;        // (M, N) or null
    T* preactivation = nullptr;    // (M, N) or null
    const T* bias = nullptr;       // (N) or null
    float4* statistics = nullptr;  // (M, statistics_across(N)) or null
    Activation activation = Activation::none;
    bool accumulate = false;
    bool aligned = false;  // every row is whole 16-byte vectors, at places for such
};

template <typename T>
struct GemmMatrix {
    const T *A = nullptr, *B = nullptr;  // strides: those of the GemmArgs
    GemmOutput<T> out;
};

template <typename T>
__device__ __forceinline__ GemmMatrix<T> matrix_of(const GemmArgs<T>& s, int64_t index) {
    const int64_t offset = index * s.M * s.C_row;
    GemmMatrix<T> one;
    one.A = s.A, one.B = s.B;
    GemmOutput<T>& out = one.out;
    out.M = s.M, out.N = s.N, out.C_row = s.C_row;
    out.C = s.C ? s.C + offset : nullptr;
    out.C_acc = s.C_acc ? s.C_acc + offset : nullptr;
    out.preactivation = s.preactivation ? s.preactivation + offset : nullptr;
    out.bias = s.bias;
    out.activation = s.activation, out.accumulate = s.accumulate;
    out.aligned = is_vector_aligned(out.C, s.C_row) && is_vector_aligned(out.C_acc) &&
                  is_vector_aligned(out.bias) && is_vector_aligned(out.preactivation) &&
                  s.N % vector_width<T> == 0;
    for (int i = s.batch_ndim - 1; i >= 0; --i) {
        const int64_t at = index % s.batch[i];
        one.A += at * s.A_batch[i], one.B += at * s.B_batch[i];
        index /= s.batch[i];
    }
    return one;
}

// ---- Epilogue -----------------------------------------------------------------------------------

// sums: those of row m, columns [n, n + W), all of them inside; W = 1 or out.aligned.
template <typename T, int W>
__device__ __forceinline__ void finish_inside(const GemmOutput<T>& out, int64_t m, int64_t n,
                                              const float (&sums)[W]) {
    const int64_t at = m * out.C_row + n;
    float z[W], other[W] = {};
    if (out.C_acc) {
        if (out.accumulate) load_columns(other, out.C_acc + at);
#pragma unroll
        for (int i = 0; i < W; ++i) z[i] = out.accumulate ? other[i] + sums[i] : sums[i];
        return store_columns(out.C_acc + at, z);
    }
    if (out.bias) load_columns(other, out.bias + n);
#pragma unroll
    for (int i = 0; i < W; ++i) z[i] = out.bias ? sums[i] + other[i] : sums[i];
    if (out.preactivation) store_columns(out.preactivation + at, z);
    with_activation(out.activation, [&](auto f) {
#pragma unroll
        for (int i = 0; i < W; ++i) z[i] = f.value(z[i]);
    });
    store_columns(out.C + at, z);
}

// The same for any row and any columns, n a multiple of W: what is outside is left out.
template <typename T, int W>
__device__ __forceinline__ void finish(const GemmOutput<T>& out, int64_t m, int64_t n,
                                       const float (&sums)[W]) {
    if (m >= out.M || n >= out.N) return;
    if (out.aligned) return finish_inside(out, m, n, sums);
#pragma unroll
    for (int i = 0; i < W; ++i) {
        const float sum[1] = {sums[i]};
        if (n + i < out.N) finish_inside(out, m, n + i, sum);
    }
}

// Floats of a row of a tile of sums in shared memory: 8 beyond a multiple of 32, so that neither
// the pairs of an mma fragment nor rows read back meet in a bank.
template <int COLUMNS>
inline constexpr int sums_pitch = COLUMNS + 8;

// ---- Statistics of rows -------------------------------------------------------------------------

// For the log-sum-exp of rows that are not kept (linear_cross_entropy): of 64 columns of a row of
// A B + bias x the maximum, y the sum of exp(value - x), z the sum of x - value.
inline constexpr int statistics_columns = 64;

__host__ __device__ __forceinline__ int64_t statistics_across(int64_t N) {
    return (N + statistics_columns - 1) / statistics_columns;
}

// LANES neighbouring lanes have W values each, -inf where there is no column; all get the result.
template <int LANES, int W>
__device__ __forceinline__ float4 statistics_of(const float (&value)[W]) {
    float largest = value[0], sum = 0, surprise = 0;
#pragma unroll
    for (int i = 1; i < W; ++i) largest = fmaxf(largest, value[i]);
    largest = warp_reduce<MaxOp, LANES>(largest);
    const float shift = largest == -INFINITY ? 0.0f : largest;
#pragma unroll
    for (int i = 0; i < W; ++i) {
        sum += exp_approx(value[i] - shift);
        surprise += value[i] == -INFINITY ? 0.0f : shift - value[i];
    }
    return make_float4(largest, warp_reduce<SumOp, LANES>(sum), warp_reduce<SumOp, LANES>(surprise),
                       0.0f);
}

// Writes those of the tile of sums (ROWS, COLUMNS) that begins at row m, column n. Eight lanes take
// 64 columns of a row.
template <int ROWS, int COLUMNS, typename T>
__device__ __forceinline__ void leave_statistics(const GemmOutput<T>& out, const float* sums,
                                                 int64_t m, int64_t n) {
    constexpr int lanes = 8, across = COLUMNS / statistics_columns;
    const int teams = static_cast<int>(blockDim.x) / lanes, lane = threadIdx.x % lanes;
    for (int i = threadIdx.x / lanes; i < ROWS * across; i += teams) {
        const int r = i / across, c = i % across * statistics_columns;
        const int64_t column = n + c + lane * 8;
        float value[8];
        load_columns(value, sums + r * sums_pitch<COLUMNS> + c + lane * 8);
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            if (out.bias && column + j < out.N) value[j] += to_float(out.bias[column + j]);
            if (column + j >= out.N) value[j] = -INFINITY;
        }
        const float4 of_row = statistics_of<lanes>(value);
        if (lane == 0 && m + r < out.M && n + c < out.N)
            out.statistics[(m + r) * statistics_across(out.N) + (n + c) / statistics_columns] =
                of_row;
    }
}

// All threads of the block finish, W columns at a time, the tile of sums (ROWS, COLUMNS) that
// begins at row m, column n.
template <int W, int ROWS, int COLUMNS, typename T>
__device__ __forceinline__ void finish_tile_by(const GemmOutput<T>& out, const float* sums,
                                               int64_t m, int64_t n) {
    constexpr int across = COLUMNS / W;
    for (int i = threadIdx.x; i < ROWS * across; i += blockDim.x) {
        const int r = i / across, c = i % across * W;
        if (m + r >= out.M || n + c >= out.N) continue;
        float z[W];
        load_columns(z, sums + r * sums_pitch<COLUMNS> + c);
        finish_inside(out, m + r, n + c, z);
    }
}

template <int ROWS, int COLUMNS, typename T>
__device__ __forceinline__ void finish_tile(const GemmOutput<T>& out, const float* sums, int64_t m,
                                            int64_t n) {
    if (out.statistics) leave_statistics<ROWS, COLUMNS>(out, sums, m, n);
    if (!out.C && !out.C_acc) return;
    if (out.aligned)
        finish_tile_by<vector_width<T>, ROWS, COLUMNS>(out, sums, m, n);
    else
        finish_tile_by<1, ROWS, COLUMNS>(out, sums, m, n);
}

// ---- Tiles --------------------------------------------------------------------------------------

struct TilePlace {
    int64_t m, n;  // first row and column
};

// The place of tile `index`: bands of 8 tiles of rows, walked column by column, so that the blocks
// that run at one time read few rows of A and few columns of B.
template <int ROWS, int COLUMNS>
__device__ __forceinline__ TilePlace place_of_tile(int64_t M, int64_t N, unsigned index) {
    constexpr unsigned band = 8;
    const unsigned down = static_cast<unsigned>((M + ROWS - 1) / ROWS);
    const unsigned across = static_cast<unsigned>((N + COLUMNS - 1) / COLUMNS);
    const unsigned first = index / (band * across) * band, within = index % (band * across);
    const unsigned rows = min(band, down - first);
    return {static_cast<int64_t>(first + within % rows) * ROWS,
            static_cast<int64_t>(within / rows) * COLUMNS};
}

// ---- Parts of K ---------------------------------------------------------------------------------

// The axis of an operand that is contiguous in memory: k, or the other one (m of A, n of B).
enum class Contiguous { k, other };

// How an operand is read: along `axis`, and by 16 bytes where its lines are aligned.
struct OperandAccess {
    Contiguous axis = Contiguous::k;
    bool aligned = false;
};

// A product as kernels get it. The grid is (tiles, parts of K, matrices of the batch).
template <typename T>
struct GemmTask {
    GemmArgs<T> s;
    int64_t first_matrix = 0;  // of this launch
    OperandAccess A, B;
    float* parts = nullptr;  // (matrices, gridDim.y, M, parts_row), or null for one part
    int64_t parts_row = 0;
    int64_t part_steps = 0;        // of K in a part
    float4* statistics = nullptr;  // as in GemmOutput; with one matrix and one part only
};

struct StepRange {
    int64_t first;
    int count;
};

// The steps of part blockIdx.y of K, `depth` of k in each.
template <typename T>
__device__ __forceinline__ StepRange steps_of_part(const GemmTask<T>& task, int depth) {
    const int64_t first = int64_t{blockIdx.y} * task.part_steps;
    const int64_t left = (task.s.K + depth - 1) / depth - first;
    return {first, static_cast<int>(left < task.part_steps ? left : task.part_steps)};
}

// The output of part blockIdx.y of K: its place in the workspace, if there are several.
template <typename T>
__device__ __forceinline__ GemmOutput<T> part_of(const GemmTask<T>& task, GemmOutput<T> out) {
    out.statistics = task.statistics;
    if (!task.parts) return out;
    const int64_t part = int64_t{blockIdx.z} * gridDim.y + blockIdx.y;
    GemmOutput<T> sums;
    sums.M = out.M, sums.N = out.N, sums.C_row = task.parts_row;
    sums.C_acc = task.parts + part * out.M * task.parts_row;
    sums.aligned = out.aligned;  // parts_row is a multiple of 8
    return sums;
}

inline constexpr int add_parts_threads = 256;

// Adds the parts of matrix blockIdx.z in the order of K and finishes them.
template <int W, typename T>
__device__ __forceinline__ void add_parts_by(const GemmTask<T>& task, int count) {
    const GemmOutput<T> out = matrix_of(task.s, task.first_matrix + blockIdx.z).out;
    const int64_t across = out.N / W, size = out.M * task.parts_row;
    const int64_t i = int64_t{blockIdx.x} * add_parts_threads + threadIdx.x;
    if (i >= out.M * across) return;
    const int64_t m = i / across, n = i % across * W;
    const float* const parts =
        task.parts + int64_t{blockIdx.z} * count * size + m * task.parts_row + n;
    float sums[W], part[W];
    load_columns(sums, parts);
    for (int p = 1; p < count; ++p) {
        load_columns(part, parts + p * size);
#pragma unroll
        for (int j = 0; j < W; ++j) sums[j] += part[j];
    }
    finish_inside(out, m, n, sums);
}

template <typename T>
__global__ void __launch_bounds__(add_parts_threads)
    add_parts(const __grid_constant__ GemmTask<T> task, int count) {
    if (matrix_of(task.s, task.first_matrix + blockIdx.z).out.aligned)
        add_parts_by<vector_width<T>>(task, count);
    else
        add_parts_by<1>(task, count);
}

}  // namespace plainformer::cuda
