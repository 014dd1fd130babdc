// Vec<float> on AVX2 and FMA.
#pragma once
#include <immintrin.h>

namespace plainformer::PF_ISA {

template <>
struct Vec<float> {
    static constexpr int width = 8;
    __m256 v;
    Vec() = default;
    PF_INLINE Vec(__m256 x) : v(x) {}
    PF_INLINE explicit Vec(float x) : v(_mm256_set1_ps(x)) {}
};

struct VecI {  // 32-bit integers, as many as Vec<float> has lanes
    __m256i v;
    VecI() = default;
    PF_INLINE VecI(__m256i x) : v(x) {}
    PF_INLINE explicit VecI(int32_t x) : v(_mm256_set1_epi32(x)) {}
};

struct Mask {  // all bits of a lane set or clear
    __m256i m;
};

PF_INLINE VecI lane_numbers() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }

template <typename A>
PF_INLINE Mask first_lanes(int n) {
    return {_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane_numbers().v)};
}

// Arithmetic
PF_INLINE Vec<float> operator+(Vec<float> a, Vec<float> b) { return _mm256_add_ps(a.v, b.v); }
PF_INLINE Vec<float> operator-(Vec<float> a, Vec<float> b) { return _mm256_sub_ps(a.v, b.v); }
PF_INLINE Vec<float> operator*(Vec<float> a, Vec<float> b) { return _mm256_mul_ps(a.v, b.v); }
PF_INLINE Vec<float> operator/(Vec<float> a, Vec<float> b) { return _mm256_div_ps(a.v, b.v); }
PF_INLINE Vec<float> operator-(Vec<float> a) { return _mm256_xor_ps(a.v, _mm256_set1_ps(-0.0f)); }
PF_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {  // a b + c
    return _mm256_fmadd_ps(a.v, b.v, c.v);
}
PF_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {  // c - a b
    return _mm256_fnmadd_ps(a.v, b.v, c.v);
}
// a > b ? a : b, so the second operand where either is NaN
PF_INLINE Vec<float> max(Vec<float> a, Vec<float> b) { return _mm256_max_ps(a.v, b.v); }
PF_INLINE Vec<float> min(Vec<float> a, Vec<float> b) { return _mm256_min_ps(a.v, b.v); }
PF_INLINE Vec<float> abs(Vec<float> a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v); }
PF_INLINE Vec<float> sqrt(Vec<float> a) { return _mm256_sqrt_ps(a.v); }
PF_INLINE Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
    const __m256 bit = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude.v), _mm256_and_ps(bit, sign.v));
}
PF_INLINE Vec<float> round(Vec<float> a) {  // to nearest, ties to even
    return _mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a 2^n for n a whole number in [-252, 254]; overflow gives inf, underflow rounds once.
// Two factors, because 2^n alone may be outside float32 where a 2^n is not.
PF_INLINE Vec<float> scale_by_power_of_two(Vec<float> a, Vec<float> n) {
    const __m256i whole = _mm256_cvtps_epi32(n.v);
    const __m256i half = _mm256_srai_epi32(whole, 1);
    const __m256i bias = _mm256_set1_epi32(127);
    const auto power = [&](__m256i e) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e, bias), 23));
    };
    return _mm256_mul_ps(_mm256_mul_ps(a.v, power(half)), power(_mm256_sub_epi32(whole, half)));
}
// An estimate of 1/a with relative error below 2^-11; refine it before use.
PF_INLINE Vec<float> reciprocal_estimate(Vec<float> a) { return _mm256_rcp_ps(a.v); }
PF_INLINE Vec<float> swap_pairs(Vec<float> a) { return _mm256_permute_ps(a.v, 0xb1); }  // 1 0 3 2

// Comparison and selection
PF_INLINE Mask mask_of(__m256 m) { return {_mm256_castps_si256(m)}; }
PF_INLINE Mask operator<(Vec<float> a, Vec<float> b) {
    return mask_of(_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ));
}
PF_INLINE Mask operator>(Vec<float> a, Vec<float> b) { return b < a; }
PF_INLINE Mask operator<=(Vec<float> a, Vec<float> b) {
    return mask_of(_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ));
}
PF_INLINE Mask operator==(Vec<float> a, Vec<float> b) {
    return mask_of(_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ));
}
PF_INLINE Mask operator!(Mask a) { return {_mm256_xor_si256(a.m, _mm256_set1_epi32(-1))}; }
PF_INLINE Mask operator&(Mask a, Mask b) { return {_mm256_and_si256(a.m, b.m)}; }
PF_INLINE Mask operator|(Mask a, Mask b) { return {_mm256_or_si256(a.m, b.m)}; }
PF_INLINE bool any(Mask a) { return !_mm256_testz_si256(a.m, a.m); }
PF_INLINE Vec<float> select(Mask m, Vec<float> yes, Vec<float> no) {
    return _mm256_blendv_ps(no.v, yes.v, _mm256_castsi256_ps(m.m));
}
PF_INLINE VecI select(Mask m, VecI yes, VecI no) { return _mm256_blendv_epi8(no.v, yes.v, m.m); }

