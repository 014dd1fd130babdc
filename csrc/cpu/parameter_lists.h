// The lists of tensors that one call of an optimizer takes, in the memory of the process.
#pragma once
#include "plainformer/optimizer.h"

namespace plainformer {

template <typename T>
struct AdamWStepArgs {
    const ParameterSlot<T>* slots;
    int64_t count;
    AdamWRule rule;
};

template <typename T>
struct SgdStepArgs {
    const ParameterSlot<T>* slots;
    int64_t count;
    SgdRule rule;
};

template <typename T>
struct SquaredNormArgs {
    double* result;                 // (1)
    const ParameterSlot<T>* slots;  // grad or grad_acc and size are read
    int64_t count;
};

}  // namespace plainformer
