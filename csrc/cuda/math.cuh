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

}  // namespace plainformer::cuda
