// The lowest number, the largest of a row and the logarithm of a sum: where every softmax begins
// and every log-sum-exp ends.
#pragma once
#include "isa/vec.h"

namespace plainformer::PF_ISA {

template <typename T>
inline constexpr acc_t<T> lowest = -static_cast<acc_t<T>>(__builtin_inf());

template <typename A>
PF_INLINE A larger(A a, A b) {
    return a > b ? a : b;
}

// The largest of x (N). A NaN passes over it, and shows in the sum of exponentials that follows.
template <typename T>
PF_INLINE acc_t<T> largest_of(const T* x, int64_t N) {
    VecOf<T> largest(lowest<T>);
    for_lanes<T>(
        N, [&](int64_t i, auto tail) { largest = max(load_or(x + i, tail, lowest<T>), largest); });
    return reduce_max(largest);
}

PF_INLINE float log_of_sum(float x) { return __builtin_logf(x); }
PF_INLINE double log_of_sum(double x) { return __builtin_log(x); }

}  // namespace plainformer::PF_ISA
