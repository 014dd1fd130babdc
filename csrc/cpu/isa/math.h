// Elementary functions on Vec<float> (and, through libm lane by lane, on Vec<double> at the
// generic level): exp, exp2, log, sigmoid, tanh, erf, normal_cdf.
//
// Largest errors over all float32 inputs are measured by tests/cpp/elementary.cpp. Only exactly
// rounded operations are used (no reciprocal estimates, whose bits differ between processors), so
// AVX2 and AVX-512 agree bit for bit; the generic level rounds its multiply-adds twice.
// Coefficients are minimax fits of ours, rounded to float32 one after another.
#pragma once
#include "isa/vec.h"

namespace plainformer::PF_ISA {

// c0 + x (c1 + x (c2 + ...))
PF_INLINE Vec<float> polynomial(Vec<float>, float c) { return Vec<float>(c); }
template <typename... Rest>
PF_INLINE Vec<float> polynomial(Vec<float> x, float c, Rest... rest) {
    return fma(polynomial(x, rest...), x, Vec<float>(c));
}

// x limited to [low, high]. NaN stays NaN: max and min return their second operand then.
template <typename V>
PF_INLINE V clamp(V x, V low, V high) {
    return min(high, max(low, x));
}

// 2^r for |r| <= 1/2
PF_INLINE Vec<float> exp2_of_fraction(Vec<float> r) {
    return polynomial(r, 1.0f, 0x1.62e42ap-1f, 0x1.ebf9c2p-3f, 0x1.c6b6d8p-5f, 0x1.3ce8aep-7f,
                      0x1.5bda58p-10f);
}

// 2^x for x in [-252, 129], or NaN. x = n + r with |r| <= 1/2.
PF_INLINE Vec<float> exp2_in_range(Vec<float> x) {
    const Vec<float> n = round(x);
    return scale_by_power_of_two(exp2_of_fraction(x - n), n);
}

// 2^x for x below 128, and 0 where that would be less than 2^-126.5: a single factor 2^n, made from
// the bits of the sum that rounds x, and hardly a subnormal result: each interrupts Intel's
// processors for some 150 cycles.
PF_INLINE Vec<float> exp2_or_zero(Vec<float> x) {
    const Vec<float> z = max(Vec<float>(-127.0f), x);  // NaN stays NaN
    const Vec<float> magic(0x1.8p+23f + 127.0f);
    const Vec<float> sum = z + magic;  // its last nine bits are n + 127
    return exp2_of_fraction(z - (sum - magic)) * from_bits(shift_left<23>(bits_of(sum)));
}

// 2^x. Outside the limits the result is 0 or inf, and clamping keeps inf - inf out of the rest.
PF_INLINE Vec<float> exp2(Vec<float> x) {
    return exp2_in_range(clamp(x, Vec<float>(-151.0f), Vec<float>(129.0f)));
}

// e^x. x = n ln2 + r with |r| <= ln2 / 2; ln2 in two parts, n times the first of which is exact.
PF_INLINE Vec<float> exp(Vec<float> x) {
    const Vec<float> z = clamp(x, Vec<float>(-104.0f), Vec<float>(89.0f));
    const Vec<float> n = round(z * Vec<float>(0x1.715476p+0f));
    const Vec<float> r = fnma(n, Vec<float>(-0x1.bd0106p-13f), fnma(n, Vec<float>(0x1.63p-1f), z));
    const Vec<float> p = polynomial(r, 1.0f, 1.0f, 0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558b0p-5f,
                                    0x1.12398ep-7f, 0x1.6a4d60p-10f);
    return scale_by_power_of_two(p, n);
}

// Natural logarithm; log(0) = -inf, NaN below 0. x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt 2).
PF_INLINE Vec<float> log(Vec<float> x) {
    const Mask tiny = x < Vec<float>(0x1p-126f);  // subnormals: give them a full mantissa first
    const Vec<float> scaled = select(tiny, x * Vec<float>(0x1p+23f), x);
    const VecI sqrt_half(0x3f3504f3);
    const VecI e = shift_right_signed<23>(bits_of(scaled) - sqrt_half);
    const Vec<float> f = from_bits(bits_of(scaled) - shift_left<23>(e)) - Vec<float>(1.0f);
    const Vec<float> n = to_float(e) - select(tiny, Vec<float>(23.0f), Vec<float>(0.0f));

    const Vec<float> p = polynomial(f, 0x1.555548p-2f, -0x1.000006p-2f, 0x1.99a476p-3f,
                                    -0x1.555c44p-3f, 0x1.233ba2p-3f, -0x1.fc28cap-4f,
                                    0x1.e6c00ap-4f, -0x1.de01dap-4f, 0x1.147338p-4f);
    const Vec<float> square = f * f;
    // f - f^2 / 2 + f^3 p + n ln2, smallest terms first
    const Vec<float> small = fma(square * f, p, n * Vec<float>(-0x1.bd0106p-13f));
    const Vec<float> log_f = f + fnma(Vec<float>(0.5f), square, small);
    const Vec<float> finite = fma(n, Vec<float>(0x1.63p-1f), log_f);

    const Vec<float> zero(0.0f), inf(__builtin_inff());
    const Vec<float> above = select(x < inf, finite, x);  // inf and NaN answer themselves
    const Vec<float> below = select(x == zero, -inf, Vec<float>(__builtin_nanf("")));
    return select(x <= zero, below, above);
}

// 1 / (1 + e^-x) from e = e^-|x|: nothing overflows, and small results keep their digits.
template <typename A>
PF_INLINE Vec<A> sigmoid_of_exp(Vec<A> x, Vec<A> e) {
    const Vec<A> one(A(1));
    return select(x < Vec<A>(A(0)), e, one) / (one + e);
}

// The same s, and its derivative s (1 - s), which would cancel where s is near 1.
template <typename A>
struct Sigmoid {
    Vec<A> value, slope;
};

template <typename A>
PF_INLINE Sigmoid<A> sigmoid_with_slope_of_exp(Vec<A> x, Vec<A> e) {
    const Vec<A> one(A(1)), r = one / (one + e);
    return {select(x < Vec<A>(A(0)), e * r, r), e * r * r};
}

PF_INLINE Vec<float> sigmoid(Vec<float> x) { return sigmoid_of_exp(x, exp(-abs(x))); }

// Distribution of the standard normal, Phi(x). Its tail Phi(-t) = 2^Q(t), with an error of 3e-8; Q
// falls without end, so that the tail does. 1 - tail is the other half.
PF_INLINE Vec<float> normal_cdf(Vec<float> x) {
    const Vec<float> t = min(Vec<float>(16.0f), abs(x));
    const Vec<float> q =
        polynomial(t, -1.0f, -0x1.26aed4p+0f, -0x1.d63ac2p-2f, -0x1.ae0a82p-5f, 0x1.ced282p-8f,
                   -0x1.1d1976p-13f, -0x1.874e2cp-13f, 0x1.4b0cd6p-15f, -0x1.7d7b04p-19f);
    const Vec<float> tail = exp2_in_range(max(Vec<float>(-151.0f), q));  // q is at most -1
    return select(x < Vec<float>(0.0f), tail, Vec<float>(1.0f) - tail);
}

// Odd polynomial near 0, where the other form would cancel; 1 - 2 / (e^2|x| + 1) elsewhere.
PF_INLINE Vec<float> tanh(Vec<float> x) {
    const Vec<float> one(1.0f), magnitude = abs(x), square = x * x;
    const Vec<float> p = polynomial(square, -0x1.555534p-2f, 0x1.110760p-3f, -0x1.b84340p-5f,
                                    0x1.52509ep-6f, -0x1.76922ap-8f);
    const Vec<float> near = fma(square * p, x, x);
    const Vec<float> far = one - Vec<float>(2.0f) / (exp(magnitude + magnitude) + one);
    return select(magnitude < Vec<float>(0.625f), near, copysign(far, x));
}

// Error function: x + x P(x^2) below 15/16, 1 - e^-(t + t Q(t)) for t = |x| above. From t = 3.92
// on the result is 1, so that t is cut at 4.
PF_INLINE Vec<float> erf(Vec<float> x) {
    const Vec<float> one(1.0f), square = x * x;
    const Vec<float> t = min(Vec<float>(4.0f), abs(x));
    const Vec<float> p = polynomial(square, 0x1.06eba6p-3f, -0x1.8126dcp-2f, 0x1.ce185ap-4f,
                                    -0x1.b66a02p-6f, 0x1.466dcep-8f, -0x1.36b84cp-11f);
    const Vec<float> near = fma(p, x, x);
    const Vec<float> q =
        polynomial(t, -0x1.077dd6p-3f, -0x1.452d86p-1f, -0x1.b367b6p-4f, 0x1.8634c0p-6f,
                   -0x1.e0c5c2p-9f, 0x1.590c9cp-12f, -0x1.8dc7bcp-17f);
    const Vec<float> far = one - exp(fma(q, t, -t));
    return select(t < Vec<float>(0.9375f), near, copysign(far, x));
}

#ifdef PF_ISA_IS_GENERIC
PF_INLINE Vec<double> exp2(Vec<double> x) {
    return map_lanes(x, [](double v) { return __builtin_exp2(v); });
}
PF_INLINE Vec<double> exp2_in_range(Vec<double> x) { return exp2(x); }
PF_INLINE Vec<double> exp2_or_zero(Vec<double> x) { return exp2(x); }
PF_INLINE Vec<double> exp(Vec<double> x) {
    return map_lanes(x, [](double v) { return __builtin_exp(v); });
}
PF_INLINE Vec<double> log(Vec<double> x) {
    return map_lanes(x, [](double v) { return __builtin_log(v); });
}
PF_INLINE Vec<double> sigmoid(Vec<double> x) { return sigmoid_of_exp(x, exp(-abs(x))); }
PF_INLINE Vec<double> normal_cdf(Vec<double> x) {
    return map_lanes(x, [](double v) { return __builtin_erfc(v * -0.70710678118654752) / 2; });
}
PF_INLINE Vec<double> tanh(Vec<double> x) {
    return map_lanes(x, [](double v) { return __builtin_tanh(v); });
}
PF_INLINE Vec<double> erf(Vec<double> x) {
    return map_lanes(x, [](double v) { return __builtin_erf(v); });
}
#endif

}  // namespace plainformer::PF_ISA
