#include "attention_plan.h"

#include <algorithm>

#include "runtime/allocator.h"

namespace plainformer {

namespace {

bool equal_lengths(const AttentionOptions& o) {
    if (!o.q_rows.starts) return true;
    const Sequence first = sequence_of(o, 0);
    for (int64_t b = 1; b < o.B; ++b) {
        const Sequence s = sequence_of(o, b);
        if (s.Lq != first.Lq || s.Lk != first.Lk) return false;
    }
    return true;
}

int64_t* new_numbers(int64_t count) {
    return static_cast<int64_t*>(allocate(static_cast<size_t>(count) * sizeof(int64_t)));
}

}  // namespace

AttentionPlan::AttentionPlan(const AttentionOptions& o, int64_t flops, Pieces pieces)
    : options_(o), flops_(flops), pieces_(pieces), heads_(o.B * o.KV) {
    if (heads_ == 0) return;
    if (equal_lengths(o))
        plan_equal(sequence_of(o, 0));
    else
        plan_ragged();
}

AttentionPlan::~AttentionPlan() {
    release(order_);
    release(ends_);
}

// Whether tasks of whole heads, of which `rest` has so many of this size, would be too few.
bool AttentionPlan::is_shared(const Sequence& s, int64_t rest) const {
    const int64_t work = flops_ * pairs_of(s);
    return work >= attention_task_flops && rest / work < least(many_heads, pieces_(options_, s));
}

void AttentionPlan::plan_equal(const Sequence& s) {
    const int64_t work = flops_ * pairs_of(s);
    if (is_shared(s, work * heads_)) {
        shared_ = heads_;
        return;
    }
    run_ = greatest(1, attention_task_flops / greatest(1, work));
    tasks_ = ceil_div(heads_, run_);
}

void AttentionPlan::plan_ragged() {
    const auto work = [&](int64_t b) { return flops_ * pairs_of(sequence_of(options_, b)); };
    order_ = new_numbers(options_.B);
    int64_t total = 0;
    for (int64_t b = 0; b < options_.B; ++b) {
        order_[b] = b;
        total += work(b) * options_.KV;
    }
    std::stable_sort(order_, order_ + options_.B,
                     [&](int64_t a, int64_t b) { return work(a) > work(b); });
    share_longest(total);
    ends_ = new_numbers(greatest(1, heads_ - shared_));
    int64_t pending = 0;
    for (int64_t n = shared_; n < heads_; ++n) {
        pending += work(order_[n / options_.KV]);
        if (pending < attention_task_flops && n + 1 < heads_) continue;
        ends_[tasks_++] = n + 1;
        pending = 0;
    }
}

// Sequences whose heads are shared out come first. Each is measured by what those before it leave:
// beside one that is much longer a sequence is little of the work, and then the only task.
void AttentionPlan::share_longest(int64_t rest) {
    int64_t count = 0;
    for (int64_t i = 0; i < options_.B; ++i) {
        const Sequence s = sequence_of(options_, order_[i]);
        if (!is_shared(s, rest)) continue;
        rest -= flops_ * pairs_of(s) * options_.KV;
        std::rotate(order_ + count, order_ + i, order_ + i + 1);
        ++count;
    }
    shared_ = count * options_.KV;
}

}  // namespace plainformer
