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
// maximum. A NaN does not count here: it shows in the exponentials. Four maxima, so that none waits
// for its last comparison.
template <typename T>
acc_t<T> scale_scores(acc_t<T>* s, KeyRange range, const ScoreScale<T>& scale,
                      const acc_t<T>* additions, acc_t<T> largest) {
    if (scale.capped) cap_scores<T>(s, range, scale.inner);
    const VecOf<T> factor(scale.factor), start(largest);
    VecOf<T> most[4] = {start, start, start, start};
    const auto take = [&](VecOf<T>& m, int64_t j, auto part) {
        const VecOf<T> t =
            masked_score<T>(load(s + j, Full{}), factor, additions ? additions + j : nullptr);
        store(s + j, Full{}, t);
        m = max(select_lanes(part, t, m), m);
    };
    constexpr int64_t run = 4 * lanes<T>;
    const int64_t whole = range.begin % lanes<T> == 0 ? (range.end - range.begin) / run * run : 0;
    for (int64_t j = range.begin; j < range.begin + whole; j += run)
        for (int n = 0; n < 4; ++n) take(most[n], j + n * lanes<T>, Full{});
    for_range<T>({range.begin + whole, range.end},
                 [&](int64_t j, auto part) { take(most[0], j, part); });
    return reduce_max(max(max(most[0], most[1]), max(most[2], most[3])));
}

// p = exp2(t - largest) of a range, of which kept(p, j) is stored; returns the sum before that.
template <typename T, typename P, typename Kept>
PF_INLINE acc_t<T> sum_exponentials(P* p, const acc_t<T>* t, KeyRange range, acc_t<T> largest,
                                    const Kept& kept) {
    const VecOf<T> shift(largest), zero(acc_t<T>(0));
    VecOf<T> sum = zero;
    for_range<T>(range, [&](int64_t j, auto part) {
        const VecOf<T> e = select_lanes(part, exp2_or_zero(load(t + j, Full{}) - shift), zero);
        sum = sum + e;
        store(p + j, Full{}, kept(e, j));
    });
    return reduce_add(sum);
}

// The same for dropout.
template <typename T, typename P>
acc_t<T> exponentials(P* p, const acc_t<T>* t, KeyRange range, acc_t<T> largest,
                      const DropoutRow& dropout) {
    if (dropout.active())
        return sum_exponentials<T>(p, t, range, largest,
                                   [&](VecOf<T> e, int64_t j) { return dropout.kept(e, j); });
    return sum_exponentials<T>(p, t, range, largest, [](VecOf<T> e, int64_t) { return e; });
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
        const acc_t<T> factor =
            largest == before ? 1 : first_lane(exp2_or_zero(VecOf<T>(before - shift)));
        sum = sum * factor + added;
        return factor;
    }

    acc_t<T> log_sum_exp() const {
        if (sum == 0) return lowest<T>;
        return largest * static_cast<acc_t<T>>(ln_2) + first_lane(log(VecOf<T>(sum)));
    }
};

}  // namespace plainformer::PF_ISA
