// Device twin of emulation/primitives_sm90.h: mbarriers, TMA, wgmma and clusters, one PTX
// instruction a function. Files that use them are compiled for sm_90a alone.
#pragma once
#include "primitives.cuh"

namespace plainformer::cuda {

// ---- tensor maps (host) ------------------------------------------------------------------------

using TensorMap = CUtensorMap;

template <typename T>
constexpr CUtensorMapDataType tensor_map_type() {
    if (std::is_same_v<T, bfloat16>) return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    if (std::is_same_v<T, float16>) return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
}

// libcuda is not linked: the one function needed from it is found when first used.
inline decltype(&cuTensorMapEncodeTiled) tensor_map_encoder() {
    static const auto encoder = [] {
        void* found = nullptr;
        cudaDriverEntryPointQueryResult result;
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault,
                                         &result);
        return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(found);
    }();
    if (!encoder) throw std::runtime_error("the driver has no cuTensorMapEncodeTiled");
    return encoder;
}

// An array of up to five dimensions, fastest first: dim and box have rank entries, stride_bytes
// rank - 1 (the first is the element's). Outside of the array loads give 0 and stores do nothing.
template <typename T>
TensorMap make_tensor_map(const void* base, int rank, const int64_t* dim,
                          const int64_t* stride_bytes, const int* box, Swizzle swizzle) {
    cuuint64_t dims[5], strides[4];
    cuuint32_t boxes[5], steps[5] = {1, 1, 1, 1, 1};
    for (int i = 0; i < rank; ++i) {
        dims[i] = static_cast<cuuint64_t>(dim[i]);
        boxes[i] = static_cast<cuuint32_t>(box[i]);
        if (i) strides[i - 1] = static_cast<cuuint64_t>(stride_bytes[i - 1]);
    }
    TensorMap map{};
    const CUresult status = tensor_map_encoder()(
        &map, tensor_map_type<T>(), static_cast<cuuint32_t>(rank), const_cast<void*>(base), dims,
        strides, boxes, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
        static_cast<CUtensorMapSwizzle>(swizzle), CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (status != CUDA_SUCCESS) throw std::runtime_error("cuTensorMapEncodeTiled failed");
    return map;
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

// ---- mbarriers ---------------------------------------------------------------------------------

PF_DEVICE void mbarrier_init(uint32_t bar, int count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(bar), "r"(count) : "memory");
}
// After the inits, before TMA or another block may see the barriers; then still a block (or
// cluster) barrier for the other threads.
PF_DEVICE void mbarrier_init_fence() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
PF_DEVICE void mbarrier_arrive(uint32_t bar) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(bar) : "memory");
}
// Arrives at the barrier of the same place in block `rank` of the cluster. What this thread wrote
// is not published there by it: a release at the cluster's scope is a fence of the whole device.
PF_DEVICE void mbarrier_arrive_cluster(uint32_t bar, unsigned rank) {
    asm volatile(
        "{.reg .b32 remote; mapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [remote];}" ::"r"(bar),
        "r"(rank)
        : "memory");
}
PF_DEVICE void mbarrier_expect_tx(uint32_t bar, int bytes) {
    asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(bar), "r"(bytes)
                 : "memory");
}
PF_DEVICE void mbarrier_arrive_expect_tx(uint32_t bar, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes)
                 : "memory");
}
// Until the phase of this parity is complete. A fresh barrier's phase 0 is not, and what one
// thinks of as "the phase before it", parity 1, is.
PF_DEVICE void mbarrier_wait(uint32_t bar, unsigned parity) {
    asm volatile(
        "{.reg .pred done;\n"
        "again_%=: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@done bra out_%=;\nbra again_%=;\nout_%=:}" ::"r"(bar),
        "r"(parity & 1)
        : "memory");
}

// ---- TMA ---------------------------------------------------------------------------------------

#define PF_TMA_LOAD_HEAD ".shared::cluster.global.tile.mbarrier::complete_tx::bytes"
PF_DEVICE void tma_load_2d(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y) {
    asm volatile("cp.async.bulk.tensor.2d" PF_TMA_LOAD_HEAD
                 " [%0], [%1, {%3, %4}], [%2];" ::"r"(dst),
                 "l"(&map), "r"(bar), "r"(x), "r"(y)
                 : "memory");
}
PF_DEVICE void tma_load_3d(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y, int z) {
    asm volatile("cp.async.bulk.tensor.3d" PF_TMA_LOAD_HEAD
                 " [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(dst),
                 "l"(&map), "r"(bar), "r"(x), "r"(y), "r"(z)
                 : "memory");
}
PF_DEVICE void tma_load_4d(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y, int z,
                           int w) {
    asm volatile("cp.async.bulk.tensor.4d" PF_TMA_LOAD_HEAD
                 " [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(dst),
                 "l"(&map), "r"(bar), "r"(x), "r"(y), "r"(z), "r"(w)
                 : "memory");
}
// Multicast: into the same place of every block of the cluster whose bit is set, each of whose
// barriers counts the bytes.
PF_DEVICE void tma_load_2d_multicast(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y,
                                     unsigned mask) {
    asm volatile("cp.async.bulk.tensor.2d" PF_TMA_LOAD_HEAD
                 ".multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(dst),
                 "l"(&map), "r"(bar), "r"(x), "r"(y), "h"(static_cast<uint16_t>(mask))
                 : "memory");
}
PF_DEVICE void tma_load_3d_multicast(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y,
                                     int z, unsigned mask) {
    asm volatile("cp.async.bulk.tensor.3d" PF_TMA_LOAD_HEAD
                 ".multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(dst),
                 "l"(&map), "r"(bar), "r"(x), "r"(y), "r"(z), "h"(static_cast<uint16_t>(mask))
                 : "memory");
}
PF_DEVICE void tma_load_4d_multicast(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y,
                                     int z, int w, unsigned mask) {
    asm volatile("cp.async.bulk.tensor.4d" PF_TMA_LOAD_HEAD
                 ".multicast::cluster [%0], [%1, {%3, %4, %5, %6}], [%2], %7;" ::"r"(dst),
                 "l"(&map), "r"(bar), "r"(x), "r"(y), "r"(z), "r"(w),
                 "h"(static_cast<uint16_t>(mask))
                 : "memory");
}
#undef PF_TMA_LOAD_HEAD

