// Threads that work on one row together, and the sums they share: some lanes of a warp, or a block.
// The threads of a team come to the same sums, bit for bit, in an order that follows from the
// team's size alone.
#pragma once
#include "device.cuh"

namespace plainformer::cuda {

// Teams of `size` threads of a block, which go through rows in step.
struct Team {
    int size, rank;

    __device__ explicit Team(int threads)
        : size(threads), rank(static_cast<int>(threadIdx.x) % threads) {}

    __device__ int teams() const { return static_cast<int>(blockDim.x) / size; }
    __device__ int number() const { return static_cast<int>(threadIdx.x) / size; }
    // Rows that the grid has in hand at a time, and the first of the block's and of this team's.
    __device__ int64_t row_step() const { return int64_t{gridDim.x} * teams(); }
    __device__ int64_t first_row_of_block() const { return int64_t{blockIdx.x} * teams(); }
    __device__ int64_t first_row() const { return first_row_of_block() + number(); }
    // Which of the partial results that blocks leave is this one's.
    __device__ int64_t part() const { return blockIdx.x; }
    // Passed by all threads at the end of a kernel.
    __device__ void finish() {}
};

// Lanes of a warp, a power of two of them. All teams of a warp go through each sum together.
struct WarpTeam : Team {
    static constexpr int most_threads = warp_size;

    __device__ explicit WarpTeam(int lanes) : Team(lanes) {}

    template <typename Op, int n>
    __device__ __forceinline__ void reduce(float (&v)[n]) {
        for (int distance = size / 2; distance > 0; distance /= 2) {
#pragma unroll
            for (int i = 0; i < n; ++i)
                v[i] = Op::apply(v[i], __shfl_xor_sync(full_warp, v[i], distance));
        }
    }
    template <int n>
    __device__ __forceinline__ void sum(float (&v)[n]) {
        reduce<SumOp>(v);
    }
    // True for all where it is for one. Also of other teams of the warp: they take the same way.
    __device__ bool any(bool condition) { return __any_sync(full_warp, condition); }
};

// Whole warps; all teams of a block go through each sum together. Sums alternate between two
// places, so that one barrier each is enough: who writes into a place again has passed the barrier
// of the sum in between, which all enter after they have read.
struct BlockTeam : Team {
    static constexpr int most_threads = 512, most_sums = 3;
    struct Shared {
        float sums[2][most_sums][warp_size];
    };

    int turn = 0;

    __device__ explicit BlockTeam(int threads) : Team(threads) {}

    template <typename Op, int n>
    __device__ __forceinline__ void reduce(float (&v)[n]) {
        static_assert(n <= most_sums);
        auto& place = shared<Shared>().sums[turn];
        turn ^= 1;
        WarpTeam warp(warp_size);
        warp.reduce<Op>(v);
#pragma unroll
        for (int i = 0; i < n; ++i)
            if (lane_id() == 0) place[i][warp_id()] = v[i];
        __syncthreads();
        const int warps = size / warp_size, first = number() * warps;
#pragma unroll
        for (int i = 0; i < n; ++i)
            v[i] = lane_id() < warps ? place[i][first + lane_id()] : Op::identity();
        warp.reduce<Op>(v);
    }
    template <int n>
    __device__ __forceinline__ void sum(float (&v)[n]) {
        reduce<SumOp>(v);
    }
    // Equal in all threads of a team, which here has the block to itself.
    __device__ bool any(bool condition) { return condition; }
};

}  // namespace plainformer::cuda
