// Vec<float> on AVX-512 (F, BW, DQ, VL), and with AVX-512-BF16 where the level has it.
#pragma once
#include <immintrin.h>

namespace plainformer::PF_ISA {

template <>
struct Vec<float> {
    static constexpr int width = 16;
    __m512 v;
    Vec() = default;
    PF_INLINE Vec(__m512 x) : v(x) {}
    PF_INLINE explicit Vec(float x) : v(_mm512_set1_ps(x)) {}
};

struct VecI {  // 32-bit integers, as many as Vec<float> has lanes
    __m512i v;
    VecI() = default;
    PF_INLINE VecI(__m512i x) : v(x) {}
    PF_INLINE explicit VecI(int32_t x) : v(_mm512_set1_epi32(x)) {}
};

struct Mask {
    __mmask16 m;
};

template <typename A>
PF_INLINE Mask first_lanes(int n) {
    return {static_cast<__mmask16>((1u << n) - 1)};
}

// Arithmetic
PF_INLINE Vec<float> operator+(Vec<float> a, Vec<float> b) { return _mm512_add_ps(a.v, b.v); }
PF_INLINE Vec<float> operator-(Vec<float> a, Vec<float> b) { return _mm512_sub_ps(a.v, b.v); }
PF_INLINE Vec<float> operator*(Vec<float> a, Vec<float> b) { return _mm512_mul_ps(a.v, b.v); }
PF_INLINE Vec<float> operator/(Vec<float> a, Vec<float> b) { return _mm512_div_ps(a.v, b.v); }
PF_INLINE Vec<float> operator-(Vec<float> a) { return _mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f)); }
PF_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {  // a b + c
    return _mm512_fmadd_ps(a.v, b.v, c.v);
}
PF_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {  // c - a b
    return _mm512_fnmadd_ps(a.v, b.v, c.v);
}
// a > b ? a : b, so the second operand where either is NaN
PF_INLINE Vec<float> max(Vec<float> a, Vec<float> b) { return _mm512_max_ps(a.v, b.v); }
PF_INLINE Vec<float> min(Vec<float> a, Vec<float> b) { return _mm512_min_ps(a.v, b.v); }
PF_INLINE Vec<float> abs(Vec<float> a) { return _mm512_abs_ps(a.v); }
PF_INLINE Vec<float> sqrt(Vec<float> a) { return _mm512_sqrt_ps(a.v); }
PF_INLINE Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
    const __m512 bit = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(bit, magnitude.v), _mm512_and_ps(bit, sign.v));
}
PF_INLINE Vec<float> round(Vec<float> a) {  // to nearest, ties to even
    return _mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a 2^n for n a whole number; overflow gives inf, underflow rounds once
PF_INLINE Vec<float> scale_by_power_of_two(Vec<float> a, Vec<float> n) {
    return _mm512_scalef_ps(a.v, n.v);
}
// An estimate of 1/a with relative error below 2^-14; refine it before use.
PF_INLINE Vec<float> reciprocal_estimate(Vec<float> a) { return _mm512_rcp14_ps(a.v); }
PF_INLINE Vec<float> swap_pairs(Vec<float> a) { return _mm512_permute_ps(a.v, 0xb1); }  // 1 0 3 2

// Comparison and selection
PF_INLINE Mask operator<(Vec<float> a, Vec<float> b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
PF_INLINE Mask operator>(Vec<float> a, Vec<float> b) { return b < a; }
PF_INLINE Mask operator<=(Vec<float> a, Vec<float> b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)};
}
PF_INLINE Mask operator==(Vec<float> a, Vec<float> b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
}
PF_INLINE Mask operator!(Mask a) { return {_knot_mask16(a.m)}; }
PF_INLINE Mask operator&(Mask a, Mask b) { return {_kand_mask16(a.m, b.m)}; }
PF_INLINE Mask operator|(Mask a, Mask b) { return {_kor_mask16(a.m, b.m)}; }
PF_INLINE bool any(Mask a) { return a.m != 0; }
PF_INLINE Vec<float> select(Mask m, Vec<float> yes, Vec<float> no) {
    return _mm512_mask_blend_ps(m.m, no.v, yes.v);
}
PF_INLINE VecI select(Mask m, VecI yes, VecI no) {
    return _mm512_mask_blend_epi32(m.m, no.v, yes.v);
}

// Reductions: lanes are added as a fixed tree (16 -> 8 -> 4 -> 2 -> 1)
PF_INLINE float reduce_add(Vec<float> a) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
PF_INLINE float reduce_max(Vec<float> a) { return _mm512_reduce_max_ps(a.v); }

