// Host twin of primitives_sm90.cuh and wgmma.cuh.
#pragma once
#include "primitives.h"
#include "runtime_sm90.h"

namespace plainformer::cuda {

using TensorMap = emulation::TensorMap;

template <typename T>
TensorMap make_tensor_map(const void* base, int rank, const int64_t* dim,
                          const int64_t* stride_bytes, const int* box, Swizzle swizzle) {
    return emulation::make_tensor_map(base, rank, sizeof(T), dim, stride_bytes, box, swizzle);
}

// ---- mbarriers ---------------------------------------------------------------------------------

inline void mbarrier_init(uint32_t bar, int count, PF_SITE) {
    emulation::mbarrier_init(bar, count, site);
}
inline void mbarrier_init_fence() { emulation::mbarrier_init_fence(); }
inline void mbarrier_arrive(uint32_t bar, PF_SITE) { emulation::mbarrier_arrive(bar, 0, site); }
inline void mbarrier_arrive_cluster(uint32_t bar, unsigned rank, PF_SITE) {
    emulation::mbarrier_arrive_cluster(bar, rank, site);
}
inline void mbarrier_expect_tx(uint32_t bar, int bytes, PF_SITE) {
    emulation::mbarrier_expect(bar, bytes, site);
}
inline void mbarrier_arrive_expect_tx(uint32_t bar, int bytes, PF_SITE) {
    emulation::mbarrier_arrive(bar, bytes, site);
}
inline void mbarrier_wait(uint32_t bar, unsigned parity, PF_SITE) {
    emulation::mbarrier_wait(bar, parity, site);
}

// ---- TMA ---------------------------------------------------------------------------------------

inline void tma_load_2d(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y, PF_SITE) {
    emulation::tma_load(dst, map, bar, 2, {{x, y}}, 0, site);
}
inline void tma_load_3d(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y, int z,
                        PF_SITE) {
    emulation::tma_load(dst, map, bar, 3, {{x, y, z}}, 0, site);
}
inline void tma_load_4d(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y, int z,
                        int w, PF_SITE) {
    emulation::tma_load(dst, map, bar, 4, {{x, y, z, w}}, 0, site);
}
inline void tma_load_2d_multicast(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y,
                                  unsigned mask, PF_SITE) {
    emulation::tma_load(dst, map, bar, 2, {{x, y}}, mask, site);
}
inline void tma_load_3d_multicast(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y,
                                  int z, unsigned mask, PF_SITE) {
    emulation::tma_load(dst, map, bar, 3, {{x, y, z}}, mask, site);
}
inline void tma_load_4d_multicast(uint32_t dst, const TensorMap& map, uint32_t bar, int x, int y,
                                  int z, int w, unsigned mask, PF_SITE) {
    emulation::tma_load(dst, map, bar, 4, {{x, y, z, w}}, mask, site);
}
inline void tma_store_2d(const TensorMap& map, uint32_t src, int x, int y, PF_SITE) {
    emulation::tma_store(map, src, 2, {{x, y}}, site);
}
inline void tma_store_3d(const TensorMap& map, uint32_t src, int x, int y, int z, PF_SITE) {
    emulation::tma_store(map, src, 3, {{x, y, z}}, site);
}
inline void tma_store_4d(const TensorMap& map, uint32_t src, int x, int y, int z, int w, PF_SITE) {
    emulation::tma_store(map, src, 4, {{x, y, z, w}}, site);
}
inline void tma_store_commit() { emulation::tma_store_commit(); }
template <int N>
void tma_store_wait() {
    emulation::tma_store_wait(N);
}
inline void tma_prefetch(const TensorMap&) {}
inline void fence_proxy_async() { emulation::fence_proxy_async(); }

// ---- stmatrix ----------------------------------------------------------------------------------

template <int X>
void stmatrix(uint32_t row, const uint32_t (&r)[X], PF_SITE) {
    emulation::require_capability(90, "stmatrix", site);
    const char* const* rows = emulation::matrix_rows(row, X, "stmatrix", site);
    const int lane = emulation::lane();
    for (int i = 0; i < X; ++i)
        *reinterpret_cast<uint32_t*>(const_cast<char*>(rows[i * 8 + lane / 4]) + lane % 4 * 4) =
            r[i];
}
template <int X>
void stmatrix_trans(uint32_t row, const uint32_t (&r)[X], PF_SITE) {
    emulation::require_capability(90, "stmatrix", site);
    const char* const* rows = emulation::matrix_rows(row, X, "stmatrix.trans", site);
    const int lane = emulation::lane();
    for (int i = 0; i < X; ++i)
        for (int half = 0; half < 2; ++half) {
            char* const to = const_cast<char*>(rows[i * 8 + lane % 4 * 2 + half]) + lane / 4 * 2;
            *reinterpret_cast<uint16_t*>(to) = static_cast<uint16_t>(r[i] >> 16 * half);
        }
}

// ---- warpgroup matrix products -----------------------------------------------------------------

template <int Registers>
void setmaxnreg_inc() {
    static_assert(Registers % 8 == 0 && Registers >= 24 && Registers <= 256);
}
template <int Registers>
void setmaxnreg_dec() {
    static_assert(Registers % 8 == 0 && Registers >= 24 && Registers <= 256);
}
inline bool elect_one(PF_SITE) {
    emulation::warp_sync(~0u, "elect.sync", false, site);
    return emulation::lane() == 0;
}
inline void wgmma_fence(PF_SITE) { emulation::wgmma_fence(site); }
inline void wgmma_commit(PF_SITE) { emulation::wgmma_commit(site); }
template <int N>
void wgmma_wait(PF_SITE) {
    emulation::wgmma_wait(N, site);
}
template <int N, int R>
void wgmma_wait(float (&)[R], PF_SITE) {
    emulation::wgmma_wait(N, site);
}

template <int R>
constexpr bool wgmma_width = R == 32 || R == 48 || R == 64 || R == 96 || R == 128;

template <typename T, int TA = 0, int TB = 0, int R>
void wgmma(float (&d)[R], uint64_t a, uint64_t b, bool accumulate, PF_SITE) {
    static_assert(wgmma_width<R>);
    emulation::wgmma(d, {2 * R, false, TA != 0, TB != 0, accumulate, dtype_of<T>}, a, nullptr, b,
                     site);
}
template <typename T, int TB = 0, int R>
void wgmma(float (&d)[R], const uint32_t (&a)[4], uint64_t b, bool accumulate, PF_SITE) {
    static_assert(wgmma_width<R>);
    emulation::wgmma(d, {2 * R, true, false, TB != 0, accumulate, dtype_of<T>}, 0, a, b, site);
}

// ---- clusters ----------------------------------------------------------------------------------

inline unsigned cluster_rank() { return emulation::cluster_rank(); }
inline void cluster_arrive(PF_SITE) { emulation::cluster_arrive(site); }
inline void cluster_wait(PF_SITE) { emulation::cluster_wait(site); }
template <class T>
T* cluster_map(T* p, unsigned rank, PF_SITE) {
    return static_cast<T*>(
        emulation::cluster_map(const_cast<std::remove_const_t<T>*>(p), rank, site));
}

}  // namespace plainformer::cuda
