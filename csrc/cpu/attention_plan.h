// Which key/value heads of a batch are tasks, in which order: a function of shapes alone. Sequences
// of very different lengths share a call, so heads go by falling work; a head that is most of the
// work is shared out itself; and small heads go together, because claiming a task costs as well.
// Compiled once, not once an ISA level: kernel units see no standard container.
#pragma once
#include "plainformer/attention_sequence.h"
#include "tuning.h"

namespace plainformer {

class AttentionPlan {
  public:
    // Into how many pieces the work on one head can be shared out.
    using Pieces = int64_t (*)(const AttentionOptions&, const Sequence&);

    // `flops`: of one key/value head, for a pair of query and key.
    AttentionPlan(const AttentionOptions& o, int64_t flops, Pieces pieces);
    ~AttentionPlan();
    AttentionPlan(const AttentionPlan&) = delete;
    AttentionPlan& operator=(const AttentionPlan&) = delete;

    // A key/value head is a number n: the n % KV-th of the n / KV-th sequence in order of work.
    // Heads [0, shared_heads()) are done one at a time, the others in tasks, as runs of heads.
    PF_INLINE int64_t shared_heads() const { return shared_; }
    PF_INLINE int64_t tasks() const { return tasks_; }
    PF_INLINE int64_t first_head(int64_t task) const {
        return ends_ ? (task == 0 ? shared_ : ends_[task - 1]) : shared_ + task * run_;
    }
    PF_INLINE int64_t end_head(int64_t task) const {
        return ends_ ? ends_[task] : least(heads_, first_head(task) + run_);
    }
    PF_INLINE Sequence sequence(int64_t n) const {
        const int64_t place = n / options_.KV;
        return sequence_of(options_, order_ ? order_[place] : place);
    }

  private:
    void plan_equal(const Sequence& s);
    void plan_ragged();
    void share_longest(int64_t rest);
    bool is_shared(const Sequence& s, int64_t rest) const;

    const AttentionOptions& options_;
    const int64_t flops_;
    const Pieces pieces_;
    const int64_t heads_;
    int64_t shared_ = 0, tasks_ = 0, run_ = 1;
    int64_t* order_ = nullptr;  // (B) sequences; null: as they come
    int64_t* ends_ = nullptr;   // (tasks) of runs; null: all of run_ heads
};

}  // namespace plainformer
