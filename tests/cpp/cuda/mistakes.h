// Small kernels, each right without a mistake and wrong with one: what the emulation has to find.
#pragma once
#include "testing.h"

enum class Mistake {
    none,
    // block_sum
    no_barrier_before_reading,
    no_barrier_before_reuse,
    // ring
    no_barrier_in_ring,
    store_with_another_swizzle,
    no_swizzle,
    wait_for_one_copy_less,
    // transposed
    no_syncwarp_before_ldmatrix,
    // products
    parity_of_empty,
    parity_of_full,
    no_wait_for_empty,
    no_barrier_after_init,
    no_fence_after_init,
    released_before_wgmma_is_done,
    stride_of_descriptor,
    // store_product
    too_few_bytes_expected,
    no_wait_for_full,
    no_wgmma_fence,
    no_wgmma_wait,
    no_proxy_fence,
    no_store_wait,
    // cluster_sum
    leaves_its_cluster_early,
    // rules
    barrier_in_both_branches,
    early_return,
    partial_shuffle,
    divergent_shuffles,
    past_the_end,
    one_past_the_end,
    before_the_start,
    never_written,
    never_written_behind_fmaxf,
    misaligned_copy,
    warp_synchronous,
    ldmatrix_past_the_end,
    copy_overwritten_in_flight,
    accumulator_read_early,
    accumulator_written_in_flight,
    wait_that_nobody_ends,
    deep_recursion,
};

namespace mistaken {

using namespace testing;

template <Mistake made, Mistake one>
inline constexpr bool without = made != one;

// ---- a sum over a block, twice -----------------------------------------------------------------

struct SumShared {
    float of_warp[32];
};
template <Mistake made>
__device__ float block_sum(float v, float* scratch) {
    const int lane = lane_id(), warps = static_cast<int>(blockDim.x) / 32;
    v = warp_reduce<SumOp>(v);
    if (lane == 0) scratch[warp_id()] = v;
    if (without<made, Mistake::no_barrier_before_reading>) __syncthreads();
    v = warp_reduce<SumOp>(lane < warps ? scratch[lane] : 0.0f);
    if (without<made, Mistake::no_barrier_before_reuse>) __syncthreads();
    return v;
}
template <Mistake made>
__global__ void sums(float* out) {
    auto& s = shared<SumShared>();
    const float x = static_cast<float>(threadIdx.x);
    const float one = block_sum<made>(x, s.of_warp), two = block_sum<made>(2 * x, s.of_warp);
    out[threadIdx.x] = two - one;
}

// ---- D (64,64) = A (64,K) B (64,K)^T: cp.async ring, ldmatrix, mma -----------------------------

struct RingShared {
    bfloat16 a[3][64 * 32], b[3][64 * 32];
};
template <Mistake made>
__device__ uint32_t chunk_at(int row, int chunk, bool storing) {
    if (made == Mistake::no_swizzle) return static_cast<uint32_t>(row * 64 + chunk * 16);
    const bool other = made == Mistake::store_with_another_swizzle && storing && row >= 32;
    const int turn = other ? row >> 2 & 3 : row >> 1 & 3;
    return static_cast<uint32_t>(row * 64 + (chunk ^ turn) * 16);
}
template <Mistake made>
__global__ void __launch_bounds__(128) ring(const bfloat16* A, const bfloat16* B, float* D, int K) {
    auto& s = shared<RingShared>();
    const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
    const int row0 = warp / 2 * 32, column0 = warp % 2 * 32, steps = K / 32;
    const auto fetch = [&](int step) {
        for (int i = t; step < steps && i < 64 * 4; i += 128) {
            const int row = i / 4, chunk = i % 4;
            const uint32_t to = chunk_at<made>(row, chunk, true);
            cp_async_16(shared_addr(s.a[step % 3]) + to, A + row * K + step * 32 + chunk * 8);
            cp_async_16(shared_addr(s.b[step % 3]) + to, B + row * K + step * 32 + chunk * 8);
        }
        cp_async_commit();
    };
    float acc[2][4][4] = {};
    fetch(0), fetch(1);
    for (int step = 0; step < steps; ++step) {
        if (without<made, Mistake::wait_for_one_copy_less>)
            cp_async_wait<1>();
        else
            cp_async_wait<2>();
        if (without<made, Mistake::no_barrier_in_ring>) __syncthreads();
        fetch(step + 2);
        const uint32_t a0 = shared_addr(s.a[step % 3]), b0 = shared_addr(s.b[step % 3]);
        for (int k = 0; k < 2; ++k) {
            uint32_t a[2][4], b[2][4];
            for (int i = 0; i < 2; ++i) {
                const int row = i * 16 + lane % 16, half = k * 2 + lane / 16;
                ldmatrix(a[i], a0 + chunk_at<made>(row0 + row, half, false));
                const int n = i * 16 + lane % 8 + lane / 16 * 8;
                ldmatrix(b[i], b0 + chunk_at<made>(column0 + n, k * 2 + lane / 8 % 2, false));
            }
            for (int i = 0; i < 2; ++i)
                for (int j = 0; j < 4; ++j)
                    mma_m16n8k16<bfloat16>(acc[i][j], a[i], b[j / 2][j % 2 * 2],
                                           b[j / 2][j % 2 * 2 + 1]);
        }
    }
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 4; ++j)
            for (int v = 0; v < 4; ++v) {
                const int row = row0 + i * 16 + lane / 4 + v / 2 * 8;
                D[row * 64 + column0 + j * 8 + lane % 4 * 2 + v % 2] = acc[i][j][v];
            }
}

