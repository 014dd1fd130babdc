// The elementary functions of isa/math.h on arrays, for the tests that measure each ISA level's.
#pragma once
#include "plainformer/types.h"

namespace plainformer {

enum class Elementary : int { exp, exp2, log, sigmoid, tanh, erf, exp2_or_zero };

template <typename T>
struct ElementaryArgs {
    T* y;        // (N)
    const T* x;  // (N)
    int64_t N;
    Elementary function;
};

}  // namespace plainformer
