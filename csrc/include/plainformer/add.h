// add: y = a + b, element by element.
// accumulate: out += x, where out is float32 (or x's own type): gradients are summed there.
#pragma once
#include "plainformer/types.h"

namespace plainformer {

template <typename T>
struct AddArgs {
    T* y;        // (N)
    const T* a;  // (N)
    const T* b;  // (N)
    int64_t N;
};

template <typename T>
struct AccumulateArgs {
    acc_t<T>* out;  // (N)
    const T* x;     // (N)
    int64_t N;
};

}  // namespace plainformer
