// Vec<float> and Vec<double> in the compiler's own 16-byte vectors: x86-64-v2 and any other CPU.
// There is no fused multiply-add here; fma() rounds twice.
#pragma once

namespace plainformer::PF_ISA {

namespace generic_vectors {
typedef float F32 __attribute__((vector_size(16)));
typedef int32_t I32 __attribute__((vector_size(16)));
typedef uint32_t U32 __attribute__((vector_size(16)));
typedef double F64 __attribute__((vector_size(16)));
typedef int64_t I64 __attribute__((vector_size(16)));
}  // namespace generic_vectors

template <>
struct Vec<float> {
    static constexpr int width = 4;
    using Bits = generic_vectors::I32;
    generic_vectors::F32 v;
    Vec() = default;
    PF_INLINE Vec(generic_vectors::F32 x) : v(x) {}
    PF_INLINE explicit Vec(float x) : v{x, x, x, x} {}
};

template <>
struct Vec<double> {
    static constexpr int width = 2;
    using Bits = generic_vectors::I64;
    generic_vectors::F64 v;
    Vec() = default;
    PF_INLINE Vec(generic_vectors::F64 x) : v(x) {}
    PF_INLINE explicit Vec(double x) : v{x, x} {}
};

struct VecI {  // 32-bit integers, as many as Vec<float> has lanes
    generic_vectors::I32 v;
    VecI() = default;
    PF_INLINE VecI(generic_vectors::I32 x) : v(x) {}
    PF_INLINE explicit VecI(int32_t x) : v{x, x, x, x} {}
};

template <typename Bits>
struct MaskOf {  // all bits of a lane set or clear
    Bits m;
};
using Mask = MaskOf<generic_vectors::I32>;

PF_INLINE VecI lane_numbers() { return VecI(generic_vectors::I32{0, 1, 2, 3}); }

template <typename A>
PF_INLINE MaskOf<typename Vec<A>::Bits> first_lanes(int n) {
    typename Vec<A>::Bits m = {};
    for (int i = 0; i < Vec<A>::width; ++i) m[i] = i < n ? -1 : 0;
    return {m};
}

// Arithmetic
template <typename A>
PF_INLINE Vec<A> operator+(Vec<A> a, Vec<A> b) {
    return a.v + b.v;
}
template <typename A>
PF_INLINE Vec<A> operator-(Vec<A> a, Vec<A> b) {
    return a.v - b.v;
}
template <typename A>
PF_INLINE Vec<A> operator*(Vec<A> a, Vec<A> b) {
    return a.v * b.v;
}
template <typename A>
PF_INLINE Vec<A> operator/(Vec<A> a, Vec<A> b) {
    return a.v / b.v;
}
template <typename A>
PF_INLINE Vec<A> operator-(Vec<A> a) {
    return -a.v;
}
template <typename A>
PF_INLINE Vec<A> fma(Vec<A> a, Vec<A> b, Vec<A> c) {  // a b + c
    return a.v * b.v + c.v;
}
template <typename A>
PF_INLINE Vec<A> fnma(Vec<A> a, Vec<A> b, Vec<A> c) {  // c - a b
    return c.v - a.v * b.v;
}
// a > b ? a : b, so the second operand where either is NaN
template <typename A>
PF_INLINE Vec<A> max(Vec<A> a, Vec<A> b) {
    return a.v > b.v ? a.v : b.v;
}
template <typename A>
PF_INLINE Vec<A> min(Vec<A> a, Vec<A> b) {
    return a.v < b.v ? a.v : b.v;
}
template <typename A, typename F>
PF_INLINE Vec<A> map_lanes(Vec<A> a, F f) {
    Vec<A> r;
    for (int i = 0; i < Vec<A>::width; ++i) r.v[i] = f(a.v[i]);
    return r;
}
template <typename A>
PF_INLINE Vec<A> abs(Vec<A> a) {
    return map_lanes(a, [](A x) { return static_cast<A>(__builtin_fabs(x)); });
}
template <typename A>
PF_INLINE Vec<A> sqrt(Vec<A> a) {
    if constexpr (sizeof(A) == 4) return map_lanes(a, [](A x) { return __builtin_sqrtf(x); });
    return map_lanes(a, [](A x) { return static_cast<A>(__builtin_sqrt(x)); });
}
template <typename A>
PF_INLINE Vec<A> copysign(Vec<A> magnitude, Vec<A> sign) {
    Vec<A> r;
    for (int i = 0; i < Vec<A>::width; ++i)
        r.v[i] = static_cast<A>(__builtin_copysign(magnitude.v[i], sign.v[i]));
    return r;
}
// To nearest, ties to even, for |a| < 2^22 (float) or 2^51 (double): adding 1.5 2^23 (2^52)
// leaves no room for a fraction.
template <typename A>
PF_INLINE Vec<A> round(Vec<A> a) {
    const Vec<A> shift(sizeof(A) == 4 ? A(12582912.0) : A(6755399441055744.0));
    return (a + shift) - shift;
}
// a 2^n for n a whole number in [-252, 254]; overflow gives inf, underflow rounds once.
PF_INLINE Vec<float> scale_by_power_of_two(Vec<float> a, Vec<float> n) {
    using namespace generic_vectors;
    const I32 whole = __builtin_convertvector(n.v, I32);
    const I32 half = whole >> 1;
    const auto power = [](I32 e) { return reinterpret_cast<F32>((e + 127) << 23); };
    return a.v * power(half) * power(whole - half);
}
template <typename A>
PF_INLINE Vec<A> reciprocal_estimate(Vec<A> a) {
    return Vec<A>(A(1)) / a;
}
template <typename A>
PF_INLINE Vec<A> swap_pairs(Vec<A> a) {  // 1 0 3 2
    Vec<A> r;
    for (int i = 0; i < Vec<A>::width; ++i) r.v[i] = a.v[i ^ 1];
    return r;
}

// Comparison and selection
template <typename A>
PF_INLINE auto operator<(Vec<A> a, Vec<A> b) -> MaskOf<typename Vec<A>::Bits> {
    return {a.v < b.v};
}
template <typename A>
PF_INLINE auto operator>(Vec<A> a, Vec<A> b) -> MaskOf<typename Vec<A>::Bits> {
    return {a.v > b.v};
}
template <typename A>
PF_INLINE auto operator<=(Vec<A> a, Vec<A> b) -> MaskOf<typename Vec<A>::Bits> {
    return {a.v <= b.v};
}
template <typename A>
PF_INLINE auto operator==(Vec<A> a, Vec<A> b) -> MaskOf<typename Vec<A>::Bits> {
    return {a.v == b.v};
}
template <typename B>
PF_INLINE MaskOf<B> operator!(MaskOf<B> a) {
    return {~a.m};
}
template <typename B>
PF_INLINE MaskOf<B> operator&(MaskOf<B> a, MaskOf<B> b) {
    return {a.m & b.m};
}
template <typename B>
PF_INLINE MaskOf<B> operator|(MaskOf<B> a, MaskOf<B> b) {
    return {a.m | b.m};
}
template <typename B>
PF_INLINE bool any(MaskOf<B> a) {
    B none = {};
    return __builtin_memcmp(&a.m, &none, sizeof none) != 0;
}
template <typename A>
PF_INLINE Vec<A> select(MaskOf<typename Vec<A>::Bits> m, Vec<A> yes, Vec<A> no) {
    return m.m ? yes.v : no.v;
}
PF_INLINE VecI select(Mask m, VecI yes, VecI no) { return m.m ? yes.v : no.v; }

// Reductions: lanes are added as a fixed tree (4 -> 2 -> 1)
PF_INLINE float reduce_add(Vec<float> a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
PF_INLINE double reduce_add(Vec<double> a) { return a.v[0] + a.v[1]; }
template <typename A>
PF_INLINE A reduce_max(Vec<A> a) {
    A m = a.v[0];
    for (int i = 1; i < Vec<A>::width; ++i) m = m > a.v[i] ? m : a.v[i];
    return m;
}

// Integers and bits. They wrap around, as the instructions of the other levels do, so they are
// added and shifted as unsigned ones: overflow of signed integers is undefined.
PF_INLINE generic_vectors::U32 unsigned_of(VecI a) {
    return reinterpret_cast<generic_vectors::U32>(a.v);
}
PF_INLINE VecI signed_of(generic_vectors::U32 a) {
    return reinterpret_cast<generic_vectors::I32>(a);
}
PF_INLINE VecI operator+(VecI a, VecI b) { return signed_of(unsigned_of(a) + unsigned_of(b)); }
PF_INLINE VecI operator-(VecI a, VecI b) { return signed_of(unsigned_of(a) - unsigned_of(b)); }
PF_INLINE VecI operator&(VecI a, VecI b) { return a.v & b.v; }
PF_INLINE VecI operator|(VecI a, VecI b) { return a.v | b.v; }
PF_INLINE VecI operator^(VecI a, VecI b) { return a.v ^ b.v; }
template <int bits>
PF_INLINE VecI shift_left(VecI a) {
    return signed_of(unsigned_of(a) << bits);
}
template <int bits>
PF_INLINE VecI shift_right(VecI a) {  // unsigned
    using namespace generic_vectors;
    return VecI(reinterpret_cast<I32>(reinterpret_cast<U32>(a.v) >> bits));
}
template <int bits>
PF_INLINE VecI shift_right_signed(VecI a) {
    return VecI(a.v >> bits);
}
PF_INLINE Mask operator<(VecI a, VecI b) { return {a.v < b.v}; }
PF_INLINE Mask operator==(VecI a, VecI b) { return {a.v == b.v}; }
PF_INLINE VecI bits_of(Vec<float> a) { return reinterpret_cast<generic_vectors::I32>(a.v); }
PF_INLINE Vec<float> from_bits(VecI a) { return reinterpret_cast<generic_vectors::F32>(a.v); }
PF_INLINE VecI to_int(Vec<float> a) {  // rounds to nearest
    return VecI(__builtin_convertvector(round(a).v, generic_vectors::I32));
}
PF_INLINE Vec<float> to_float(VecI a) {
    return Vec<float>(__builtin_convertvector(a.v, generic_vectors::F32));
}
PF_INLINE VecI load_int(const int32_t* p) {
    VecI r;
    __builtin_memcpy(&r.v, p, sizeof r.v);
    return r;
}
PF_INLINE void store_int(int32_t* p, VecI a) { __builtin_memcpy(p, &a.v, sizeof a.v); }

// Memory
PF_INLINE Vec<float> load(const float* p, Full) {
    Vec<float> r;
    __builtin_memcpy(&r.v, p, sizeof r.v);
    return r;
}
PF_INLINE Vec<double> load(const double* p, Full) {
    Vec<double> r;
    __builtin_memcpy(&r.v, p, sizeof r.v);
    return r;
}
PF_INLINE Vec<float> load(const float* p, Tail t) {
    Vec<float> r(0.0f);
    for (int i = 0; i < t.n; ++i) r.v[i] = p[i];
    return r;
}
PF_INLINE Vec<double> load(const double* p, Tail t) {
    Vec<double> r(0.0);
    for (int i = 0; i < t.n; ++i) r.v[i] = p[i];
    return r;
}
PF_INLINE void store(float* p, Full, Vec<float> a) { __builtin_memcpy(p, &a.v, sizeof a.v); }
PF_INLINE void store(double* p, Full, Vec<double> a) { __builtin_memcpy(p, &a.v, sizeof a.v); }
PF_INLINE void store(float* p, Tail t, Vec<float> a) {
    for (int i = 0; i < t.n; ++i) p[i] = a.v[i];
}
PF_INLINE void store(double* p, Tail t, Vec<double> a) {
    for (int i = 0; i < t.n; ++i) p[i] = a.v[i];
}
// Past the caches where the processor can; here it is a plain store.
template <typename A>
PF_INLINE void stream(A* p, Vec<A> a) {
    store(p, Full{}, a);
}
PF_INLINE void stream_fence() {}

// bfloat16: widened by a shift, rounded to nearest even; NaN stays NaN
PF_INLINE Vec<float> load(const bfloat16* p, Tail t) {
    VecI bits(0);
    for (int i = 0; i < t.n; ++i) bits.v[i] = static_cast<int32_t>(uint32_t{p[i].bits} << 16);
    return from_bits(bits);
}
PF_INLINE Vec<float> load(const bfloat16* p, Full) { return load(p, Tail{Vec<float>::width}); }
PF_INLINE void store(bfloat16* p, Tail t, Vec<float> a) {
    const VecI bits = bits_of(a);
    const VecI odd = shift_right<16>(bits) & VecI(1);
    const VecI rounded = bits + odd + VecI(0x7fff);
    const VecI kept = select(a == a, rounded, bits | VecI(0x400000));
    for (int i = 0; i < t.n; ++i)
        p[i].bits = static_cast<uint16_t>(static_cast<uint32_t>(kept.v[i]) >> 16);
}
PF_INLINE void store(bfloat16* p, Full, Vec<float> a) { store(p, Tail{Vec<float>::width}, a); }
PF_INLINE void stream(bfloat16* p, Vec<float> a) { store(p, Full{}, a); }

}  // namespace plainformer::PF_ISA
