// Dropout of one row of attention probabilities: decisions of a strip of keys at a time, recomputed
// in the backward from the same counters.
#pragma once
#include "attention_mask.h"
#include "isa/dropout.h"

namespace plainformer::PF_ISA {

static_assert(strip_keys % dropout_block == 0, "a strip's decisions fill whole blocks");

class DropoutRow {
  public:
    explicit DropoutRow(const DropoutRule& rule) : rule_(rule) {}

    // head: b H + h, the third word of the counter.
    void start_head(int64_t head) { head_ = static_cast<uint32_t>(head); }

    bool active() const { return rule_.threshold != 0; }

    // Decides for the keys of a range of row i, counted from `key`, a multiple of 8.
    void start(int64_t i, int64_t key, KeyRange range) {
        if (!active()) return;
        const int64_t first = range.begin / dropout_block * dropout_block;
        for (int64_t j = first; j < range.end; j += dropout_block)
            dropout_values(rule_, head_, static_cast<uint32_t>(i), key + j, values_ + j);
    }

    // x where the key at j of the strip is kept, 0 elsewhere. No scaling.
    template <typename A>
    PF_INLINE Vec<A> kept(Vec<A> x, int64_t j) const {
        if (!active()) return x;
        return select(dropout_kept<A>(rule_, values_ + j, Full{}), x, Vec<A>(A(0)));
    }

  private:
    const DropoutRule& rule_;
    uint32_t head_ = 0;
    uint16_t values_[strip_keys];
};

}  // namespace plainformer::PF_ISA
