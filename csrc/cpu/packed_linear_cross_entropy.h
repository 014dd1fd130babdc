// Linear + cross entropy with a head that was packed beforehand, as packed_gemm.h takes weights.
#pragma once
#include "plainformer/linear_cross_entropy.h"

namespace plainformer {

// linear_cross_entropy, where the head is these panels if there are any: then neither `weight` nor
// its strides are read, and no gradients are made.
template <typename T>
struct PackedLinearCrossEntropyArgs : LinearCrossEntropyArgs<T> {
    const void* panels = nullptr;
};

}  // namespace plainformer
