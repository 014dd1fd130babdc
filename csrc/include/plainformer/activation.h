// Activations, elementwise; backward dx = dy f'(x).
//
//   relu       max(x, 0)
//   gelu       x Phi(x) = x (1 + erf(x / sqrt 2)) / 2
//   gelu_tanh  x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3)
//   silu       x sigmoid(x)
//   tanh       tanh(x)
//
// Gated: y = f(gate) up; dgate = dy up f'(gate), dup = dy f(gate).
//
// Hendrycks, Gimpel, "Gaussian Error Linear Units", 2016, arXiv:1606.08415.
// Shazeer, "GLU Variants Improve Transformer", 2020, arXiv:2002.05202.
#pragma once
#include "plainformer/types.h"

namespace plainformer {

enum class Activation : int { none, relu, gelu, gelu_tanh, silu, tanh };

// Whether a number that comes from outside, from kernels/activation.py, is one of them.
constexpr bool is_activation(int number) {
    return number >= 0 && number <= static_cast<int>(Activation::tanh);
}

template <typename T>
struct ActivationArgs {
    T* y;        // (N)
    const T* x;  // (N)
    int64_t N;
    Activation kind;
};

template <typename T>
struct ActivationBackwardArgs {
    T* dx;        // (N)
    const T* dy;  // (N)
    const T* x;   // (N)
    int64_t N;
    Activation kind;
};

template <typename T>
struct GatedActivationArgs {
    T* y;           // (N, C)
    const T* gate;  // (N, C), rows gate_stride apart
    const T* up;    // (N, C), rows up_stride apart
    int64_t N, C, gate_stride, up_stride;
    Activation kind;
};

template <typename T>
struct GatedActivationBackwardArgs {
    T* dgate;       // (N, C)
    T* dup;         // (N, C)
    const T* dy;    // (N, C), rows dy_stride apart
    const T* gate;  // (N, C), rows gate_stride apart
    const T* up;    // (N, C), rows up_stride apart
    int64_t N, C, dy_stride, gate_stride, up_stride;
    Activation kind;
};

}  // namespace plainformer
