// Which heads of a batch are tasks, in which order. Sequences of very different lengths share a
// call, so tasks go by falling work; heads that are much of what is left are shared out in pieces,
// so that all threads end together; and small heads go together, because claiming a task costs as
// well. Who runs what changes no byte: so the number of threads may have a say here, as it has
// nowhere else. Compiled once, not once an ISA level: kernel units see no standard container.
#pragma once
#include "attention_work.h"

namespace plainformer {

// A key/value head is a number n: the n % KV-th of the n / KV-th sequence in order of work.
struct AttentionTask {
    int64_t first, end;  // heads
    int64_t piece = -1;  // of head `first`; -1: the heads are done whole
    int64_t place = -1;  // of that head among those that its wave shares out
};

// Tasks of one parallel loop. Heads that are shared out take memory, so there may be several.
struct AttentionWave {
    int64_t first_task, end_task;
    int64_t first_shared, end_shared;
};

class AttentionPlan {
  public:
    AttentionPlan(const AttentionOptions& o, const HeadWork& work, int64_t threads);
    ~AttentionPlan();
    AttentionPlan(const AttentionPlan&) = delete;
    AttentionPlan& operator=(const AttentionPlan&) = delete;

    int64_t waves() const;
    AttentionWave wave(int64_t w) const;
    AttentionTask task(int64_t t) const;
    // Number of the k-th head that is shared out; those of a wave follow one another.
    int64_t shared_head(int64_t k) const;
    Sequence sequence(int64_t n) const;

  private:
    struct Lists;
    struct Builder;

    const AttentionOptions& options_;
    int64_t heads_, run_ = 1;
    Lists* lists_ = nullptr;  // null: equal sequences, in runs of run_ heads
};

}  // namespace plainformer
