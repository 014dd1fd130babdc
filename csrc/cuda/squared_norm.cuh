// The sum of squares of all gradients, in double: squares of float32 leave its range. Blocks leave
// partial sums, which one block adds in an order that their number fixes.
#pragma once
#include "parameter_slots.cuh"

namespace plainformer::cuda {

struct Squares {
    double sum = 0;

    template <int W, typename T>
    __device__ __forceinline__ void take(const ParameterSlot<T>& slot, int64_t i) {
        float g[W];
        load_gradient(g, slot, i);
#pragma unroll
        for (int j = 0; j < W; ++j) sum = fma(double{g[j]}, double{g[j]}, sum);
    }
};

struct SquaresShared {
    double of_warp[warp_size];
};

__device__ __forceinline__ double warp_sum(double v) {
#pragma unroll
    for (int distance = warp_size / 2; distance > 0; distance /= 2)
        v += __shfl_xor_sync(full_warp, v, distance);
    return v;
}

// The sum over the block, once in a kernel; in all threads of the first warp.
__device__ __forceinline__ double block_sum(double v) {
    auto& s = shared<SquaresShared>();
    v = warp_sum(v);
    if (lane_id() == 0) s.of_warp[warp_id()] = v;
    __syncthreads();
    const int warps = static_cast<int>(blockDim.x) / warp_size;
    return warp_sum(lane_id() < warps ? s.of_warp[lane_id()] : 0.0);
}

template <typename T>
__global__ void __launch_bounds__(slot_block_threads)
    square_blocks(double* parts, SlotList<T> list) {
    Squares squares;
    for_block_elements(list, squares);
    const double sum = block_sum(squares.sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

constexpr int square_sum_threads = 1024;

// One block.
__global__ void __launch_bounds__(square_sum_threads)
    sum_squares(double* result, const double* parts, int64_t count) {
    double sum = 0;
#pragma unroll 4
    for (int64_t i = threadIdx.x; i < count; i += square_sum_threads) sum += parts[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *result = sum;
}

}  // namespace plainformer::cuda
