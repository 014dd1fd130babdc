// Dropout of one row of attention probabilities: decisions of a strip of keys at a time, recomputed
// in the backward from the same counters.
#pragma once
#include "attention_mask.h"
#include "isa/dropout.h"

namespace plainformer::PF_ISA {

class DropoutRow {
  public:
    // head: b H + h, the third word of the counter.
    DropoutRow(const DropoutRule& rule, int64_t head)
        : rule_(rule), head_(static_cast<uint32_t>(head)) {}

    bool active() const { return rule_.threshold != 0; }

    // Decides for keys [key, key + count) of row i; key is a multiple of 8.
    void start(int64_t i, int64_t key, int64_t count) {
        if (!active()) return;
        for (int64_t j = 0; j < count; j += dropout_block)
            dropout_values(rule_, head_, static_cast<uint32_t>(i), key + j, values_ + j);
    }

    // x where the key at j of the strip is kept, 0 elsewhere. No scaling.
    template <typename A, typename Lanes>
    PF_INLINE Vec<A> kept(Vec<A> x, int64_t j, Lanes lanes) const {
        if (!active()) return x;
        return select(dropout_kept<A>(rule_, values_ + j, lanes), x, Vec<A>(A(0)));
    }

  private:
    const DropoutRule& rule_;
    const uint32_t head_;
    uint16_t values_[strip_keys];
};

}  // namespace plainformer::PF_ISA