PF_DEVICE void tma_store_2d(const TensorMap& map, uint32_t src, int x, int y) {
    asm volatile(
        "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(
            &map),
        "r"(src), "r"(x), "r"(y)
        : "memory");
}
PF_DEVICE void tma_store_3d(const TensorMap& map, uint32_t src, int x, int y, int z) {
    asm volatile(
        "cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], "
        "[%1];" ::"l"(&map),
        "r"(src), "r"(x), "r"(y), "r"(z)
        : "memory");
}
PF_DEVICE void tma_store_4d(const TensorMap& map, uint32_t src, int x, int y, int z, int w) {
    asm volatile(
        "cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], "
        "[%1];" ::"l"(&map),
        "r"(src), "r"(x), "r"(y), "r"(z), "r"(w)
        : "memory");
}
PF_DEVICE void tma_store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// Until all but the last N groups of this thread have read shared memory.
template <int N>
PF_DEVICE void tma_store_wait() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}
PF_DEVICE void tma_prefetch(const TensorMap& map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}
// Makes this thread's plain writes to shared memory visible to TMA stores and wgmma.
PF_DEVICE void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// ---- stmatrix ----------------------------------------------------------------------------------

#define PF_STMATRIX(name, modifier)                                 \
    PF_DEVICE void name(uint32_t row, const uint32_t (&r)[4]) {     \
        asm volatile("stmatrix.sync.aligned.m8n8.x4" modifier       \
                     ".shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(row), \
                     "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])     \
                     : "memory");                                   \
    }                                                               \
    PF_DEVICE void name(uint32_t row, const uint32_t (&r)[2]) {     \
        asm volatile("stmatrix.sync.aligned.m8n8.x2" modifier       \
                     ".shared.b16 [%0], {%1,%2};" ::"r"(row),       \
                     "r"(r[0]), "r"(r[1])                           \
                     : "memory");                                   \
    }                                                               \
    PF_DEVICE void name(uint32_t row, const uint32_t (&r)[1]) {     \
        asm volatile("stmatrix.sync.aligned.m8n8.x1" modifier       \
                     ".shared.b16 [%0], {%1};" ::"r"(row),          \
                     "r"(r[0])                                      \
                     : "memory");                                   \
    }
PF_STMATRIX(stmatrix, "")
PF_STMATRIX(stmatrix_trans, ".trans")
#undef PF_STMATRIX

// ---- warpgroup matrix products -----------------------------------------------------------------

template <int Registers>
PF_DEVICE void setmaxnreg_inc() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
PF_DEVICE void setmaxnreg_dec() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}
// True in one lane of the (converged, whole) warp.
PF_DEVICE bool elect_one() {
    uint32_t mine;
    asm volatile("{.reg .pred p; elect.sync _|p, 0xffffffff; selp.u32 %0, 1, 0, p;}" : "=r"(mine));
    return mine;
}
PF_DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
PF_DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Until all but the last N groups are done. Naming the accumulators keeps the compiler from
// reading them earlier. While some are still in flight nothing may touch theirs: then without.
template <int N>
PF_DEVICE void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}
template <int N, int R>
PF_DEVICE void wgmma_wait(float (&d)[R]) {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
#pragma unroll
    for (int i = 0; i < R; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

// ---- clusters ----------------------------------------------------------------------------------

PF_DEVICE unsigned cluster_rank() {
    unsigned rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
PF_DEVICE void cluster_arrive() {
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
PF_DEVICE void cluster_wait() {
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
// The place of p in the shared memory of block `rank` of the cluster.
template <class T>
PF_DEVICE T* cluster_map(T* p, unsigned rank) {
    T* remote;
    asm volatile("mapa.u64 %0, %1, %2;" : "=l"(remote) : "l"(p), "r"(rank));
    return remote;
}

#endif
}  // namespace plainformer::cuda

#include "wgmma.cuh"