// Integers and bits
PF_INLINE VecI operator+(VecI a, VecI b) { return _mm512_add_epi32(a.v, b.v); }
PF_INLINE VecI operator-(VecI a, VecI b) { return _mm512_sub_epi32(a.v, b.v); }
PF_INLINE VecI operator&(VecI a, VecI b) { return _mm512_and_si512(a.v, b.v); }
PF_INLINE VecI operator|(VecI a, VecI b) { return _mm512_or_si512(a.v, b.v); }
PF_INLINE VecI operator^(VecI a, VecI b) { return _mm512_xor_si512(a.v, b.v); }
template <int bits>
PF_INLINE VecI shift_left(VecI a) {
    return _mm512_slli_epi32(a.v, bits);
}
template <int bits>
PF_INLINE VecI shift_right(VecI a) {  // unsigned
    return _mm512_srli_epi32(a.v, bits);
}
template <int bits>
PF_INLINE VecI shift_right_signed(VecI a) {
    return _mm512_srai_epi32(a.v, bits);
}
PF_INLINE Mask operator<(VecI a, VecI b) { return {_mm512_cmplt_epi32_mask(a.v, b.v)}; }
PF_INLINE Mask operator==(VecI a, VecI b) { return {_mm512_cmpeq_epi32_mask(a.v, b.v)}; }
PF_INLINE VecI bits_of(Vec<float> a) { return _mm512_castps_si512(a.v); }
PF_INLINE Vec<float> from_bits(VecI a) { return _mm512_castsi512_ps(a.v); }
PF_INLINE VecI to_int(Vec<float> a) { return _mm512_cvtps_epi32(a.v); }  // rounds to nearest
PF_INLINE Vec<float> to_float(VecI a) { return _mm512_cvtepi32_ps(a.v); }
PF_INLINE VecI lane_numbers() {
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
PF_INLINE VecI load_int(const int32_t* p) { return _mm512_loadu_si512(p); }
PF_INLINE void store_int(int32_t* p, VecI a) { _mm512_storeu_si512(p, a.v); }

// Memory
PF_INLINE Vec<float> load(const float* p, Full) { return _mm512_loadu_ps(p); }
PF_INLINE Vec<float> load(const float* p, Tail t) {
    return _mm512_maskz_loadu_ps(first_lanes<float>(t.n).m, p);
}
PF_INLINE void store(float* p, Full, Vec<float> a) { _mm512_storeu_ps(p, a.v); }
PF_INLINE void store(float* p, Tail t, Vec<float> a) {
    _mm512_mask_storeu_ps(p, first_lanes<float>(t.n).m, a.v);
}
// Past the caches; p must be aligned to the register.
PF_INLINE void stream(float* p, Vec<float> a) { _mm512_stream_ps(p, a.v); }
PF_INLINE void stream_fence() { _mm_sfence(); }

// bfloat16: widened by a shift, rounded to nearest even; NaN stays NaN
PF_INLINE Vec<float> widen(__m256i halves) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
PF_INLINE __m256i narrow(Vec<float> a) {
#ifdef __AVX512BF16__
    return (__m256i)_mm512_cvtneps_pbh(a.v);
#else
    const __m512i bits = _mm512_castps_si512(a.v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __m512i kept = _mm512_mask_blend_epi32(nan, rounded, quiet);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
#endif
}
PF_INLINE Vec<float> load(const bfloat16* p, Full) {
    return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
PF_INLINE Vec<float> load(const bfloat16* p, Tail t) {
    return widen(_mm256_maskz_loadu_epi16(first_lanes<float>(t.n).m, p));
}
PF_INLINE void store(bfloat16* p, Full, Vec<float> a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(a));
}
PF_INLINE void store(bfloat16* p, Tail t, Vec<float> a) {
    _mm256_mask_storeu_epi16(p, first_lanes<float>(t.n).m, narrow(a));
}
PF_INLINE void stream(bfloat16* p, Vec<float> a) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p), narrow(a));
}

#ifdef __AVX512BF16__
#define PF_BFLOAT_PAIRS
// acc + the sum of the products of both bfloat16 of each lane
PF_INLINE Vec<float> dot_pairs(VecI a, VecI b, Vec<float> acc) {
    return _mm512_dpbf16_ps(acc.v, (__m512bh)a.v, (__m512bh)b.v);
}
#endif

}  // namespace plainformer::PF_ISA