// ---- D (16,8) = A (16,16) B (16,8), plain stores before ldmatrix -------------------------------

struct TransposedShared {
    bfloat16 a[16 * 16], b[16 * 8];
};
template <Mistake made>
__global__ void transposed(const bfloat16* A, const bfloat16* B, float* D) {
    auto& s = shared<TransposedShared>();
    const int lane = static_cast<int>(threadIdx.x);
    for (int i = lane; i < 256; i += 32) s.a[i] = A[i];
    for (int i = lane; i < 128; i += 32) s.b[i] = B[i];
    if (without<made, Mistake::no_syncwarp_before_ldmatrix>) __syncwarp();
    uint32_t a[4], b[2];
    float d[4] = {};
    ldmatrix(a, shared_addr(&s.a[lane % 16 * 16 + lane / 16 * 8]));
    ldmatrix_trans(b, shared_addr(&s.b[lane % 16 * 8]));
    mma_m16n8k16<bfloat16>(d, a, b[0], b[1]);
    for (int v = 0; v < 4; ++v) D[(lane / 4 + v / 2 * 8) * 8 + lane % 4 * 2 + v % 2] = d[v];
}

// ---- D (64,64) = A (64,K) B (64,K)^T: TMA ring of a producer, wgmma of a consumer --------------

constexpr int stages = 3;
struct alignas(1024) ProductShared {
    bfloat16 a[stages][64 * 64], b[stages][64 * 64];
    uint64_t full[stages], empty[stages];
};
template <Mistake made>
__device__ void produce(ProductShared& s, const TensorMap& map_a, const TensorMap& map_b,
                        int steps) {
    for (int step = 0; step < steps; ++step) {
        const int i = step % stages;
        const unsigned round = static_cast<unsigned>(step / stages);
        const unsigned parity = made == Mistake::parity_of_empty ? round : round ^ 1;
        const uint32_t full = shared_addr(&s.full[i]);
        if (without<made, Mistake::no_wait_for_empty>)
            mbarrier_wait(shared_addr(&s.empty[i]), parity & 1);
        mbarrier_arrive_expect_tx(full, 2 * 8192);
        tma_load_2d(shared_addr(s.a[i]), map_a, full, step * 64, 0);
        tma_load_2d(shared_addr(s.b[i]), map_b, full, step * 64, 0);
    }
}
template <Mistake made>
__device__ void consume(ProductShared& s, float (&d)[32], int steps) {
    constexpr int keep = made == Mistake::released_before_wgmma_is_done ? 1 : 0;
    constexpr uint32_t stride = made == Mistake::stride_of_descriptor ? 512 : 1024;
    for (int step = 0; step < steps; ++step) {
        const int i = step % stages;
        const int round = made == Mistake::parity_of_full ? step : step / stages;
        mbarrier_wait(shared_addr(&s.full[i]), static_cast<unsigned>(round) & 1);
        wgmma_fence();
        for (uint32_t k = 0; k < 4; ++k)
            wgmma<bfloat16>(d, matrix_desc(shared_addr(s.a[i]) + k * 32, 16, stride),
                            matrix_desc(shared_addr(s.b[i]) + k * 32, 16, stride), true);
        wgmma_commit();
        wgmma_wait<keep>(d);
        if (threadIdx.x % 128 == 0) mbarrier_arrive(shared_addr(&s.empty[i]));
    }
    wgmma_wait<0>(d);
}
template <Mistake made>
__global__ void __launch_bounds__(256)
    products(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b,
             float* D, int steps) {
    auto& s = shared<ProductShared>();
    const int t = static_cast<int>(threadIdx.x);
    if (t == 0) {
        for (int i = 0; i < stages; ++i) {
            mbarrier_init(shared_addr(&s.full[i]), 1);
            mbarrier_init(shared_addr(&s.empty[i]), 1);
        }
        if (without<made, Mistake::no_fence_after_init>) mbarrier_init_fence();
    }
    if (without<made, Mistake::no_barrier_after_init>) __syncthreads();
    if (t < 128) {
        if (t == 127) produce<made>(s, map_a, map_b, steps);
        return;
    }
    float d[32];
    for (float& x : d) x = 0;
    consume<made>(s, d, steps);
    for (int i = 0; i < 32; ++i) {
        const int u = t % 128, row = u / 32 * 16 + u % 32 / 4 + (i >> 1 & 1) * 8;
        D[row * 64 + i / 4 * 8 + u % 4 * 2 + i % 2] = d[i];
    }
}

