// A cluster of blocks that works on one row. The blocks read each other's sums in shared memory.
#pragma once
#include "row_teams.cuh"

namespace plainformer::cuda {

// As BlockTeam, with a barrier of the cluster in place of the block's.
struct ClusterTeam {
    using Shared = BlockTeam::Shared;

    int size, rank, turn = 0;

    __device__ explicit ClusterTeam(int threads)
        : size(threads), rank(static_cast<int>(cluster_rank() * blockDim.x + threadIdx.x)) {}

    __device__ int blocks() const { return size / blockDim.x; }
    __device__ int64_t row_step() const { return gridDim.x / blocks(); }
    __device__ int teams() const { return 1; }
    __device__ int number() const { return 0; }
    __device__ int64_t first_row_of_block() const { return blockIdx.x / blocks(); }
    __device__ int64_t first_row() const { return first_row_of_block(); }
    __device__ int64_t part() const { return first_row(); }

    template <typename Op, int n>
    __device__ void reduce(float (&v)[n]) {
        auto& place = shared<Shared>().sums[turn];
        turn ^= 1;
        WarpTeam warp(warp_size);
        warp.reduce<Op>(v);
#pragma unroll
        for (int i = 0; i < n; ++i)
            if (lane_id() == 0) place[i][warp_id()] = v[i];
        cluster_arrive();
        cluster_wait();
        const bool has_sum = lane_id() < static_cast<int>(blockDim.x) / warp_size;
#pragma unroll
        for (int i = 0; i < n; ++i) v[i] = Op::identity();
        for (int block = 0; block < blocks(); ++block) {
#pragma unroll
            for (int i = 0; i < n; ++i)
                if (has_sum) v[i] = Op::apply(v[i], *cluster_map(&place[i][lane_id()], block));
        }
        warp.reduce<Op>(v);
    }
    template <int n>
    __device__ void sum(float (&v)[n]) {
        reduce<SumOp>(v);
    }
    __device__ bool any(bool condition) { return condition; }
    // No block leaves while others read its sums.
    __device__ void finish() {
        cluster_arrive();
        cluster_wait();
    }
};

}  // namespace plainformer::cuda
