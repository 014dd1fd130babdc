// Activations on registers: y = f(x) and dy f'(x), shared by the activation kernels and by the
// epilogues of GEMM. Formulas: plainformer/activation.h
#pragma once
#include "isa/math.h"  // sigmoid, normal_cdf, exp2, tanh
#include "isa/vec.h"   // Vec
#include "plainformer/activation.h"

namespace plainformer::PF_ISA {

struct Relu {
    template <typename A>
    static PF_INLINE Vec<A> value(Vec<A> x) {
        return max(Vec<A>(A(0)), x);  // NaN stays NaN
    }
    template <typename A>
    static PF_INLINE Vec<A> gradient(Vec<A> x, Vec<A> dy) {
        return select(x <= Vec<A>(A(0)), Vec<A>(A(0)), dy);
    }
};

struct Gelu {
    template <typename A>
    static PF_INLINE Vec<A> value(Vec<A> x) {
        return x * normal_cdf(x);
    }
    // Phi(x) + x phi(x). Beyond 16 the derivative is 0 or 1; the cut keeps 0 inf out.
    template <typename A>
    static PF_INLINE Vec<A> gradient(Vec<A> x, Vec<A> dy) {
        constexpr double half_log2_e = 0.72134752044448170, phi_0 = 0.39894228040143268;
        const Vec<A> z = clamp(x, Vec<A>(A(-16)), Vec<A>(A(16)));
        const Vec<A> density = exp2_in_range(z * z * Vec<A>(A(-half_log2_e))) * Vec<A>(A(phi_0));
        return dy * fma(z, density, normal_cdf(z));
    }
};

struct GeluTanh {
    // 2 u log2(e) = x (a + b x^2): the exponential is a power of two
    static constexpr double a = 2.302208198144325, b = 0.044715 * a;

    template <typename A>
    static PF_INLINE Vec<A> exponent(Vec<A> x) {
        return x * fma(x * x, Vec<A>(A(b)), Vec<A>(A(a)));
    }
    template <typename A>
    static PF_INLINE Vec<A> value(Vec<A> x) {
        const Vec<A> v = exponent(x);
        return x * sigmoid_of_exp(v, exp2(-abs(v)));
    }
    // s + x s (1 - s) (2 u)'. Beyond 16 the derivative is 0 or 1; the cut keeps 0 inf out.
    template <typename A>
    static PF_INLINE Vec<A> gradient(Vec<A> x, Vec<A> dy) {
        constexpr double ln_2 = 0.69314718055994531;
        const Vec<A> z = clamp(x, Vec<A>(A(-16)), Vec<A>(A(16)));
        const Vec<A> v = exponent(z);
        const Vec<A> inner = fma(z * z, Vec<A>(A(3 * b * ln_2)), Vec<A>(A(a * ln_2)));
        const Sigmoid<A> s = sigmoid_with_slope_of_exp(v, exp2(-abs(v)));
        return dy * fma(z * inner, s.slope, s.value);
    }
};

struct Silu {
    template <typename A>
    static PF_INLINE Vec<A> value(Vec<A> x) {
        return x * sigmoid(x);
    }
    // s + x s (1 - s). Beyond 128 the derivative is 0 or 1; the cut keeps 0 inf out.
    template <typename A>
    static PF_INLINE Vec<A> gradient(Vec<A> x, Vec<A> dy) {
        const Vec<A> z = clamp(x, Vec<A>(A(-128)), Vec<A>(A(128)));
        const Sigmoid<A> s = sigmoid_with_slope_of_exp(z, exp(-abs(z)));
        return dy * fma(z, s.slope, s.value);
    }
};

struct Tanh {
    template <typename A>
    static PF_INLINE Vec<A> value(Vec<A> x) {
        return tanh(x);
    }
    // 1 - tanh(x)^2 = 4 s (1 - s), s = sigmoid(2 x): no difference of nearly equal numbers.
    template <typename A>
    static PF_INLINE Vec<A> gradient(Vec<A> x, Vec<A> dy) {
        const Vec<A> z = clamp(x + x, Vec<A>(A(-128)), Vec<A>(A(128)));
        const Sigmoid<A> s = sigmoid_with_slope_of_exp(z, exp(-abs(z)));
        return dy * (Vec<A>(A(4)) * s.slope);
    }
};

// f(Relu{}), f(Gelu{}), ...: one instantiation of the caller's loop an activation. `none` is no
// case here.
template <typename F>
PF_INLINE void with_activation(Activation kind, F&& f) {
    switch (kind) {
        case Activation::relu:
            return f(Relu{});
        case Activation::gelu:
            return f(Gelu{});
        case Activation::gelu_tanh:
            return f(GeluTanh{});
        case Activation::silu:
            return f(Silu{});
        case Activation::tanh:
            return f(Tanh{});
        case Activation::none:
            return;
    }
}

}  // namespace plainformer::PF_ISA
