// Vec<float> on AArch64's NEON, and with its bfloat16 instructions where the level has them.
#pragma once
#include <arm_neon.h>

namespace plainformer::PF_ISA {

template <>
struct Vec<float> {
    static constexpr int width = 4;
    float32x4_t v;
    Vec() = default;
    PF_INLINE Vec(float32x4_t x) : v(x) {}
    PF_INLINE explicit Vec(float x) : v(vdupq_n_f32(x)) {}
};

struct VecI {  // 32-bit integers, as many as Vec<float> has lanes
    int32x4_t v;
    VecI() = default;
    PF_INLINE VecI(int32x4_t x) : v(x) {}
    PF_INLINE explicit VecI(int32_t x) : v(vdupq_n_s32(x)) {}
};

struct Mask {  // all bits of a lane set or clear
    uint32x4_t m;
};

PF_INLINE VecI lane_numbers() {
    return vcombine_s32(vcreate_s32(1ull << 32), vcreate_s32(3ull << 32 | 2));
}

template <typename A>
PF_INLINE Mask first_lanes(int n) {
    return {vcgtq_s32(vdupq_n_s32(n), lane_numbers().v)};
}

// Arithmetic
PF_INLINE Vec<float> operator+(Vec<float> a, Vec<float> b) { return vaddq_f32(a.v, b.v); }
PF_INLINE Vec<float> operator-(Vec<float> a, Vec<float> b) { return vsubq_f32(a.v, b.v); }
PF_INLINE Vec<float> operator*(Vec<float> a, Vec<float> b) { return vmulq_f32(a.v, b.v); }
PF_INLINE Vec<float> operator/(Vec<float> a, Vec<float> b) { return vdivq_f32(a.v, b.v); }
PF_INLINE Vec<float> operator-(Vec<float> a) { return vnegq_f32(a.v); }
PF_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {  // a b + c
    return vfmaq_f32(c.v, a.v, b.v);
}
PF_INLINE Vec<float> fnma(Vec<float> a, Vec<float> b, Vec<float> c) {  // c - a b
    return vfmsq_f32(c.v, a.v, b.v);
}
// a > b ? a : b, so the second operand where either is NaN. FMAX gives NaN for either, and FMAXNM
// the other one: neither is what x86 does.
PF_INLINE Vec<float> max(Vec<float> a, Vec<float> b) {
    return vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v);
}
PF_INLINE Vec<float> min(Vec<float> a, Vec<float> b) {
    return vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v);
}
PF_INLINE Vec<float> abs(Vec<float> a) { return vabsq_f32(a.v); }
PF_INLINE Vec<float> sqrt(Vec<float> a) { return vsqrtq_f32(a.v); }
PF_INLINE Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
    return vbslq_f32(vdupq_n_u32(0x80000000), sign.v, magnitude.v);
}
PF_INLINE Vec<float> round(Vec<float> a) { return vrndnq_f32(a.v); }  // to nearest, ties to even
// a 2^n for n a whole number in [-252, 254]; overflow gives inf, underflow rounds once.
// Two factors, because 2^n alone may be outside float32 where a 2^n is not.
PF_INLINE Vec<float> scale_by_power_of_two(Vec<float> a, Vec<float> n) {
    const int32x4_t whole = vcvtnq_s32_f32(n.v);
    const int32x4_t half = vshrq_n_s32(whole, 1);
    const int32x4_t bias = vdupq_n_s32(127);
    const float32x4_t first = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
    const int32x4_t rest = vsubq_s32(whole, half);
    const float32x4_t second = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23));
    return vmulq_f32(vmulq_f32(a.v, first), second);
}
// An estimate of 1/a with relative error below 2^-15; refine it before use. The instruction's own
// has 2^-8, and a step of Newton's doubles its digits.
PF_INLINE Vec<float> reciprocal_estimate(Vec<float> a) {
    const float32x4_t estimate = vrecpeq_f32(a.v);
    return vmulq_f32(estimate, vrecpsq_f32(a.v, estimate));
}
PF_INLINE Vec<float> swap_pairs(Vec<float> a) { return vrev64q_f32(a.v); }  // 1 0 3 2

