// The lowest number and the logarithm of a sum: where every softmax begins and every log-sum-exp
// ends.
#pragma once
#include "isa/vec.h"

namespace plainformer::PF_ISA {

template <typename T>
inline constexpr acc_t<T> lowest = -static_cast<acc_t<T>>(__builtin_inf());

template <typename A>
PF_INLINE A larger(A a, A b) {
    return a > b ? a : b;
}

PF_INLINE float log_of_sum(float x) { return __builtin_logf(x); }
PF_INLINE double log_of_sum(double x) { return __builtin_log(x); }

}  // namespace plainformer::PF_ISA
