// The largest of a row: the first pass of softmax and of a log-sum-exp.
#pragma once
#include "isa/extremes.h"  // lowest
#include "isa/rows.h"      // for_lanes_in_parts, Reach

namespace plainformer::PF_ISA {

// The largest of x (N). A NaN passes over it, and shows in the sum of exponentials that follows.
template <typename T>
PF_INLINE acc_t<T> largest_of(const T* x, int64_t N, Reach reach = Reach::near) {
    constexpr int parts = 4;
    VecOf<T> largest[parts];
    for (auto& v : largest) v = VecOf<T>(lowest<T>);
    for_lanes_in_parts<T, parts>(N, reach, [&](int64_t i, int part, auto tail) {
        largest[part] = max(load_or(x + i, tail, lowest<T>), largest[part]);
    });
    return reduce_max(max(max(largest[0], largest[1]), max(largest[2], largest[3])));
}

}  // namespace plainformer::PF_ISA
