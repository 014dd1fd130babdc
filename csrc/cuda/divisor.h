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
        while (shift_ < 63 && uint64_t{1} << shift_ < d_) ++shift_;
        if (d_ > 1) factor_ = static_cast<uint64_t>((Wide{1} << (63 + shift_)) / d_ + 1);
    }
    PF_INLINE int64_t quotient(int64_t n) const {
        if (d_ == 1) return n;
        const Wide product = Wide{static_cast<uint64_t>(n)} * factor_;
        return static_cast<int64_t>(static_cast<uint64_t>(product >> 64) >> (shift_ - 1));
    }
    // n becomes n / d, and n % d is returned.
    PF_INLINE int64_t split(int64_t& n) const {
        const int64_t whole = quotient(n), rest = n - whole * static_cast<int64_t>(d_);
        n = whole;
        return rest;
    }

  private:
    uint64_t d_, factor_ = 0;
    int shift_ = 0;  // 2^shift is d or the next power of two
};

}  // namespace plainformer::cuda
