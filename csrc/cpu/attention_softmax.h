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

// Scales and masks `count` raw scores in place; returns the larger of `largest` and their maximum.
// A NaN does not count here: it shows in the exponentials.
template <typename T>
acc_t<T> scale_scores(acc_t<T>* s, int64_t count, acc_t<T> scale, const acc_t<T>* additions,
                      acc_t<T> largest) {
    VecOf<T> most(largest);
    for_lanes<T>(count, [&](int64_t j, auto tail) {
        const VecOf<T> t =
            masked_score<T>(load(s + j, tail), scale, additions ? additions + j : nullptr, tail);
        store(s + j, tail, t);
        most = max(select_lanes(tail, t, most), most);
    });
    return reduce_max(most);
}

// p = exp2(t - largest), then dropout; returns the sum before dropout. Elements [count, width) of p
// become 0; t and p may be written up to the next whole register.
template <typename T>
acc_t<T> exponentials(prob_t<T>* p, const acc_t<T>* t, int64_t count, int64_t width,
                      acc_t<T> largest, const DropoutRow& dropout) {
    const VecOf<T> shift(largest), zero(acc_t<T>(0));
    VecOf<T> sum = zero;
    for_lanes<T>(count, [&](int64_t j, auto tail) {
        const VecOf<T> e = select_lanes(tail, exp2(load(t + j, Full{}) - shift), zero);
        sum = sum + e;
        store(p + j, Full{}, dropout.kept(e, j, Full{}));
    });
    for (int64_t j = round_up_div(count, lanes<T>) * lanes<T>; j < width; j += lanes<T>)
        store(p + j, Full{}, zero);
    return reduce_add(sum);
}

// The state of one row between strips.
template <typename T>
struct RowSoftmax {
    acc_t<T> largest = minus_inf<T>;
    acc_t<T> sum = 0;

    // Takes a strip of raw scores, makes its probabilities relative to the new maximum, and returns
    // the factor by which everything summed up before has to be scaled.
    acc_t<T> take(prob_t<T>* p, acc_t<T>* s, int64_t count, int64_t width, acc_t<T> scale,
                  const acc_t<T>* additions, const DropoutRow& dropout) {
        const acc_t<T> before = largest;
        largest = scale_scores<T>(s, count, scale, additions, before);
        const acc_t<T> shift = largest == minus_inf<T> ? 0 : largest;  // -inf - -inf is NaN
        const acc_t<T> added = exponentials<T>(p, s, count, width, shift, dropout);
        const acc_t<T> factor = largest == before ? 1 : first_lane(exp2(VecOf<T>(before - shift)));
        sum = sum * factor + added;
        return factor;
    }

    acc_t<T> log_sum_exp() const {
        if (sum == 0) return minus_inf<T>;
        return largest * static_cast<acc_t<T>>(ln_2) + first_lane(log(VecOf<T>(sum)));
    }
};

}  // namespace plainformer::PF_ISA
