#include "multiply.h"

#include <cstring>

#pragma GCC diagnostic ignored "-Wpsabi"  // nothing passes these vectors between files

namespace plainformer::emulation {

typedef float Eight __attribute__((vector_size(32)));

static inline __attribute__((always_inline)) Eight load(const float* p) {
    Eight v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

// AVX2 without FMA rounds as the plain code does.
#if defined(__x86_64__) && defined(__linux__)
__attribute__((target_clones("avx2", "default")))
#endif
void multiply(float* d, const float* a, const float* b, int rows, int columns) {
    for (int j = 0; j < columns; j += 8) {
        for (int m = 0; m < rows; ++m) {
            Eight sum = load(d + m * columns + j);
            for (int k = 0; k < multiply_depth; ++k)
                sum += a[k * rows + m] * load(b + k * columns + j);
            std::memcpy(d + m * columns + j, &sum, sizeof sum);
        }
    }
}

}  // namespace plainformer::emulation
