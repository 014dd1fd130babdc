// Division by a number that is known at launch, as a multiplication: the compiler's 64-bit division
// is a call of some 70 instructions, which every element of a small row would wait for.
//
// Granlund, Montgomery, "Division by invariant integers using multiplication", PLDI 1994.
#pragma once
#include "plainformer/types.h"

namespace plainformer::cuda {

class Divisor {
    using Wide = unsigned __int128;

  public:
    // d >= 1; n / d is exact for 0 <= n < 2^63.
    explicit Divisor(int64_t d) : d_(static_cast<uint64_t>(d)) {
        if (d == 1) return;
        int power = 1;
        while (power < 63 && uint64_t{1} << power < d_) ++power;
        factor_ = static_cast<uint64_t>((Wide{1} << (63 + power)) / d_ + 1);
        shift_ = power - 1, all_ = 0;
    }
    PF_INLINE int64_t quotient(int64_t n) const {
        const Wide product = Wide{static_cast<uint64_t>(n)} * factor_;
        const uint64_t quotient = static_cast<uint64_t>(product >> 64) >> shift_;
        return static_cast<int64_t>(quotient | (static_cast<uint64_t>(n) & all_));
    }
    // n becomes n / d, and n % d is returned.
    PF_INLINE int64_t split(int64_t& n) const {
        const int64_t whole = quotient(n), rest = n - whole * static_cast<int64_t>(d_);
        n = whole;
        return rest;
    }

  private:
    // The factor of 1 would have 65 bits: its quotient is n & all, without a branch.
    uint64_t d_, factor_ = 0, all_ = ~uint64_t{0};
    int shift_ = 0;
};

}  // namespace plainformer::cuda
