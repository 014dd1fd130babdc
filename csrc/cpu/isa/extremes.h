// The lowest number, the largest of a row and the logarithm of a sum: where every softmax begins
// and every log-sum-exp ends.
#pragma once
#include "isa/rows.h"  // for_lanes_in_parts
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
    constexpr int parts = 4;
    VecOf<T> largest[parts];
    for (auto& v : largest) v = VecOf<T>(lowest<T>);
    for_lanes_in_parts<T, parts>(N, [&](int64_t i, int part, auto tail) {
        largest[part] = max(load_or(x + i, tail, lowest<T>), largest[part]);
    });
    return reduce_max(max(max(largest[0], largest[1]), max(largest[2], largest[3])));
}

PF_INLINE float log_of_sum(float x) { return __builtin_logf(x); }
PF_INLINE double log_of_sum(double x) { return __builtin_log(x); }

}  // namespace plainformer::PF_ISA
