// What one lane of an int8 product multiplies in one step along K, and the products of a level.
//
// A unit is int8_elements neighbors along K of a column of the weight: four where the level has
// VPDPBUSD, else two, widened to 16 bits when they are read, for VPMADDWD: pairs of products of
// 8 bits by VPMADDUBSW would saturate. A row of x holds as many uint8 in 32 bits, or two 16-bit
// numbers. The integers that come out are the same at every level.
#pragma once
#include "isa/vec.h"
#include "plainformer/arith.h"

namespace plainformer::PF_ISA {

#ifdef __AVX512VNNI__
constexpr int int8_elements = 4;
using Int8Row = uint8_t;  // an element of a quantized row of x
#else
constexpr int int8_elements = 2;
using Int8Row = int16_t;
#endif
static_assert(sizeof(Int8Row) * int8_elements == 4);

// Columns of a panel, as many registers of float32 as a GEMM's.
#if defined(__AVX512F__) || defined(PF_NEON)
constexpr int int8_vectors = 4;
#else
constexpr int int8_vectors = 2;
#endif
constexpr int64_t int8_columns = int8_vectors * lanes<float>;
// Bytes from one unit of a panel to the next.
constexpr int64_t int8_step = int8_columns * int8_elements;

PF_INLINE constexpr int64_t int8_units(int64_t K) { return ceil_div(K, int8_elements); }

// A register of units: 32 bits a column.
PF_INLINE VecI load_int8(const int8_t* p) {
#if defined(__AVX512VNNI__)
    return _mm512_loadu_si512(p);
#elif defined(__AVX512F__)
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__AVX2__)
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(PF_NEON)
    return vreinterpretq_s32_s16(vmovl_s8(vld1_s8(p)));
#else
    VecI r(0);
    for (int i = 0; i < lanes<float>; ++i) {
        const uint32_t low = static_cast<uint16_t>(static_cast<int16_t>(p[2 * i]));
        const uint32_t high = static_cast<uint16_t>(static_cast<int16_t>(p[2 * i + 1]));
        r.v[i] = static_cast<int32_t>(low | high << 16);
    }
    return r;
#endif
}

// Element i of each unit, as a float.
template <int i>
PF_INLINE Vec<float> widened(VecI units) {
#if defined(__AVX2__) && !defined(__AVX512F__)
    // One instruction that takes another pipe than the two shifts.
    if constexpr (i == 0) return to_float(_mm256_madd_epi16(units.v, _mm256_set1_epi32(1)));
#endif
    constexpr int bits = 32 / int8_elements, above = 32 - (i + 1) * bits;
    if constexpr (above == 0) return to_float(shift_right_signed<32 - bits>(units));
    return to_float(shift_right_signed<32 - bits>(shift_left<above>(units)));
}

// The low 32 bits of the products.
PF_INLINE VecI multiply(VecI a, VecI b) {
#if defined(__AVX512F__)
    return _mm512_mullo_epi32(a.v, b.v);
#elif defined(__AVX2__)
    return _mm256_mullo_epi32(a.v, b.v);
#else
    return a.v * b.v;
#endif
}

// sum + the products of the elements of x (uint8) and weight (int8).
PF_INLINE VecI dot(VecI sum, VecI x, VecI weight) {
#if defined(__AVX512VNNI__)
    // The intrinsic takes another vector type: GCC 12 then copies each sum at each step.
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.v) : "v"(x.v), "v"(weight.v));
    return sum;
#elif defined(__AVX512F__)
    return _mm512_add_epi32(sum.v, _mm512_madd_epi16(x.v, weight.v));
#elif defined(__AVX2__)
    return _mm256_add_epi32(sum.v, _mm256_madd_epi16(x.v, weight.v));
#elif defined(PF_NEON)
    const int16x8_t a = vreinterpretq_s16_s32(x.v), b = vreinterpretq_s16_s32(weight.v);
    const int32x4_t low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
    return vaddq_s32(sum.v, vpaddq_s32(low, vmull_high_s16(a, b)));
#else
    const VecI low = multiply(x & VecI(0xff), shift_right_signed<16>(shift_left<16>(weight)));
    return sum + low + multiply(shift_right<16>(x), shift_right_signed<16>(weight));
#endif
}

// A unit of a row of x at every lane.
PF_INLINE VecI broadcast_unit(const Int8Row* p) {
    int32_t bits;
    __builtin_memcpy(&bits, p, sizeof bits);
    return VecI(bits);
}

// Numbers from 0 to 255 as elements of a row of x.
PF_INLINE void store_row(Int8Row* p, Full, VecI u) {
#if defined(__AVX512VNNI__)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(u.v));
#elif defined(__AVX512F__)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(u.v));
#elif defined(__AVX2__)
    const __m128i low = _mm256_castsi256_si128(u.v), high = _mm256_extracti128_si256(u.v, 1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(low, high));
#elif defined(PF_NEON)
    vst1_s16(p, vmovn_s32(u.v));
#else
    for (int i = 0; i < lanes<float>; ++i) p[i] = static_cast<Int8Row>(u.v[i]);
#endif
}
PF_INLINE void store_row(Int8Row* p, Tail tail, VecI u) {
    alignas(64) int32_t whole[lanes<float>];
    store_int(whole, u);
    for (int i = 0; i < tail.n; ++i) p[i] = static_cast<Int8Row>(whole[i]);
}

}  // namespace plainformer::PF_ISA