// Comparison and selection
PF_INLINE Mask operator<(Vec<float> a, Vec<float> b) { return {vcltq_f32(a.v, b.v)}; }
PF_INLINE Mask operator>(Vec<float> a, Vec<float> b) { return {vcgtq_f32(a.v, b.v)}; }
PF_INLINE Mask operator<=(Vec<float> a, Vec<float> b) { return {vcleq_f32(a.v, b.v)}; }
PF_INLINE Mask operator==(Vec<float> a, Vec<float> b) { return {vceqq_f32(a.v, b.v)}; }
PF_INLINE Mask operator!(Mask a) { return {vmvnq_u32(a.m)}; }
PF_INLINE Mask operator&(Mask a, Mask b) { return {vandq_u32(a.m, b.m)}; }
PF_INLINE Mask operator|(Mask a, Mask b) { return {vorrq_u32(a.m, b.m)}; }
PF_INLINE bool any(Mask a) { return vmaxvq_u32(a.m) != 0; }
PF_INLINE Vec<float> select(Mask m, Vec<float> yes, Vec<float> no) {
    return vbslq_f32(m.m, yes.v, no.v);
}
PF_INLINE VecI select(Mask m, VecI yes, VecI no) { return vbslq_s32(m.m, yes.v, no.v); }

// Reductions: lanes are added as a fixed tree (4 -> 2 -> 1)
PF_INLINE float reduce_add(Vec<float> a) {
    const float32x2_t two = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
PF_INLINE float reduce_max(Vec<float> a) {
    const Vec<float> two = max(a, vextq_f32(a.v, a.v, 2));
    return vgetq_lane_f32(max(two, swap_pairs(two)).v, 0);
}

// Integers and bits
PF_INLINE VecI operator+(VecI a, VecI b) { return vaddq_s32(a.v, b.v); }
PF_INLINE VecI operator-(VecI a, VecI b) { return vsubq_s32(a.v, b.v); }
PF_INLINE VecI operator&(VecI a, VecI b) { return vandq_s32(a.v, b.v); }
PF_INLINE VecI operator|(VecI a, VecI b) { return vorrq_s32(a.v, b.v); }
PF_INLINE VecI operator^(VecI a, VecI b) { return veorq_s32(a.v, b.v); }
template <int bits>
PF_INLINE VecI shift_left(VecI a) {
    return vshlq_n_s32(a.v, bits);
}
template <int bits>
PF_INLINE VecI shift_right(VecI a) {  // unsigned
    return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.v), bits));
}
template <int bits>
PF_INLINE VecI shift_right_signed(VecI a) {
    return vshrq_n_s32(a.v, bits);
}
PF_INLINE Mask operator<(VecI a, VecI b) { return {vcltq_s32(a.v, b.v)}; }
PF_INLINE Mask operator==(VecI a, VecI b) { return {vceqq_s32(a.v, b.v)}; }
PF_INLINE VecI bits_of(Vec<float> a) { return vreinterpretq_s32_f32(a.v); }
PF_INLINE Vec<float> from_bits(VecI a) { return vreinterpretq_f32_s32(a.v); }
PF_INLINE VecI to_int(Vec<float> a) { return vcvtnq_s32_f32(a.v); }  // rounds to nearest
PF_INLINE Vec<float> to_float(VecI a) { return vcvtq_f32_s32(a.v); }
PF_INLINE VecI load_int(const int32_t* p) { return vld1q_s32(p); }
PF_INLINE void store_int(int32_t* p, VecI a) { vst1q_s32(p, a.v); }

