// Matrix product of bfloat16 and float16 on tensor cores by mma.sync. Formula: plainformer/gemm.h
//
// A block makes one tile of C. Tiles of A and B, tile_depth of k deep, go through a ring of
// cp.async stages; ldmatrix reads them from a swizzled layout in which the eight rows of one 8x8
// matrix lie in different banks. Either axis of an operand may be the contiguous one: a tile is
// stored as it lies in memory and turned by ldmatrix.trans. What cp.async cannot copy (rows off
// their alignment, other strides, the last chunk of a row) is gathered element by element into the
// same layout, so that strides change the time and never the bytes.
#pragma once
#include "gemm.cuh"

namespace plainformer::cuda {

template <int TILE_ROWS, int TILE_COLUMNS, int WARP_ROWS, int WARP_COLUMNS>
struct Sm80Tile {
    static constexpr int rows = TILE_ROWS, columns = TILE_COLUMNS;
    static constexpr int warp_rows = WARP_ROWS, warp_columns = WARP_COLUMNS;
    static constexpr int warps_across = columns / warp_columns;
    static constexpr int threads = rows / warp_rows * warps_across * 32;
};
using Sm80LargeTile = Sm80Tile<128, 128, 64, 32>;  // 8 warps, 64 sums a thread
using Sm80SmallTile = Sm80Tile<64, 64, 32, 32>;    // 4 warps, 32 sums a thread

inline constexpr int sm80_depth = 32;  // of k in a stage: two mma steps
// Three stages are on their way while one is used: with 16 KB each, two blocks fit on an A100's SM.
inline constexpr int sm80_stages = 4;

// ---- A tile of one operand in shared memory -----------------------------------------------------

// EXTENT of m or n by sm80_depth of k, in lines along the contiguous axis, of 16-byte chunks.
template <Contiguous AXIS, int EXTENT>
struct OperandTile {
    static constexpr int elements = EXTENT * sm80_depth, bytes = 2 * elements;
    static constexpr int line = AXIS == Contiguous::k ? sm80_depth : EXTENT;
    static constexpr int chunks = line / 8;

    // Byte offset of a chunk. Lines of 64 bytes: two fill all banks, so the chunk is swapped with
    // half the line's number; longer lines: with the number itself.
    static __device__ __forceinline__ uint32_t offset(int at_line, int chunk) {
        const int swap = AXIS == Contiguous::k ? at_line >> 1 & 3 : at_line & 7;
        return static_cast<uint32_t>(at_line * line * 2 + ((chunk ^ swap) << 4));
    }

    // The fragment of A for rows [m, m + 16) and step `step` of 16 k.
    static __device__ __forceinline__ void load_a(uint32_t (&a)[4], uint32_t tile, int m,
                                                  int step) {
        const int lane = threadIdx.x % 32;
        if constexpr (AXIS == Contiguous::k)
            ldmatrix(a, tile + offset(m + lane % 16, step * 2 + lane / 16));
        else
            ldmatrix_trans(
                a, tile + offset(step * 16 + lane / 16 * 8 + lane % 8, m / 8 + lane / 8 % 2));
    }

    // The fragments of B for columns [n, n + 8) (b[0], b[1]) and [n + 8, n + 16) (b[2], b[3]).
    static __device__ __forceinline__ void load_b(uint32_t (&b)[4], uint32_t tile, int n,
                                                  int step) {
        const int lane = threadIdx.x % 32;
        if constexpr (AXIS == Contiguous::k)
            ldmatrix(b, tile + offset(n + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2));
        else
            ldmatrix_trans(
                b, tile + offset(step * 16 + lane / 8 % 2 * 8 + lane % 8, n / 8 + lane / 16));
    }
};

// ---- Global memory to a stage -------------------------------------------------------------------

// Eight elements `step` apart as one chunk; those from `count` on are 0.
template <typename T>
__device__ __forceinline__ uint4 gather_chunk(const T* from, int64_t step, int64_t count) {
    uint32_t bits[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) bits[i] = i < count ? from[i * step].bits : 0;
    return make_uint4(bits[0] | bits[1] << 16, bits[2] | bits[3] << 16, bits[4] | bits[5] << 16,
                      bits[6] | bits[7] << 16);
}

// What one thread loads of every stage: `count` chunks, each from its own place of the operand.
template <typename T, Contiguous AXIS, int EXTENT, int THREADS>
class Sm80Loader {
    using Tile = OperandTile<AXIS, EXTENT>;
    static constexpr int count = Tile::elements / 8 / THREADS;
    static_assert(Tile::elements == count * 8 * THREADS);

