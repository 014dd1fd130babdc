// Activations of one value: y = f(x) and dy f'(x), shared by the activation kernels and by the
// epilogues of GEMM. Formulas: plainformer/activation.h
//
// The forms and coefficients are those of the CPU's isa/activations.h and isa/math.h, so that both
// backends cut, cancel and overflow at the same places.
#pragma once
#include "device.cuh"  // exp2_approx
#include "math.cuh"    // exp_approx
#include "plainformer/activation.h"

namespace plainformer::cuda {

// x limited to [low, high]; NaN stays NaN.
__device__ __forceinline__ float clamp(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

// 1 / (1 + e^-x) and its derivative s (1 - s), from e = e^-|x|: nothing overflows, and small
// results keep their digits.
struct Sigmoid {
    float value, slope;
};
__device__ __forceinline__ Sigmoid sigmoid_of_exp(float x, float e) {
    const float r = __fdividef(1.0f, 1.0f + e);  // of 1 to 2: nothing that it cuts off
    return {x < 0.0f ? e * r : r, e * r * r};
}

// Distribution of the standard normal, Phi(x): its tail Phi(-t) = 2^Q(t); 1 - tail is the rest.
__device__ __forceinline__ float normal_cdf(float x) {
    const float t = fminf(16.0f, fabsf(x));
    float q = fmaf(-0x1.7d7b04p-19f, t, 0x1.4b0cd6p-15f);
    q = fmaf(q, t, -0x1.874e2cp-13f);
    q = fmaf(q, t, -0x1.1d1976p-13f);
    q = fmaf(q, t, 0x1.ced282p-8f);
    q = fmaf(q, t, -0x1.ae0a82p-5f);
    q = fmaf(q, t, -0x1.d63ac2p-2f);
    q = fmaf(q, t, -0x1.26aed4p+0f);
    const float tail = exp2_approx(fmaf(q, t, -1.0f));
    return x < 0.0f ? tail : 1.0f - tail;
}

struct Identity {
    static __device__ __forceinline__ float value(float x) { return x; }
    static __device__ __forceinline__ float gradient(float, float dy) { return dy; }
};

struct Relu {
    static __device__ __forceinline__ float value(float x) { return x <= 0.0f ? 0.0f : x; }
    static __device__ __forceinline__ float gradient(float x, float dy) {
        return x <= 0.0f ? 0.0f : dy;
    }
};

struct Gelu {
    static __device__ __forceinline__ float value(float x) { return x * normal_cdf(x); }
    // Phi(x) + x phi(x). Beyond 16 the derivative is 0 or 1; the cut keeps 0 inf out.
    static __device__ __forceinline__ float gradient(float x, float dy) {
        constexpr float half_log2_e = 0.72134752f, phi_0 = 0.39894228f;
        const float z = clamp(x, -16.0f, 16.0f);
        return dy * fmaf(z, exp2_approx(z * z * -half_log2_e) * phi_0, normal_cdf(z));
    }
};

struct GeluTanh {
    // 2 u log2(e) = x (a + b x^2): the exponential is a power of two
    static constexpr float a = 2.3022082f, b = 0.044715f * a;

    static __device__ __forceinline__ Sigmoid sigmoid_of_inner(float x) {
        const float v = x * fmaf(x * x, b, a);
        return sigmoid_of_exp(v, exp2_approx(-fabsf(v)));
    }
    static __device__ __forceinline__ float value(float x) { return x * sigmoid_of_inner(x).value; }
    // s + x s (1 - s) (2 u)'. Beyond 16 the derivative is 0 or 1; the cut keeps 0 inf out.
    static __device__ __forceinline__ float gradient(float x, float dy) {
        constexpr float ln_2 = 0.69314718f;
        const float z = clamp(x, -16.0f, 16.0f);
        const Sigmoid s = sigmoid_of_inner(z);
        return dy * fmaf(z * fmaf(z * z, 3.0f * b * ln_2, a * ln_2), s.slope, s.value);
    }
};

struct Silu {
    static __device__ __forceinline__ float value(float x) {
        return x * sigmoid_of_exp(x, exp_approx(-fabsf(x))).value;
    }
    // s + x s (1 - s). Beyond 128 the derivative is 0 or 1; the cut keeps 0 inf out.
    static __device__ __forceinline__ float gradient(float x, float dy) {
        const float z = clamp(x, -128.0f, 128.0f);
        const Sigmoid s = sigmoid_of_exp(z, exp_approx(-fabsf(z)));
        return dy * fmaf(z, s.slope, s.value);
    }
};

struct Tanh {
    static __device__ __forceinline__ float value(float x) { return tanhf(x); }
    // 1 - tanh(x)^2 = 4 s (1 - s), s = sigmoid(2 x): no difference of nearly equal numbers.
    static __device__ __forceinline__ float gradient(float x, float dy) {
        const float z = clamp(x + x, -128.0f, 128.0f);
        return dy * (4.0f * sigmoid_of_exp(z, exp_approx(-fabsf(z))).slope);
    }
};

// f(Identity{}), f(Relu{}), ...: the choice is made once, outside of f's loops.
template <typename F>
__device__ __forceinline__ void with_activation(Activation kind, F&& f) {
    switch (kind) {
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
        case Activation::tanh:
            return f(Tanh{});
    }
}

}  // namespace plainformer::cuda
