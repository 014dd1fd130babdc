// Device twin of emulation/primitives.h: launches, and one PTX instruction a function.
#pragma once
#include <cuda.h>

#include <stdexcept>
#include <string>

#include "plainformer/types.h"
#include "swizzle.cuh"

#define PF_DEVICE __device__ __forceinline__

namespace plainformer::cuda {

// ---- launch and shared memory ------------------------------------------------------------------

struct LaunchConfig {
    dim3 grid, block;
    size_t shared_bytes = 0;
    unsigned cluster = 1;  // blocks along x that form a cluster
    cudaStream_t stream = nullptr;
};

inline void check_launch(cudaError_t status) {
    if (status != cudaSuccess)
        throw std::runtime_error(std::string("launch: ") + cudaGetErrorString(status));
}

template <class... P, class... A>
void launch(const LaunchConfig& config, void (*kernel)(P...), A... args) {
    constexpr size_t without_asking = 48 << 10;
    if (config.shared_bytes > without_asking)
        check_launch(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                          cudaFuncAttributeMaxDynamicSharedMemorySize,
                                          static_cast<int>(config.shared_bytes)));
    cudaLaunchAttribute cluster{};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = config.cluster;
    cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
    cudaLaunchConfig_t asked{};
    asked.gridDim = config.grid;
    asked.blockDim = config.block;
    asked.dynamicSmemBytes = config.shared_bytes;
    asked.stream = config.stream;
    asked.attrs = &cluster;
    asked.numAttrs = config.cluster > 1;
    check_launch(cudaLaunchKernelEx(&asked, kernel, P(args)...));
}

template <class T>
PF_DEVICE T& shared() {
    extern __shared__ __align__(1024) unsigned char block_shared[];
    return *reinterpret_cast<T*>(block_shared);
}

PF_DEVICE uint32_t shared_addr(const void* p) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// ---- element types -----------------------------------------------------------------------------

PF_DEVICE float to_float(float x) { return x; }
PF_DEVICE float to_float(bfloat16 x) { return __uint_as_float(uint32_t{x.bits} << 16); }
PF_DEVICE float to_float(float16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}

template <typename T>
PF_DEVICE T from_float(float x) {
    if constexpr (std::is_same_v<T, float>) {
        return x;
    } else if constexpr (std::is_same_v<T, bfloat16>) {
        bfloat16 y;
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
        return y;
    } else {
        float16 y;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
        return y;
    }
}

// Two 16-bit elements in a register, the first in the low half.
template <typename T>
PF_DEVICE uint32_t pack(float lo, float hi) {
    uint32_t y;
    if constexpr (std::is_same_v<T, bfloat16>)
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(hi), "f"(lo));
    else
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(hi), "f"(lo));
    return y;
}

template <typename T>
PF_DEVICE float2 unpack(uint32_t x) {
    return make_float2(to_float(T{static_cast<uint16_t>(x)}),
                       to_float(T{static_cast<uint16_t>(x >> 16)}));
}

PF_DEVICE float exp2_approx(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// ---- sm_80: asynchronous copies, matrix loads, mma ---------------------------------------------

// Copies 16 bytes past L1; without pred writes zeros and reads nothing.
PF_DEVICE void cp_async_16(uint32_t dst, const void* src, bool pred = true) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(dst), "l"(src),
                 "r"(pred ? 16 : 0)
                 : "memory");
}
// The same for 4 or 8 bytes, through L1: for rows that are not 16-byte aligned.
template <int Bytes>
PF_DEVICE void cp_async(uint32_t dst, const void* src, bool pred = true) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(dst), "l"(src), "n"(Bytes),
                 "r"(pred ? Bytes : 0)
                 : "memory");
}
PF_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until all but the last N groups of this thread have landed. Others see them after a barrier.
template <int N>
PF_DEVICE void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

#define PF_LDMATRIX(name, modifier)                                                              \
    PF_DEVICE void name(uint32_t (&r)[4], uint32_t row) {                                        \
        asm volatile("ldmatrix.sync.aligned.m8n8.x4" modifier ".shared.b16 {%0,%1,%2,%3}, [%4];" \
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])                            \
                     : "r"(row)                                                                  \
                     : "memory");                                                                \
    }                                                                                            \
    PF_DEVICE void name(uint32_t (&r)[2], uint32_t row) {                                        \
        asm volatile("ldmatrix.sync.aligned.m8n8.x2" modifier ".shared.b16 {%0,%1}, [%2];"       \
                     : "=r"(r[0]), "=r"(r[1])                                                    \
                     : "r"(row)                                                                  \
                     : "memory");                                                                \
    }                                                                                            \
    PF_DEVICE void name(uint32_t (&r)[1], uint32_t row) {                                        \
        asm volatile("ldmatrix.sync.aligned.m8n8.x1" modifier ".shared.b16 {%0}, [%1];"          \
                     : "=r"(r[0])                                                                \
                     : "r"(row)                                                                  \
                     : "memory");                                                                \
    }
PF_LDMATRIX(ldmatrix, "")
PF_LDMATRIX(ldmatrix_trans, ".trans")
#undef PF_LDMATRIX

// D (16,8) += A (16,16) B (16,8). Of the fragments, with g = lane / 4 and t = lane % 4 * 2:
// a[0..3] hold rows g, g + 8, g, g + 8 at k t, t, t + 8, t + 8; b0, b1 column g at k t, t + 8;
// d[0..3] row g at columns t, t + 1, then row g + 8.
template <typename T>
PF_DEVICE void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#define PF_MMA(type)                                                          \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type       \
                 ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])             \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
    if constexpr (std::is_same_v<T, bfloat16>)
        PF_MMA("bf16");
    else
        PF_MMA("f16");
#undef PF_MMA
}

// ---- named barriers ----------------------------------------------------------------------------

PF_DEVICE void barrier_sync(int id, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
PF_DEVICE void barrier_arrive(int id, int threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace plainformer::cuda

#include "primitives_sm90.cuh"