  public:
    // operand[e * e_stride + k * k_stride], e < E, k < K; the first stage begins at (e, k).
    __device__ __forceinline__ Sm80Loader(const T* operand, int64_t e_stride, int64_t k_stride,
                                          int64_t E, int64_t K, int64_t e, int64_t k, bool aligned)
        : advance_(sm80_depth * k_stride),
          step_(AXIS == Contiguous::k ? k_stride : e_stride),
          k_left_(K - k),
          aligned_(aligned),
          whole_(aligned && (AXIS == Contiguous::k ? K : E) % 8 == 0) {
#pragma unroll
        for (int i = 0; i < count; ++i) {
            const int64_t at_e = e + (AXIS == Contiguous::k ? line(i) : chunk(i) * 8);
            const int at_k = AXIS == Contiguous::k ? chunk(i) * 8 : line(i);
            from_[i] = operand + at_e * e_stride + (k + at_k) * k_stride;
            e_left_[i] = static_cast<int>(E - at_e < EXTENT ? E - at_e : EXTENT);
        }
    }

    // Starts the copy of the next stage of the operand to `stage`.
    __device__ __forceinline__ void load(T* stage) {
        const uint32_t address = shared_addr(stage);
        if (whole_) {
#pragma unroll
            for (int i = 0; i < count; ++i)
                cp_async_16(address + Tile::offset(line(i), chunk(i)), from_[i],
                            elements_left(i) > 0);
        } else {
            gather(stage, address);
        }
#pragma unroll
        for (int i = 0; i < count; ++i) from_[i] += advance_;
        k_left_ -= sm80_depth;
    }

  private:
    // The same where some chunks are not 16 bytes that can be copied.
    __device__ __forceinline__ void gather(T* stage, uint32_t address) {
#pragma unroll
        for (int i = 0; i < count; ++i) {
            const uint32_t offset = Tile::offset(line(i), chunk(i));
            const int64_t left = elements_left(i);
            if (aligned_ && (left >= 8 || left <= 0))
                cp_async_16(address + offset, from_[i], left > 0);
            else
                *reinterpret_cast<uint4*>(reinterpret_cast<char*>(stage) + offset) =
                    gather_chunk(from_[i], step_, left);
        }
    }
    static __device__ __forceinline__ int line(int i) {
        return (static_cast<int>(threadIdx.x) + i * THREADS) / Tile::chunks;
    }
    static __device__ __forceinline__ int chunk(int i) {
        return (static_cast<int>(threadIdx.x) + i * THREADS) % Tile::chunks;
    }
    // How many elements of chunk i and of what follows it in its line are in the matrix.
    __device__ __forceinline__ int64_t elements_left(int i) const {
        if (AXIS == Contiguous::k) return e_left_[i] > 0 ? k_left_ - chunk(i) * 8 : 0;
        return k_left_ > line(i) ? e_left_[i] : 0;
    }

    const T* from_[count];
    int64_t advance_, step_, k_left_;
    int e_left_[count];
    bool aligned_, whole_;  // all chunks are 16 bytes of one line
};

// ---- Kernel -------------------------------------------------------------------------------------

template <typename T, typename Tile>
struct Sm80Shared {
    union {
        struct {
            alignas(16) T A[sm80_stages][Tile::rows * sm80_depth];
            alignas(16) T B[sm80_stages][Tile::columns * sm80_depth];
        } ring;
        float sums[Tile::rows * sums_pitch<Tile::columns>];  // once the ring is no longer needed
    };
};

// The sums of one warp: 16x8 fragments of mma.
template <typename Tile>
struct Sm80Sums {
    static constexpr int down = Tile::warp_rows / 16, across = Tile::warp_columns / 8;
    float of[down][across][4] = {};

    static __device__ __forceinline__ int warp_m() {
        return threadIdx.x / 32 / Tile::warps_across * Tile::warp_rows;
    }
    static __device__ __forceinline__ int warp_n() {
        return threadIdx.x / 32 % Tile::warps_across * Tile::warp_columns;
    }

