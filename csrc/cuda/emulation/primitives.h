// Host twin of primitives.cuh: the same names and signatures, with the site of the call as a
// hidden last argument. What a primitive does, and when, is the runtime's.
#pragma once
#include "cuda.h"
#include "plainformer/types.h"

namespace plainformer::cuda {

// ---- launch and shared memory ------------------------------------------------------------------

using LaunchConfig = emulation::Launch;

template <class... P, class... A>
void launch(const LaunchConfig& config, void (*kernel)(P...), A... args) {
    emulation::run(config, [=] { kernel(args...); });
}

template <class T>
T& shared() {
    return *reinterpret_cast<T*>(emulation::shared_base());
}

inline uint32_t shared_addr(const void* p, PF_SITE) { return emulation::shared_address(p, site); }

// ---- element types -----------------------------------------------------------------------------

inline float to_float(float x) { return x; }
inline float to_float(bfloat16 x) { return __uint_as_float(uint32_t{x.bits} << 16); }
inline float to_float(float16 x) {
    const uint32_t sign = uint32_t{x.bits & 0x8000u} << 16, magnitude = x.bits & 0x7fffu;
    if (magnitude >= 0x7c00) return __uint_as_float(sign | 0x7f800000 | magnitude << 13);
    // Exponents differ by 112; the product also scales subnormals, exactly.
    return __uint_as_float(sign | __float_as_uint(__uint_as_float(magnitude << 13) * 0x1p112f));
}

namespace emulated {

inline uint16_t bfloat16_bits(float x) {  // to nearest, ties to even, as cvt.rn.bf16.f32
    const uint32_t u = __float_as_uint(x);
    if ((u & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

inline uint16_t float16_bits(float x) {  // likewise, as cvt.rn.f16.f32
    const uint32_t u = __float_as_uint(x), magnitude = u & 0x7fffffff;
    const uint16_t sign = static_cast<uint16_t>(u >> 16 & 0x8000);
    if (magnitude > 0x7f800000) return 0x7fff;
    if (magnitude >= 0x477ff000) return sign | 0x7c00;  // 65520 and more
    if (magnitude < 0x38800000) {  // below 2^-14: adding 0.5 leaves units of 2^-24, rounded
        const float shifted = __uint_as_float(magnitude) + 0.5f;
        return sign | static_cast<uint16_t>(__float_as_uint(shifted) - 0x3f000000);
    }
    return sign |
           static_cast<uint16_t>((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

}  // namespace emulated

template <typename T>
T from_float(float x) {
    if constexpr (std::is_same_v<T, float>) return x;
    if constexpr (std::is_same_v<T, bfloat16>) return {emulated::bfloat16_bits(x)};
    if constexpr (std::is_same_v<T, float16>) return {emulated::float16_bits(x)};
}

template <typename T>
uint32_t pack(float lo, float hi) {
    return from_float<T>(lo).bits | uint32_t{from_float<T>(hi).bits} << 16;
}

template <typename T>
float2 unpack(uint32_t x) {
    return {to_float(T{static_cast<uint16_t>(x)}), to_float(T{static_cast<uint16_t>(x >> 16)})};
}

inline float exp2_approx(float x) {  // ex2.approx.ftz: subnormal results are 0
    const float y = exp2f(x);
    return y < 0x1p-126f ? 0.0f : y;
}

// ---- sm_80: asynchronous copies, matrix loads, mma ---------------------------------------------

template <int Bytes>
void cp_async(uint32_t dst, const void* src, bool pred = true, PF_SITE) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
    emulation::cp_async(dst, src, Bytes, pred, site);
}
inline void cp_async_16(uint32_t dst, const void* src, bool pred = true, PF_SITE) {
    emulation::cp_async(dst, src, 16, pred, site);
}
inline void cp_async_commit() { emulation::cp_async_commit(); }
template <int N>
void cp_async_wait() {
    emulation::cp_async_wait(N);
}

// Each lane reads its own elements here, in the kernel's own code, where a race detector looks.
template <int X>
void ldmatrix(uint32_t (&r)[X], uint32_t row, PF_SITE) {
    const char* const* rows = emulation::matrix_rows(row, X, "ldmatrix", site);
    const int lane = emulation::lane();
    for (int i = 0; i < X; ++i)
        r[i] = *reinterpret_cast<const uint32_t*>(rows[i * 8 + lane / 4] + lane % 4 * 4);
}
template <int X>
void ldmatrix_trans(uint32_t (&r)[X], uint32_t row, PF_SITE) {
    const char* const* rows = emulation::matrix_rows(row, X, "ldmatrix.trans", site);
    const int lane = emulation::lane();
    for (int i = 0; i < X; ++i) {
        const char* const* pair = rows + i * 8 + lane % 4 * 2;
        const int column = lane / 4 * 2;
        r[i] = *reinterpret_cast<const uint16_t*>(pair[0] + column) |
               uint32_t{*reinterpret_cast<const uint16_t*>(pair[1] + column)} << 16;
    }
}

template <typename T>
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, PF_SITE) {
    const uint32_t b[2] = {b0, b1};
    emulation::mma_m16n8k16({d, a, b, dtype_of<T>}, site);
}

// ---- named barriers ----------------------------------------------------------------------------

inline void barrier_sync(int id, int threads, PF_SITE) {
    emulation::barrier_sync(id, threads, site);
}
inline void barrier_arrive(int id, int threads, PF_SITE) {
    emulation::barrier_arrive(id, threads, site);
}

}  // namespace plainformer::cuda

#include "primitives_sm90.h"
