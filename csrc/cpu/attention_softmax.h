// Softmax of one row over strips of keys: a running maximum and sum, so that no row is ever whole.
// Scores are in units of log2, and a strip costs one exp2 a score.
#pragma once
#include "attention_dropout.h"

namespace plainformer::PF_ISA {

// Probabilities as the register tile multiplies them: bfloat16 where it takes pairs of these.
template <typename T, bool pairs = unit_elements<T> == 2>
struct Probability {
    using type = acc_t<T>;
};
template <typename T>
struct Probability<T, true> {
    using type = bfloat16;
};
template <typename T>
using prob_t = typename Probability<T>::type;

template <typename A>
PF_INLINE A first_lane(Vec<A> x) {
    A values[Vec<A>::width];
    store(values, Full{}, x);
    return values[0];
}

// Scales and masks a range of raw scores in place; returns the larger of `largest` and their
// maximum. A NaN does not count here: it shows in the exponentials.
template <typename T>
acc_t<T> scale_scores(acc_t<T>* s, KeyRange range, const ScoreScale<T>& scale,
                      const acc_t<T>* additions, acc_t<T> largest) {
    if (scale.capped) cap_scores<T>(s, range, scale.inner);
    VecOf<T> most(largest);
    for_range<T>(range, [&](int64_t j, auto part) {
        const VecOf<T> t =
            masked_score<T>(load(s + j, Full{}), scale.factor, additions ? additions + j : nullptr);
        store(s + j, Full{}, t);
        most = max(select_lanes(part, t, most), most);
    });
    return reduce_max(most);
}

// p = exp2(t - largest) of a range, then dropout; returns the sum before dropout.
template <typename T, typename P>
acc_t<T> exponentials(P* p, const acc_t<T>* t, KeyRange range, acc_t<T> largest,
                      const DropoutRow& dropout) {
    const VecOf<T> shift(largest), zero(acc_t<T>(0));
    VecOf<T> sum = zero;
    for_range<T>(range, [&](int64_t j, auto part) {
        const VecOf<T> e = select_lanes(part, exp2(load(t + j, Full{}) - shift), zero);
        sum = sum + e;
        store(p + j, Full{}, dropout.kept(e, j));
    });
    return reduce_add(sum);
}

// The state of one row between strips.
template <typename T>
struct RowSoftmax {
    acc_t<T> largest = lowest<T>;
    acc_t<T> sum = 0;

    // Takes a range of raw scores, makes their probabilities relative to the new maximum, and
    // returns the factor by which everything summed up before has to be scaled.
    template <typename P>
    acc_t<T> take(P* p, acc_t<T>* s, KeyRange range, const ScoreScale<T>& scale,
                  const acc_t<T>* additions, const DropoutRow& dropout) {
        const acc_t<T> before = largest;
        largest = scale_scores<T>(s, range, scale, additions, before);
        const acc_t<T> shift = largest == lowest<T> ? 0 : largest;  // -inf - -inf is NaN
        const acc_t<T> added = exponentials<T>(p, s, range, shift, dropout);
        const acc_t<T> factor = largest == before ? 1 : first_lane(exp2(VecOf<T>(before - shift)));
        sum = sum * factor + added;
        return factor;
    }

    acc_t<T> log_sum_exp() const {
        if (sum == 0) return lowest<T>;
        return largest * static_cast<acc_t<T>>(ln_2) + first_lane(log(VecOf<T>(sum)));
    }
};

}  // namespace plainformer::PF_ISA
