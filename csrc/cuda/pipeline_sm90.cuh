// What the kernels for sm_90a share: a ring of stages in shared memory that TMA fills and wgmma
// reads, the descriptors of its tiles, and where a thread's accumulators stand.
//
// Tiles hold elements of 16 bits in rows of 128 bytes, as TMA writes them with its 128-byte
// swizzle: the 16-byte pieces of row r change places by XOR with r % 8. The matrix descriptors
// name the same swizzle, so that nobody else has to know it, except who writes a tile himself.
#pragma once
#include "device.cuh"

namespace plainformer::cuda {

inline constexpr int warpgroup_threads = 128;
inline constexpr int tile_row = 64;  // elements in a row of a tile
inline constexpr int tile_row_bytes = 128;
inline constexpr int panel_bytes = 64 * tile_row_bytes;  // 64 rows: what one wgmma has of A
inline constexpr int slice_steps = 16;                   // of k, in one wgmma
inline constexpr int slices = tile_row / slice_steps;

// By a shuffle: the compiler then knows it to be the same in a warp, keeps what follows from it
// (stages, phases, descriptors) in uniform registers, and has two instructions between two wgmma
// instead of ten.
__device__ __forceinline__ int warpgroup_index() {
    return __shfl_sync(full_warp, static_cast<int>(threadIdx.x) / warpgroup_threads, 0);
}

// ---- descriptors --------------------------------------------------------------------------------

// Of a tile (rows, 64) whose rows run along k.
__device__ __forceinline__ uint64_t k_major_desc(uint32_t tile) {
    constexpr int eight_rows = 8 * tile_row_bytes;  // the lead is not read with a swizzle
    return matrix_desc(tile, 16, eight_rows);
}

// Of a tile whose rows run along m (or n): panels (k_rows, 64), one for every 64 m.
template <int k_rows = 64>
__device__ __forceinline__ uint64_t mn_major_desc(uint32_t tile) {
    constexpr int eight_steps = 8 * tile_row_bytes, next_panel = k_rows * tile_row_bytes;
    return matrix_desc(tile, next_panel, eight_steps);
}

// The same, `bytes` further on. The low word has the address in units of 16 bytes, and room: no
// carry, so that the instructions between two wgmma are one addition.
__device__ __forceinline__ uint64_t advanced(uint64_t desc, uint32_t bytes) {
    return (desc >> 32 << 32) | (static_cast<uint32_t>(desc) + bytes / 16);
}

template <bool mn_major>
__device__ __forceinline__ uint64_t operand_desc(uint32_t tile) {
    return mn_major ? mn_major_desc(tile) : k_major_desc(tile);
}

// Slice [16 slice, 16 slice + 16) of k: columns of a K-major tile, rows of the other.
template <bool mn_major>
__device__ __forceinline__ uint64_t slice_of(uint64_t desc, int slice) {
    constexpr int bytes = slice_steps * (mn_major ? tile_row_bytes : 2);
    return advanced(desc, static_cast<uint32_t>(slice * bytes));
}

// ---- accumulators -------------------------------------------------------------------------------

// Element i of a thread's accumulators of one wgmma (64 rows) is at this row and column.
__device__ __forceinline__ int accumulator_row(int i) {
    const int thread = threadIdx.x % warpgroup_threads;
    return thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8;
}
__device__ __forceinline__ int accumulator_column(int i) {
    return i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2;
}

// Columns [16 slice, 16 slice + 16) of accumulators, rounded, as the A operand of the next wgmma.
template <typename T, int R>
__device__ __forceinline__ void accumulators_as_a(uint32_t (&a)[4], const float (&d)[R],
                                                  int slice) {
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = pack<T>(d[8 * slice + 2 * i], d[8 * slice + 2 * i + 1]);
}

// Columns [16 slice, 16 slice + 16) of accumulators, rounded, into their swizzled tile (64, 64) in
// shared memory. A warp writes its 16 rows; each of the four 8 x 8 matrices meets all banks once.
template <typename T, int R>
__device__ __forceinline__ void store_accumulators(uint32_t tile, const float (&d)[R], int slice) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x % warpgroup_threads / 32;
    uint32_t rounded[4];
    accumulators_as_a<T>(rounded, d, slice);
    const uint32_t row = warp * 16 + lane % 16, piece = 2 * (slice % slices) + lane / 16;
    stmatrix(tile + swizzled(row * tile_row_bytes + piece * 16, Swizzle::b128), rounded);
}

// ---- the ring -----------------------------------------------------------------------------------

// Barriers of a ring of stages, in shared memory. A stage is full when all its bytes have come and
// empty when every consumer has let it go.
template <int stages>
struct Ring {
    uint64_t full[stages], empty[stages];

    // By one thread; the block (cluster) then synchronises before anybody waits.
    __device__ __forceinline__ void init(int consumers) {
        for (int i = 0; i < stages; ++i) {
            mbarrier_init(shared_addr(&full[i]), 1);
            mbarrier_init(shared_addr(&empty[i]), consumers);
        }
    }
};

// Where a producer or consumer stands. Both walk the same stages; `phase` is the parity of the
// round, and only positions less than a round ahead of the slowest can be told apart by it.
template <int stages>
struct RingPosition {
    int stage = 0;
    unsigned phase = 0;

    __device__ __forceinline__ void advance() {
        if (++stage == stages) stage = 0, phase ^= 1;
    }
    // Past the stages that another consumer takes.
    __device__ __forceinline__ void skip(int steps) {
        stage += steps;
        phase ^= stage / stages & 1;
        stage %= stages;
    }
};

// The producer waits for the consumers of the round before: in the first round there are none.
template <int stages>
__device__ __forceinline__ void wait_empty(Ring<stages>& ring, RingPosition<stages> at) {
    mbarrier_wait(shared_addr(&ring.empty[at.stage]), at.phase ^ 1);
}

template <int stages>
__device__ __forceinline__ void wait_full(Ring<stages>& ring, RingPosition<stages> at) {
    mbarrier_wait(shared_addr(&ring.full[at.stage]), at.phase);
}

// By a whole warpgroup that waited for its reads of the stage: one arrival in each block of the
// cluster, because each of their producers fills a part of the stage.
template <int stages>
__device__ __forceinline__ void release(Ring<stages>& ring, int stage, int cluster) {
    const int thread = threadIdx.x % warpgroup_threads;
    if (thread >= cluster) return;
    const uint32_t empty = shared_addr(&ring.empty[stage]);
    if (cluster > 1)
        mbarrier_arrive_cluster(empty, thread);
    else
        mbarrier_arrive(empty);
}

// By a whole warp, of a ring whose consumers are warps: where their threads also read a stage
// themselves, one of them cannot let go for all.
template <int stages>
__device__ __forceinline__ void release_by_warp(Ring<stages>& ring, int stage) {
    __syncwarp();
    if (lane_id() == 0) mbarrier_arrive(shared_addr(&ring.empty[stage]));
}

}  // namespace plainformer::cuda
