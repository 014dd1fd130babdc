// gemm on sm_90a, for 16-bit elements: wgmma on tiles that TMA brings. Formula: plainformer/gemm.h
//
// A block is persistent: a producer warp runs ahead through the stages of a ring, two consumer
// warpgroups multiply and write out, on one tile or on two in turn (gemm_sm90_schedule.h). Blocks
// of a cluster lie along m and send each other parts of their common B. Whether an operand runs
// along k is one bit of wgmma; the edges of the matrices are TMA's, which reads zeros there and
// leaves out what it would write.
#pragma once
#include "gemm_sm90_epilogue.cuh"

namespace plainformer::cuda {

inline constexpr int gemm_sm90_threads = 3 * warpgroup_threads;

// Registers a thread after launch with 168: (40 + 2 * 232) * 128 = 64.5 thousand of 64 Ki.
inline constexpr int producer_registers = 40, consumer_registers = 232;

// Named barriers: 0 is __syncthreads.
inline constexpr int turn_barrier = 1, staging_barrier = 3;  // and the one after, for consumer 1

// The output of a tile's sums: its matrix, or its part of K in the workspace.
template <typename T>
__device__ __forceinline__ GemmOutput<T> output_of(const GemmSm90Task<T>& p, const GemmTile& tile) {
    const GemmTask<T>& product = p.product;
    GemmOutput<T> out = matrix_of(product.s, product.first_matrix + tile.batch).out;
    out.statistics = product.statistics;
    if (!product.parts) return out;
    const int64_t part = int64_t{tile.batch} * p.schedule.splits + tile.split;
    GemmOutput<T> sums;
    sums.M = out.M, sums.N = out.N, sums.C_row = product.parts_row;
    sums.C_acc = product.parts + part * out.M * product.parts_row;
    sums.aligned = true;
    return sums;
}

// Ping-pong: a consumer multiplies only in its turn. Also what keeps it from waiting for a stage
// more than a round ahead, where the parity of the phase would deceive it.
template <class Shape>
struct Turns {
    int consumer;

    __device__ __forceinline__ void begin() const {
        if (Shape::ping_pong && consumer == 1) barrier_arrive(turn_barrier, both);
    }
    __device__ __forceinline__ void take() const {
        if (Shape::ping_pong) barrier_sync(turn_barrier + consumer, both);
    }
    __device__ __forceinline__ void pass_on() const {
        if (Shape::ping_pong) barrier_arrive(turn_barrier + 1 - consumer, both);
    }

    static constexpr int both = 2 * warpgroup_threads;
};

template <typename T, class Shape, bool A_is_m_major, bool B_is_n_major>
__device__ __forceinline__ void consume(const TensorMap& map_c, const TensorMap& map_z,
                                        const GemmSm90Task<T>& p) {
    auto& s = shared<GemmSm90Shared<Shape>>();
    const int consumer = warpgroup_index() - 1;
    const int cluster = p.schedule.cluster, rank = cluster > 1 ? cluster_rank() : 0;
    const int count = p.schedule.count(), stride = gridDim.x / cluster;
    const int panel = Shape::ping_pong ? 0 : consumer;  // of the tile's rows
    const Turns<Shape> turns{consumer};
    Staging staging{shared_addr(s.out[consumer]), staging_barrier + consumer,
                    threadIdx.x % warpgroup_threads == 0};
    RingPosition<Shape::stages> at;
    turns.begin();
    int turn = 0;
    for (int i = blockIdx.x / cluster; i < count; i += stride, turn ^= 1) {
        const GemmTile tile = p.schedule.tile(Shape{}, i, rank);
        if (Shape::ping_pong && turn != consumer) {
            at.skip(tile.steps);
            continue;
        }
        turns.take();
        Sums<Shape> sums;
        multiply_tile<T, Shape, A_is_m_major, B_is_n_major>(sums, at, tile.steps, cluster, panel,
                                                            [&] {
                                                                if (i + stride < count)
                                                                    turns.pass_on();
                                                            });
        const TileOutput<T> out{output_of(p, tile),     p.by_tma, &map_c,    &map_z,
                                tile.m + panel * chunk, tile.n,   tile.batch};
        finish_sums(out, sums, staging);
    }
    if (staging.leads) tma_store_wait<0>();
}

__device__ __forceinline__ void sync_cluster(int cluster) {
    if (cluster > 1) {
        cluster_arrive();
        cluster_wait();
    } else {
        __syncthreads();
    }
}

template <typename T, class Shape, bool A_is_m_major, bool B_is_n_major>
__global__ void __launch_bounds__(gemm_sm90_threads, 1)
    gemm_sm90_kernel(const __grid_constant__ TensorMap map_a,
                     const __grid_constant__ TensorMap map_b,
                     const __grid_constant__ TensorMap map_c,
                     const __grid_constant__ TensorMap map_z,
                     const __grid_constant__ GemmSm90Task<T> p) {
    auto& s = shared<GemmSm90Shared<Shape>>();
    const int cluster = p.schedule.cluster;
    if (threadIdx.x == 0) {
        tma_prefetch(map_a);
        tma_prefetch(map_b);
        s.ring.init((Shape::ping_pong ? 1 : 2) * cluster);
        mbarrier_init_fence();
    }
    sync_cluster(cluster);
    if (warpgroup_index() == 0) {
        setmaxnreg_dec<producer_registers>();
        if (threadIdx.x < 32 && elect_one())
            produce<T, Shape, A_is_m_major, B_is_n_major>(map_a, map_b, p);
        __syncwarp();
    } else {
        setmaxnreg_inc<consumer_registers>();
        consume<T, Shape, A_is_m_major, B_is_n_major>(map_c, map_z, p);
    }
    // Nobody leaves while a peer may still arrive at his barriers or send to his stages.
    if (cluster > 1) sync_cluster(cluster);
}

}  // namespace plainformer::cuda