// Memory. There is no masked load: a tail is a half and a single lane.
PF_INLINE Vec<float> load(const float* p, Full) { return vld1q_f32(p); }
PF_INLINE Vec<float> load(const float* p, Tail t) {
    if (t.n >= Vec<float>::width) return load(p, Full{});
    const float32x2_t zero = vdup_n_f32(0.0f);
    if (t.n < 2) return vcombine_f32(t.n > 0 ? vld1_lane_f32(p, zero, 0) : zero, zero);
    return vcombine_f32(vld1_f32(p), t.n > 2 ? vld1_lane_f32(p + 2, zero, 0) : zero);
}
PF_INLINE void store(float* p, Full, Vec<float> a) { vst1q_f32(p, a.v); }
PF_INLINE void store(float* p, Tail t, Vec<float> a) {
    if (t.n >= Vec<float>::width) return store(p, Full{}, a);
    if (t.n >= 2) vst1_f32(p, vget_low_f32(a.v));
    if (t.n == 1) vst1q_lane_f32(p, a.v, 0);
    if (t.n == 3) vst1q_lane_f32(p + 2, a.v, 2);
}
// A plain store: these processors see by themselves that whole lines are written, and go past their
// caches; STNP is a hint that most of them ignore.
PF_INLINE void stream(float* p, Vec<float> a) { store(p, Full{}, a); }
PF_INLINE void stream_fence() {}

// bfloat16: widened by a shift, rounded to nearest even; NaN stays NaN
PF_INLINE Vec<float> widen(uint16x4_t halves) {
    return vreinterpretq_f32_u32(vshll_n_u16(halves, 16));
}
PF_INLINE uint16x4_t narrow(Vec<float> a) {
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
    return vreinterpret_u16_bf16(vcvt_bf16_f32(a.v));
#else
    const uint32x4_t bits = vreinterpretq_u32_f32(a.v);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(a.v, a.v), rounded, quiet), 16);
#endif
}
PF_INLINE const uint16_t* words(const bfloat16* p) { return reinterpret_cast<const uint16_t*>(p); }
PF_INLINE uint16_t* words(bfloat16* p) { return reinterpret_cast<uint16_t*>(p); }

PF_INLINE Vec<float> load(const bfloat16* p, Full) { return widen(vld1_u16(words(p))); }
PF_INLINE Vec<float> load(const bfloat16* p, Tail t) {
    uint16x4_t halves = vdup_n_u16(0);
    if (t.n > 0) halves = vld1_lane_u16(words(p), halves, 0);
    if (t.n > 1) halves = vld1_lane_u16(words(p + 1), halves, 1);
    if (t.n > 2) halves = vld1_lane_u16(words(p + 2), halves, 2);
    if (t.n > 3) halves = vld1_lane_u16(words(p + 3), halves, 3);
    return widen(halves);
}
PF_INLINE void store(bfloat16* p, Full, Vec<float> a) { vst1_u16(words(p), narrow(a)); }
PF_INLINE void store(bfloat16* p, Tail t, Vec<float> a) {
    const uint16x4_t halves = narrow(a);
    if (t.n > 0) vst1_lane_u16(words(p), halves, 0);
    if (t.n > 1) vst1_lane_u16(words(p + 1), halves, 1);
    if (t.n > 2) vst1_lane_u16(words(p + 2), halves, 2);
    if (t.n > 3) vst1_lane_u16(words(p + 3), halves, 3);
}
PF_INLINE void stream(bfloat16* p, Vec<float> a) { store(p, Full{}, a); }

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
#define PF_BFLOAT_PAIRS
// acc + the sum of the products of both bfloat16 of each lane. With FPCR.EBF clear (float_mode.h)
// the same bits on every processor: products are exact, both sums round to odd.
PF_INLINE Vec<float> dot_pairs(VecI a, VecI b, Vec<float> acc) {
    return vbfdotq_f32(acc.v, vreinterpretq_bf16_s32(a.v), vreinterpretq_bf16_s32(b.v));
}
#endif

}  // namespace plainformer::PF_ISA
