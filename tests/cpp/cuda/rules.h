// Kernels that break a rule. y has 64 elements and each should become its index.
#pragma once
#include "mistakes.h"

namespace mistaken {

struct RuleShared {
    float v[64];
};

__device__ inline int depth(int n, volatile char* above) {
    volatile char frame[1024];
    frame[0] = above ? above[0] : 0;
    return n ? depth(n - 1, frame) + frame[0] : 0;
}

template <Mistake made>
__device__ void break_rule(RuleShared& s, float* y, int t) {
    const float x = static_cast<float>(t);
    y[t] = x;
    if (made == Mistake::barrier_in_both_branches) {
        if (t < 32)
            __syncthreads();
        else
            __syncthreads();
    }
    if (made == Mistake::early_return) {
        if (t >= 32) return;
        __syncthreads();
    }
    if (made == Mistake::partial_shuffle && t < 16) y[t] = __shfl_xor_sync(full_warp, x, 0);
    if (made == Mistake::divergent_shuffles) {
        if (t % 32 < 16)
            y[t] = __shfl_xor_sync(full_warp, x, 0);
        else
            y[t] = __shfl_sync(full_warp, x, t % 32);
    }
    if (made == Mistake::past_the_end) s.v[t * 1000] = x;
    if (made == Mistake::one_past_the_end) s.v[t + 1] = x;
    if (made == Mistake::before_the_start) s.v[t - 5000] = x;
    if (made == Mistake::never_written) y[t] += s.v[t] * 0;
    if (made == Mistake::never_written_behind_fmaxf) y[t] = fmaxf(x, s.v[t]);
    if (made == Mistake::misaligned_copy) cp_async_16(shared_addr(s.v) + t * 4u, y);
    if (made == Mistake::warp_synchronous) {
        s.v[t ^ 1] = static_cast<float>(t ^ 1);
        y[t] = s.v[t];
    }
    if (made == Mistake::ldmatrix_past_the_end) {
        uint32_t r[4];
        ldmatrix(r, shared_addr(s.v) + t * 16u);
    }
    if (made == Mistake::copy_overwritten_in_flight) {
        cp_async<4>(shared_addr(&s.v[t]), y);
        s.v[t] = 1;
        cp_async_commit();
        cp_async_wait<0>();
    }
    if (made == Mistake::wait_that_nobody_ends) {
        if (t < 32) barrier_sync(3, 64);
    }
    if (made == Mistake::deep_recursion) y[t] = x + static_cast<float>(depth(1000, nullptr));
}
template <Mistake made>
__global__ void rules(float* y) {
    break_rule<made>(shared<RuleShared>(), y, static_cast<int>(threadIdx.x));
}

struct alignas(1024) AccumulatorShared {
    bfloat16 tile[64 * 64];
};
template <Mistake made>
__global__ void __launch_bounds__(128) accumulators(float* y) {
    auto& s = shared<AccumulatorShared>();
    const int t = static_cast<int>(threadIdx.x);
    for (int i = t; i < 64 * 64; i += 128) s.tile[i] = {0};
    fence_proxy_async();
    __syncthreads();
    float d[32];
    for (float& x : d) x = static_cast<float>(t);
    const uint64_t desc = matrix_desc(shared_addr(s.tile), 16, 1024);
    wgmma_fence();
    wgmma<bfloat16>(d, desc, desc, true);
    if (made == Mistake::accumulator_written_in_flight) d[3] = 1;
    wgmma<bfloat16>(d, desc, desc, true);
    wgmma_commit();
    if (made == Mistake::accumulator_read_early && t < 64) y[t] = d[0];
    wgmma_wait<0>(d);
    if (made != Mistake::accumulator_read_early && t < 64) y[t] = d[0];
}

}  // namespace mistaken
