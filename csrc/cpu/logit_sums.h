// What is known of some of a row's logits, block by block. Formulas:
// plainformer/linear_cross_entropy.h
#pragma once
#include "isa/extremes.h"  // lowest, larger, log_of_sum
#include "isa/largest.h"   // largest_of
#include "isa/math.h"      // exp
#include "isa/vec.h"       // load_or, for_lanes

namespace plainformer::PF_ISA {

PF_INLINE float exp_of(float x) { return __builtin_expf(x); }
PF_INLINE double exp_of(double x) { return __builtin_exp(x); }

// A is the accumulator type. A NaN passes over the maximum and shows in the exponentials.
template <typename A>
struct LogitSums {
    A largest, exponentials, distances;  // m, e and d
    int64_t count;

    // Those of x (count); the distances are wanted with smoothing only.
    static LogitSums of(const A* x, int64_t count, bool wants_distances) {
        const A largest = largest_of(x, count);
        const A shift = largest == lowest<A> ? 0 : largest;
        Vec<A> sum(A(0)), distances(A(0));
        for_lanes<A>(count, [&](int64_t i, auto tail) {
            sum = sum + exp(load_or(x + i, tail, lowest<A>) - Vec<A>(shift));
            if (wants_distances)
                distances = distances + (Vec<A>(shift) - load_or(x + i, tail, shift));
        });
        const bool is_none = largest == lowest<A>;  // no distance from -inf to itself
        return {largest, reduce_add(sum), is_none ? 0 : reduce_add(distances), count};
    }

    // Joined with those of the logits that follow.
    void add(const LogitSums& next) {
        const A most = larger(next.largest, largest);
        exponentials = exponentials * factor_to(most) + next.exponentials * next.factor_to(most);
        distances = distances_to(most) + next.distances_to(most);
        largest = most;
        count += next.count;
    }

    // log sum exp(x); an infinite maximum is the answer, except -inf beside a NaN.
    A log_sum_exp() const {
        return largest == -lowest<A> ? largest : largest + log_of_sum(exponentials);
    }

    // sum (lse - x)
    A distances_to(A to) const {
        return to == largest ? distances : distances + static_cast<A>(count) * (to - largest);
    }

  private:
    A factor_to(A most) const { return most == largest ? A(1) : exp_of(largest - most); }
};

}  // namespace plainformer::PF_ISA