// Reductions: lanes are added as a fixed tree (8 -> 4 -> 2 -> 1)
PF_INLINE float reduce_add(Vec<float> a) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
PF_INLINE float reduce_max(Vec<float> a) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// Integers and bits
PF_INLINE VecI operator+(VecI a, VecI b) { return _mm256_add_epi32(a.v, b.v); }
PF_INLINE VecI operator-(VecI a, VecI b) { return _mm256_sub_epi32(a.v, b.v); }
PF_INLINE VecI operator&(VecI a, VecI b) { return _mm256_and_si256(a.v, b.v); }
PF_INLINE VecI operator|(VecI a, VecI b) { return _mm256_or_si256(a.v, b.v); }
PF_INLINE VecI operator^(VecI a, VecI b) { return _mm256_xor_si256(a.v, b.v); }
template <int bits>
PF_INLINE VecI shift_left(VecI a) {
    return _mm256_slli_epi32(a.v, bits);
}
template <int bits>
PF_INLINE VecI shift_right(VecI a) {  // unsigned
    return _mm256_srli_epi32(a.v, bits);
}
template <int bits>
PF_INLINE VecI shift_right_signed(VecI a) {
    return _mm256_srai_epi32(a.v, bits);
}
PF_INLINE Mask operator<(VecI a, VecI b) { return {_mm256_cmpgt_epi32(b.v, a.v)}; }
PF_INLINE Mask operator==(VecI a, VecI b) { return {_mm256_cmpeq_epi32(a.v, b.v)}; }
PF_INLINE VecI bits_of(Vec<float> a) { return _mm256_castps_si256(a.v); }
PF_INLINE Vec<float> from_bits(VecI a) { return _mm256_castsi256_ps(a.v); }
PF_INLINE VecI to_int(Vec<float> a) { return _mm256_cvtps_epi32(a.v); }  // rounds to nearest
PF_INLINE Vec<float> to_float(VecI a) { return _mm256_cvtepi32_ps(a.v); }
PF_INLINE VecI load_int(const int32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
PF_INLINE void store_int(int32_t* p, VecI a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v);
}

// Memory
PF_INLINE Vec<float> load(const float* p, Full) { return _mm256_loadu_ps(p); }
PF_INLINE Vec<float> load(const float* p, Tail t) {
    return _mm256_maskload_ps(p, first_lanes<float>(t.n).m);
}
PF_INLINE void store(float* p, Full, Vec<float> a) { _mm256_storeu_ps(p, a.v); }
PF_INLINE void store(float* p, Tail t, Vec<float> a) {
    _mm256_maskstore_ps(p, first_lanes<float>(t.n).m, a.v);
}
// Past the caches; p must be aligned to the register.
PF_INLINE void stream(float* p, Vec<float> a) { _mm256_stream_ps(p, a.v); }
PF_INLINE void stream_fence() { _mm_sfence(); }

// bfloat16: widened by a shift, rounded to nearest even; NaN stays NaN
PF_INLINE Vec<float> widen(__m128i halves) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
PF_INLINE __m128i narrow(Vec<float> a) {
    const __m256i bits = _mm256_castps_si256(a.v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i kept = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(kept), _mm256_extracti128_si256(kept, 1));
}
PF_INLINE Vec<float> load(const bfloat16* p, Full) {
    return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
PF_INLINE Vec<float> load(const bfloat16* p, Tail t) {  // AVX2 has no 16-bit masked load
    alignas(16) bfloat16 whole[8] = {};
    __builtin_memcpy(whole, p, sizeof(bfloat16) * static_cast<size_t>(t.n));
    return load(whole, Full{});
}
PF_INLINE void store(bfloat16* p, Full, Vec<float> a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow(a));
}
PF_INLINE void store(bfloat16* p, Tail t, Vec<float> a) {
    alignas(16) bfloat16 whole[8];
    store(whole, Full{}, a);
    __builtin_memcpy(p, whole, sizeof(bfloat16) * static_cast<size_t>(t.n));
}
PF_INLINE void stream(bfloat16* p, Vec<float> a) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(p), narrow(a));
}

}  // namespace plainformer::PF_ISA