// ---- D (64,64) = (A B^T) C: accumulators become the next product's A, a TMA store --------------

struct alignas(1024) StoreShared {
    bfloat16 a[64 * 64], b[64 * 64], c[64 * 64], d[64 * 64];
    uint64_t full;
};
template <Mistake made>
__device__ void load_three(StoreShared& s, const TensorMap& a, const TensorMap& b,
                           const TensorMap& c) {
    const uint32_t full = shared_addr(&s.full);
    mbarrier_init(full, 1);
    mbarrier_init_fence();
    mbarrier_arrive_expect_tx(full, (made == Mistake::too_few_bytes_expected ? 2 : 3) * 8192);
    tma_load_2d(shared_addr(s.a), a, full, 0, 0);
    tma_load_2d(shared_addr(s.b), b, full, 0, 0);
    tma_load_2d(shared_addr(s.c), c, full, 0, 0);
}
template <Mistake made>
__global__ void __launch_bounds__(128)
    store_product(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b,
                  const __grid_constant__ TensorMap map_c,
                  const __grid_constant__ TensorMap map_d) {
    auto& s = shared<StoreShared>();
    const int t = static_cast<int>(threadIdx.x);
    if (t == 0) load_three<made>(s, map_a, map_b, map_c);
    __syncthreads();
    if (without<made, Mistake::no_wait_for_full>) mbarrier_wait(shared_addr(&s.full), 0);
    float p[32], d[32];
    for (int i = 0; i < 32; ++i) p[i] = d[i] = 0;
    if (without<made, Mistake::no_wgmma_fence>) wgmma_fence();
    for (uint32_t k = 0; k < 4; ++k)
        wgmma<bfloat16>(p, matrix_desc(shared_addr(s.a) + k * 32, 16, 1024),
                        matrix_desc(shared_addr(s.b) + k * 32, 16, 1024), true);
    wgmma_commit();
    if (without<made, Mistake::no_wgmma_wait>) wgmma_wait<0>(p);
    uint32_t a[4][4];
    for (int j = 0; j < 4; ++j)
        for (int i = 0; i < 4; ++i)
            a[j][i] = pack<bfloat16>(p[8 * j + 2 * i], p[8 * j + 2 * i + 1]);
    wgmma_fence();
    for (uint32_t j = 0; j < 4; ++j)
        wgmma<bfloat16, 1>(d, a[j], matrix_desc(shared_addr(s.c) + j * 2048, 8192, 1024), true);
    wgmma_commit();
    wgmma_wait<0>(d);
    for (int i = 0; i < 32; i += 2) {
        const int row = t / 32 * 16 + t % 32 / 4 + (i >> 1 & 1) * 8, column = i / 4 * 8 + t % 4 * 2;
        const uint32_t at = swizzled(static_cast<uint32_t>(row * 128 + column * 2), Swizzle::b128);
        *reinterpret_cast<uint32_t*>(reinterpret_cast<char*>(s.d) + at) =
            pack<bfloat16>(d[i], d[i + 1]);
    }
    if (without<made, Mistake::no_proxy_fence>) fence_proxy_async();
    __syncthreads();
    if (t == 0) {
        tma_store_2d(map_d, shared_addr(s.d), 0, 0);
        tma_store_commit();
        if (without<made, Mistake::no_store_wait>) tma_store_wait<0>();
    }
}

// ---- a sum over a cluster ----------------------------------------------------------------------

struct ClusterShared {
    float part[128], total;
};
template <Mistake made>
__global__ void cluster_sum(const float* x, float* y) {
    auto& s = shared<ClusterShared>();
    const int t = static_cast<int>(threadIdx.x);
    s.part[t] = x[static_cast<int>(blockIdx.x) * 128 + t];
    __syncthreads();
    if (t == 0) {
        s.total = 0;
        for (float v : s.part) s.total += v;
    }
    cluster_arrive();
    cluster_wait();
    if (t == 0 && cluster_rank() == 0) y[0] = s.total + *cluster_map(&s.total, 1);
    if (without<made, Mistake::leaves_its_cluster_early>) {
        cluster_arrive();
        cluster_wait();
    }
}

}  // namespace mistaken
