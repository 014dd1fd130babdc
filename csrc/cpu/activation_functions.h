// Activations and their derivatives on registers: for the activation kernels and for the GEMM's
// epilogue, so that a fused activation gives the bytes of an unfused one.
#pragma once
#include "isa/math.h"
#include "plainformer/gemm.h"  // Activation

namespace plainformer::PF_ISA {

struct Identity {
    template <typename V>
    PF_INLINE static V value(V x) {
        return x;
    }
    template <typename V>
    PF_INLINE static V derivative(V x) {
        return x - x + V(1);
    }
};

struct Relu {  // max(x, 0); NaN stays NaN, the derivative at 0 is 0
    template <typename A>
    PF_INLINE static Vec<A> value(Vec<A> x) {
        return max(Vec<A>(A(0)), x);
    }
    template <typename A>
    PF_INLINE static Vec<A> derivative(Vec<A> x) {
        return select(x > Vec<A>(A(0)), Vec<A>(A(1)), Vec<A>(A(0)));
    }
};

struct Gelu {  // x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2
    template <typename A>
    PF_INLINE static Vec<A> phi(Vec<A> x) {
        const Vec<A> half(A(0.5)), root_half(A(0.70710678118654752440));
        return fma(half, erf(x * root_half), half);
    }
    template <typename A>
    PF_INLINE static Vec<A> value(Vec<A> x) {
        return x * phi(x);
    }
    template <typename A>
    PF_INLINE static Vec<A> derivative(Vec<A> x) {  // Phi(x) + x e^(-x^2 / 2) / sqrt(2 pi)
        const Vec<A> density = exp(x * x * Vec<A>(A(-0.5))) * Vec<A>(A(0.39894228040143267794));
        return fma(x, density, phi(x));
    }
};

struct GeluTanh {  // x (1 + tanh u) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3)
    static constexpr double two_root = 1.59576912160573071176;  // 2 sqrt(2 / pi)
    static constexpr double cubic = 0.044715;

    template <typename A>
    PF_INLINE static Vec<A> gate(Vec<A> x) {
        const Vec<A> linear(static_cast<A>(two_root)), cube(static_cast<A>(two_root * cubic));
        return sigmoid(x * fma(x * x, cube, linear));
    }
    template <typename A>
    PF_INLINE static Vec<A> value(Vec<A> x) {
        return x * gate(x);
    }
    template <typename A>
    PF_INLINE static Vec<A> derivative(Vec<A> x) {  // s + x s (1 - s) 2u'
        const Vec<A> linear(static_cast<A>(two_root)), cube(static_cast<A>(3 * two_root * cubic));
        const Vec<A> s = gate(x);
        return fma(x * fma(x * x, cube, linear), s * (Vec<A>(A(1)) - s), s);
    }
};

struct Silu {  // x sigmoid(x)
    template <typename A>
    PF_INLINE static Vec<A> value(Vec<A> x) {
        return x * sigmoid(x);
    }
    template <typename A>
    PF_INLINE static Vec<A> derivative(Vec<A> x) {  // s + x s (1 - s)
        const Vec<A> s = sigmoid(x);
        return fma(x, s * (Vec<A>(A(1)) - s), s);
    }
};

// f(Relu{}) and so on: the choice is made once, outside of f's loops.
template <typename F>
PF_INLINE void with_activation(Activation activation, F f) {
    switch (activation) {
        case Activation::none:
            return f(Identity{});
        case Activation::relu:
            return f(Relu{});
        case Activation::gelu:
            return f(Gelu{});
        case Activation::gelu_tanh:
            return f(GeluTanh{});
        case Activation::silu:
            return f(Silu{});
    }
}

}  // namespace plainformer::PF_ISA
