// The k largest of each row. Order and shapes: plainformer/topk.h
//
// A block has a row. Value and column make one number of 64 bits, all different and larger where an
// element ranks before: the k-th of them is found digit by digit from counts, those from it on are
// collected in any order, and sorted. Counts are whole numbers: no order of threads shows.
#pragma once
#include "device.cuh"
#include "plainformer/topk.h"

namespace plainformer::cuda {

constexpr int topk_threads = 512, topk_digits = 256;
constexpr int topk_shared_ranks = 4096;  // more are sorted in global memory

struct TopkShared {
    uint64_t ranks[topk_shared_ranks];
    unsigned counts[topk_digits];
    unsigned digit, above,
        inside;  // of the k-th: its digit, how many have a larger or the same one
    unsigned found;
};

// Larger for what ranks before: floats in the order of their bits, -0 as 0, NaN last.
template <typename T>
__device__ __forceinline__ uint64_t rank_of(const T* x, uint32_t column) {
    const float value = to_float(x[column]) + 0.0f;
    const uint32_t bits = __float_as_uint(value);
    const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return uint64_t{value != value ? 0 : ordered} << 32 | (0xffffffffu - column);
}
__device__ __forceinline__ uint32_t column_of(uint64_t rank) {
    return 0xffffffffu - static_cast<uint32_t>(rank);
}

// f(rank) for this thread's columns of a row (C).
template <typename T, typename F>
__device__ __forceinline__ void for_ranks(const T* x, uint32_t C, F f) {
#pragma unroll 4
    for (uint32_t c = threadIdx.x; c < C; c += topk_threads) f(rank_of(x, c));
}

// The first warp finds the digit at which counts from the largest on reach `wanted`.
__device__ __forceinline__ void find_digit(TopkShared& s, unsigned wanted) {
    constexpr int per_lane = topk_digits / warp_size;
    const int first = topk_digits - 1 - per_lane * lane_id();
    unsigned sum = 0;
    for (int i = 0; i < per_lane; ++i) sum += s.counts[first - i];
    unsigned through = sum;
    for (int distance = 1; distance < warp_size; distance *= 2) {
        const unsigned below = __shfl_up_sync(full_warp, through, distance);
        if (lane_id() >= distance) through += below;
    }
    unsigned above = through - sum;
    if (above >= wanted || wanted > through) return;
    int digit = first;
    while (above + s.counts[digit] < wanted) above += s.counts[digit--];
    s.digit = static_cast<unsigned>(digit), s.above = above, s.inside = s.counts[digit];
}

// A number that exactly the k first ranks reach.
template <typename T>
__device__ __forceinline__ uint64_t threshold_of_row(TopkShared& s, const T* x, uint32_t C,
                                                     unsigned k) {
    uint64_t threshold = 0, mask = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        for (int i = threadIdx.x; i < topk_digits; i += topk_threads) s.counts[i] = 0;
        __syncthreads();
        for_ranks(x, C, [&](uint64_t rank) {
            if ((rank & mask) == threshold) atomicAdd(&s.counts[rank >> shift & 0xff], 1u);
        });
        __syncthreads();
        if (warp_id() == 0) find_digit(s, k);
        __syncthreads();
        threshold |= uint64_t{s.digit} << shift, mask |= uint64_t{0xff} << shift;
        k -= s.above;
        if (s.inside == k) break;  // all that share these digits
    }
    return threshold;
}

// Sorts `size` ranks, a power of two, largest first (Batcher's bitonic network).
__device__ __forceinline__ void sort_ranks(uint64_t* ranks, unsigned size) {
    for (unsigned run = 2; run <= size; run *= 2)
        for (unsigned distance = run / 2; distance > 0; distance /= 2) {
            for (unsigned i = threadIdx.x; i < size; i += topk_threads) {
                const unsigned j = i ^ distance;
                const uint64_t a = ranks[i], b = ranks[j];
                if (j > i && (a < b) == ((i & run) == 0)) ranks[i] = b, ranks[j] = a;
            }
            __syncthreads();
        }
}

// size: the next power of two from k; places (N, size) for ranks that shared memory does not hold.
template <typename T>
__global__ void __launch_bounds__(topk_threads)
    topk_rows(TopkArgs<T> s, uint64_t* places, unsigned size) {
    auto& shared_memory = shared<TopkShared>();
    const int64_t n = blockIdx.x;
    const T* const x = s.x + n * s.x_stride;
    const auto C = static_cast<uint32_t>(s.C), k = static_cast<uint32_t>(s.k);
    uint64_t* const ranks = places ? places + n * size : shared_memory.ranks;
    if (threadIdx.x == 0) shared_memory.found = 0;
    const uint64_t threshold = threshold_of_row(shared_memory, x, C, k);
    for_ranks(x, C, [&](uint64_t rank) {
        if (rank >= threshold) ranks[atomicAdd(&shared_memory.found, 1u)] = rank;
    });
    for (unsigned i = k + threadIdx.x; i < size; i += topk_threads) ranks[i] = 0;
    __syncthreads();
    sort_ranks(ranks, size);
    for (unsigned i = threadIdx.x; i < k; i += topk_threads) {
        const uint32_t column = column_of(ranks[i]);
        s.indices[n * s.k + i] = column;
        s.values[n * s.k + i] = x[column];
    }
}

}  // namespace plainformer::cuda
