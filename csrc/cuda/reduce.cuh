// Sums and maxima over a warp and over a block, in a fixed order.
#pragma once

namespace plainformer::cuda {

constexpr int warp_size = 32;
constexpr unsigned full_warp = 0xffffffffu;

__device__ __forceinline__ int lane_id() { return static_cast<int>(threadIdx.x) % warp_size; }
__device__ __forceinline__ int warp_id() { return static_cast<int>(threadIdx.x) / warp_size; }

struct SumOp {
    static __device__ __forceinline__ float identity() { return 0.0f; }
    static __device__ __forceinline__ float apply(float a, float b) { return a + b; }
};

// Of a NaN and a number this is the number, as fmaxf has it: what must not swallow a NaN adds x -
// x.
struct MaxOp {
    static __device__ __forceinline__ float identity() { return -INFINITY; }
    static __device__ __forceinline__ float apply(float a, float b) { return fmaxf(a, b); }
};

// All lanes get the result, the same bytes each: lanes pair up symmetrically.
template <typename Op, int width = warp_size>
__device__ __forceinline__ float warp_reduce(float v) {
#pragma unroll
    for (int distance = width / 2; distance > 0; distance /= 2)
        v = Op::apply(v, __shfl_xor_sync(full_warp, v, distance));
    return v;
}

// One float a warp, in shared memory.
struct BlockScratch {
    float of_warp[warp_size];
};

// All threads of a one-dimensional block of whole warps get the result. Ends with a barrier, so
// that the scratch may be used again at once.
template <typename Op>
__device__ __forceinline__ float block_reduce(float v, BlockScratch& scratch) {
    const int warps = static_cast<int>(blockDim.x) / warp_size;
    v = warp_reduce<Op>(v);
    if (lane_id() == 0) scratch.of_warp[warp_id()] = v;
    __syncthreads();
    v = warp_reduce<Op>(lane_id() < warps ? scratch.of_warp[lane_id()] : Op::identity());
    __syncthreads();
    return v;
}

}  // namespace plainformer::cuda
