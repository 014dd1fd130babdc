// The mainloop of gemm on sm_90a: TMA fills the stages of a ring, wgmma sums them up.
#pragma once
#include "gemm.cuh"
#include "gemm_sm90_schedule.h"
#include "pipeline_sm90.cuh"

namespace plainformer::cuda {

// A product as the kernel gets it, beside its tensor maps.
template <typename T>
struct GemmSm90Task {
    GemmTask<T> product;
    GemmSchedule schedule;
    int inner_batch;             // matrices along the inner of two axes of the batch
    int A_batch[2], B_batch[2];  // inner, outer: 1, or 0 where the operand is broadcast
    bool by_tma;                 // C and preactivation have tensor maps
};

template <class Shape>
struct alignas(1024) GemmSm90Shared {
    static constexpr int stage_bytes = (Shape::M + Shape::N) * tile_row_bytes;
    struct Stage {
        alignas(1024) unsigned char a[Shape::M * tile_row_bytes], b[Shape::N * tile_row_bytes];
    };
    Stage stage[Shape::stages];
    alignas(1024) unsigned char out[2][2][panel_bytes];  // two for each consumer, used in turn
    Ring<Shape::stages> ring;
};

// ---- producer -----------------------------------------------------------------------------------

// `rows` rows of an operand, 64 steps of k, for the blocks of `everyone` (0: for this block alone).
struct OperandLoad {
    uint32_t to, full;
    int row, rows, k, inner, outer;
    unsigned everyone;
};

__device__ __forceinline__ void load_box(const TensorMap& map, const OperandLoad& s, uint32_t to,
                                         int x, int y) {
    if (s.everyone)
        tma_load_4d_multicast(to, map, s.full, x, y, s.inner, s.outer, s.everyone);
    else
        tma_load_4d(to, map, s.full, x, y, s.inner, s.outer);
}

template <bool mn_major>
__device__ __forceinline__ void load_operand(const TensorMap& map, const OperandLoad& s) {
    if constexpr (mn_major)
        for (int r = 0; r < s.rows; r += tile_row)
            load_box(map, s, s.to + r * tile_row_bytes, s.row + r, s.k);
    else
        load_box(map, s, s.to, s.k, s.row);
}

// By one thread.
template <typename T, class Shape, bool A_is_m_major, bool B_is_n_major>
__device__ __forceinline__ void produce(const TensorMap& map_a, const TensorMap& map_b,
                                        const GemmSm90Task<T>& p) {
    auto& s = shared<GemmSm90Shared<Shape>>();
    const int cluster = p.schedule.cluster, rank = cluster > 1 ? cluster_rank() : 0;
    const int part = Shape::N / cluster;  // of B, which this block brings for all
    RingPosition<Shape::stages> at;
    for (int i = blockIdx.x / cluster; i < p.schedule.count(); i += gridDim.x / cluster) {
        const GemmTile tile = p.schedule.tile(Shape{}, i, rank);
        const int inner = tile.batch % p.inner_batch, outer = tile.batch / p.inner_batch;
#pragma unroll 1
        for (int step = 0; step < tile.steps; ++step, at.advance()) {
            wait_empty(s.ring, at);
            const uint32_t full = shared_addr(&s.ring.full[at.stage]);
            const int k = (tile.first_step + step) * gemm_step;
            mbarrier_arrive_expect_tx(full, s.stage_bytes);
            load_operand<A_is_m_major>(map_a,
                                       {shared_addr(s.stage[at.stage].a), full, tile.m, Shape::M, k,
                                        inner * p.A_batch[0], outer * p.A_batch[1], 0});
            load_operand<B_is_n_major>(
                map_b, {shared_addr(s.stage[at.stage].b) + rank * part * tile_row_bytes, full,
                        tile.n + rank * part, part, k, inner * p.B_batch[0], outer * p.B_batch[1],
                        cluster > 1 ? (1u << cluster) - 1 : 0});
        }
    }
}

// ---- consumers ----------------------------------------------------------------------------------

// Accumulators of a consumer: `blocks` of 64 rows. One array, because they are waited for at once:
// between two waits the compiler may not touch any of them.
template <class Shape>
struct Sums {
    static constexpr int blocks = Shape::ping_pong ? Shape::M / 64 : 1;
    static constexpr int in_block = Shape::N / 2, count = blocks * in_block;
    float d[count];

    __device__ __forceinline__ float (&block(int i))
        [in_block] { return reinterpret_cast<float (&)[in_block]>(d[i * in_block]); }
};

// a, b: descriptors of the stage's tiles.
template <typename T, class Shape, bool A_is_m_major, bool B_is_n_major>
__device__ __forceinline__ void multiply_stage(Sums<Shape>& sums, uint64_t a, uint64_t b,
                                               bool first) {
    wgmma_fence();
#pragma unroll
    for (int slice = 0; slice < slices; ++slice)
#pragma unroll
        for (int block = 0; block < Sums<Shape>::blocks; ++block)
            wgmma<T, A_is_m_major, B_is_n_major>(
                sums.block(block), slice_of<A_is_m_major>(advanced(a, block * panel_bytes), slice),
                slice_of<B_is_n_major>(b, slice), !first || slice > 0);
    wgmma_commit();
}

// The sums of a tile; `at` ends behind its last stage. One step is always in flight, so a stage is
// let go one step late. pass_on() is called when all is issued.
template <typename T, class Shape, bool A_is_m_major, bool B_is_n_major, typename F>
__device__ __forceinline__ void multiply_tile(Sums<Shape>& sums, RingPosition<Shape::stages>& at,
                                              int steps, int cluster, int panel, F pass_on) {
    auto& s = shared<GemmSm90Shared<Shape>>();
    const uint64_t a = operand_desc<A_is_m_major>(shared_addr(s.stage[0].a) + panel * panel_bytes);
    const uint64_t b = operand_desc<B_is_n_major>(shared_addr(s.stage[0].b));
    int last = 0;
#pragma unroll 1
    for (int step = 0; step < steps; ++step, at.advance()) {
        wait_full(s.ring, at);
        const uint32_t offset = at.stage * sizeof(s.stage[0]);
        multiply_stage<T, Shape, A_is_m_major, B_is_n_major>(sums, advanced(a, offset),
                                                             advanced(b, offset), step == 0);
        wgmma_wait<1>();
        if (step > 0) release(s.ring, last, cluster);
        last = at.stage;
    }
    pass_on();
    wgmma_wait<0>(sums.d);
    release(s.ring, last, cluster);
}

}  // namespace plainformer::cuda
