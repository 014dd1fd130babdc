// Places grouped by their id, each group in rising order: a radix sort, least digit first, whose
// passes keep the order of equal digits. No place depends on the order in which threads run.
//
// A pass is two kernels over tiles of ids. The first counts each tile's digits. In the second each
// tile adds up for itself where its digits go, which for few tiles is cheaper than one more launch,
// and moves its ids there: by warps, which have stretches of the tile, by rounds of 32 ids, by
// lane.
#pragma once
#include "checks/values.h"  // is_id
#include "device.cuh"
#include "plainformer/ids.h"

namespace plainformer::cuda {

constexpr int digit_bits = 8, digits = 1 << digit_bits;
constexpr int sort_threads = digits, sort_warps = sort_threads / warp_size;

// What a pass reads: the ids themselves, whose places are 0, 1, .. (order is null then), or what
// the pass before wrote.
struct SortInput {
    Ids ids;
    const int64_t *keys, *order;
    int64_t N, V;

    // The key of an id is the id; those that name no row go behind all others.
    __device__ __forceinline__ int64_t key(int64_t i) const {
        if (order) return keys[i];
        const int64_t id = ids[i];
        return is_id(id, V) ? id : V;
    }
    __device__ __forceinline__ int64_t place(int64_t i) const { return order ? order[i] : i; }
};

__device__ __forceinline__ int digit_of(int64_t key, int shift) {
    return static_cast<int>(key >> shift) & (digits - 1);
}

struct CountShared {
    int count[digits];
};

// counts (tiles, digits). The first pass reports ids that name no row.
__global__ void __launch_bounds__(sort_threads)
    count_digits(int* counts, SortInput in, int shift, int64_t tile, ErrorRecord* errors) {
    auto& s = shared<CountShared>();
    const int t = static_cast<int>(threadIdx.x);
    s.count[t] = 0;
    __syncthreads();
    const int64_t begin = blockIdx.x * tile, end = begin + tile < in.N ? begin + tile : in.N;
    for (int64_t i = begin + t; i < end; i += sort_threads) {
        const int64_t key = in.key(i);
        if (key == in.V && !in.order) report(errors, Argument::ids, i, in.ids[i], in.V);
        atomicAdd(&s.count[digit_of(key, shift)], 1);
    }
    __syncthreads();
    counts[int64_t{blockIdx.x} * digits + t] = s.count[t];
}

struct MoveShared {
    int64_t of_warp[sort_warps];
    int64_t next[sort_warps][digits];  // where a warp's next id with a digit goes
};

// The sum of v over the threads before this one.
__device__ __forceinline__ int64_t sum_before(int64_t v, int64_t* of_warp) {
    int64_t sum = v;
#pragma unroll
    for (int distance = 1; distance < warp_size; distance *= 2) {
        const int64_t other = __shfl_up_sync(full_warp, sum, distance);
        if (lane_id() >= distance) sum += other;
    }
    if (lane_id() == warp_size - 1) of_warp[warp_id()] = sum;
    __syncthreads();
    int64_t before = sum - v;
    for (int w = 0; w < warp_id(); ++w) before += of_warp[w];
    return before;
}

// Where this tile's first id with digit threadIdx.x goes: behind all smaller digits, and behind
// the same digit in earlier tiles.
__device__ __forceinline__ int64_t first_of_digit(const int* counts, int64_t* of_warp) {
    int64_t total = 0, earlier = 0;
#pragma unroll 8
    for (unsigned tile = 0; tile < gridDim.x; ++tile) {
        const int count = counts[int64_t{tile} * digits + threadIdx.x];
        total += count;
        if (tile < blockIdx.x) earlier += count;
    }
    return sum_before(total, of_warp) + earlier;
}

// Lanes whose digit is this lane's, among those that have one.
__device__ __forceinline__ unsigned lanes_like(int digit, bool has_one) {
    unsigned same = __ballot_sync(full_warp, has_one);
#pragma unroll
    for (int bit = 0; bit < digit_bits; ++bit) {
        const bool is_set = digit >> bit & 1;
        const unsigned set = __ballot_sync(full_warp, is_set);
        same &= is_set ? set : ~set;
    }
    return same;
}

__device__ __forceinline__ int lanes_before(unsigned lanes) {
    return __popc(lanes & ((1u << lane_id()) - 1));
}

// f(i, key, digit, same) for this warp's stretch of the tile, a round of 32 ids at a time; `same`
// are the lanes of the round with this lane's digit, none where i is beyond the end.
template <typename F>
__device__ __forceinline__ void for_rounds(const SortInput& in, int shift, int64_t tile, F f) {
    const int64_t stretch = tile / sort_warps, begin = blockIdx.x * tile + warp_id() * stretch;
    for (int64_t round = begin; round < begin + stretch && round < in.N; round += warp_size) {
        const int64_t i = round + lane_id();
        const bool has_one = i < in.N;
        const int64_t key = has_one ? in.key(i) : 0;
        const int digit = digit_of(key, shift);
        const unsigned same = lanes_like(digit, has_one);
        f(i, key, digit, has_one ? same : 0u);
        __syncwarp();
    }
}

// keys, order (N): the input, sorted by this digit.
__global__ void __launch_bounds__(sort_threads)
    move_by_digit(int64_t* keys, int64_t* order, SortInput in, const int* counts, int shift,
                  int64_t tile) {
    auto& s = shared<MoveShared>();
    int64_t* next = s.next[warp_id()];
    for (int w = 0; w < sort_warps; ++w) s.next[w][threadIdx.x] = 0;
    int64_t place = first_of_digit(counts, s.of_warp);  // has a barrier, behind the zeros
    for_rounds(in, shift, tile, [&](int64_t, int64_t, int digit, unsigned same) {
        if (same != 0 && lanes_before(same) == 0) next[digit] += __popc(same);
    });
    __syncthreads();
    for (int w = 0; w < sort_warps; ++w) {
        const int64_t count = s.next[w][threadIdx.x];
        s.next[w][threadIdx.x] = place;
        place += count;
    }
    __syncthreads();
    for_rounds(in, shift, tile, [&](int64_t i, int64_t key, int digit, unsigned same) {
        if (same != 0) {
            const int64_t to = next[digit] + lanes_before(same);
            keys[to] = key, order[to] = in.place(i);
        }
        __syncwarp();
        if (same != 0 && lanes_before(same) == 0) next[digit] += __popc(same);
    });
}

constexpr int search_threads = 256;

// first (V + 1): where id v or a larger one begins among the sorted keys (N).
__global__ void __launch_bounds__(search_threads)
    find_first(int64_t* first, const int64_t* keys, int64_t N, int64_t V) {
    const int64_t v = int64_t{blockIdx.x} * search_threads + threadIdx.x;
    if (v > V) return;
    int64_t low = 0, high = N;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (keys[middle] < v)
            low = middle + 1;
        else
            high = middle;
    }
    first[v] = low;
}

}  // namespace plainformer::cuda
