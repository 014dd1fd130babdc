// Elementary functions that kernels compute by the hardware's approximations.
#pragma once
#include "device.cuh"

namespace plainformer::cuda {

// e^x. The product's rounding makes a relative error of |x| 2^-24: of no weight in sums of
// exponentials and sigmoids, where large |x| make small terms.
__device__ __forceinline__ float exp_approx(float x) {
    constexpr float log2_e = 1.4426950408889634f;
    return exp2_approx(x * log2_e);
}

// scale p - wanted of a probability p = e^log_p, given beyond = scale - wanted too: near p = 1 the
// two cancel, and scale (p - 1) + beyond keeps the digits; near p = 0 the latter does.
__device__ __forceinline__ float scaled_probability_less(float scale, float log_p, float wanted,
                                                         float beyond) {
    constexpr float log_half = -0.6931471805599453f;
    return log_p > log_half ? fmaf(scale, expm1f(log_p), beyond)
                            : fmaf(scale, exp_approx(log_p), -wanted);
}

}  // namespace plainformer::cuda