    // Adds the product of one stage.
    template <typename T, Contiguous A_AXIS, Contiguous B_AXIS>
    __device__ __forceinline__ void add_stage(uint32_t stage_A, uint32_t stage_B) {
#pragma unroll
        for (int step = 0; step < sm80_depth / 16; ++step) {
            uint32_t a[down][4], b[across / 2][4];
#pragma unroll
            for (int i = 0; i < down; ++i)
                OperandTile<A_AXIS, Tile::rows>::load_a(a[i], stage_A, warp_m() + i * 16, step);
#pragma unroll
            for (int j = 0; j < across / 2; ++j)
                OperandTile<B_AXIS, Tile::columns>::load_b(b[j], stage_B, warp_n() + j * 16, step);
#pragma unroll
            for (int i = 0; i < down; ++i)
#pragma unroll
                for (int j = 0; j < across; ++j)
                    mma_m16n8k16<T>(of[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
    }

    // To the tile of sums in shared memory. Lane 4 g + q holds columns 2 q and 2 q + 1 of rows g
    // and g + 8 of each fragment.
    __device__ __forceinline__ void store(float* sums) const {
        const int lane = threadIdx.x % 32;
        float* const to =
            sums + (warp_m() + lane / 4) * sums_pitch<Tile::columns> + warp_n() + lane % 4 * 2;
#pragma unroll
        for (int i = 0; i < down; ++i)
#pragma unroll
            for (int j = 0; j < across; ++j)
#pragma unroll
                for (int h = 0; h < 2; ++h)
                    *reinterpret_cast<float2*>(to + (i * 16 + h * 8) * sums_pitch<Tile::columns> +
                                               j * 8) =
                        make_float2(of[i][j][2 * h], of[i][j][2 * h + 1]);
    }
};

template <typename T, typename Tile, Contiguous A_AXIS, Contiguous B_AXIS>
__global__ void __launch_bounds__(Tile::threads, 2)
    gemm_sm80(const __grid_constant__ GemmTask<T> task) {
    auto& shared_memory = shared<Sm80Shared<T, Tile>>();
    auto& ring = shared_memory.ring;
    const GemmMatrix<T> one = matrix_of(task.s, task.first_matrix + blockIdx.z);
    const TilePlace at = place_of_tile<Tile::rows, Tile::columns>(task.s.M, task.s.N, blockIdx.x);
    const StepRange range = steps_of_part(task, sm80_depth);
    const int64_t first_k = range.first * sm80_depth;
    const int steps = range.count;
    Sm80Loader<T, A_AXIS, Tile::rows, Tile::threads> A(
        one.A, task.s.A_row, task.s.A_column, task.s.M, task.s.K, at.m, first_k, task.A.aligned);
    Sm80Loader<T, B_AXIS, Tile::columns, Tile::threads> B(
        one.B, task.s.B_column, task.s.B_row, task.s.N, task.s.K, at.n, first_k, task.B.aligned);
#pragma unroll 1
    for (int t = 0; t < sm80_stages - 1; ++t) {
        if (t < steps) A.load(ring.A[t]), B.load(ring.B[t]);
        cp_async_commit();
    }
    Sm80Sums<Tile> sums;
    for (int t = 0; t < steps; ++t) {
        cp_async_wait<sm80_stages - 2>();  // this thread's part of stage t has landed
        __syncthreads();  // so has everybody's, and nobody still reads the stage that is refilled
        if (t + sm80_stages - 1 < steps) {
            const int next = (t + sm80_stages - 1) % sm80_stages;
            A.load(ring.A[next]), B.load(ring.B[next]);
        }
        cp_async_commit();
        sums.template add_stage<T, A_AXIS, B_AXIS>(shared_addr(ring.A[t % sm80_stages]),
                                                   shared_addr(ring.B[t % sm80_stages]));
    }
    __syncthreads();  // the ring becomes the tile of sums
    sums.store(shared_memory.sums);
    __syncthreads();
    finish_tile<Tile::rows, Tile::columns>(part_of(task, one.out), shared_memory.sums, at.m, at.n);
}

}  // namespace plainformer::cuda
