#include "attention_plan.h"

#include <algorithm>
#include <vector>

namespace plainformer {

struct AttentionPlan::Lists {
    std::vector<int64_t> order;  // (B) sequences; empty: as they come
    std::vector<AttentionTask> tasks;
    std::vector<int64_t> shared;
    std::vector<AttentionWave> waves;
};

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

struct SizedTask {
    AttentionTask task;
    int64_t flops;
};

void sort_by_work(std::vector<SizedTask>& tasks) {
    std::stable_sort(tasks.begin(), tasks.end(),
                     [](const SizedTask& a, const SizedTask& b) { return a.flops > b.flops; });
}

}  // namespace

struct AttentionPlan::Builder {
    const AttentionOptions& o;
    const HeadWork& work;
    const int64_t threads;
    Lists& lists;
    std::vector<SizedTask> whole, runs, pieces;

    int64_t flops(const Sequence& s) const { return work.flops * pairs_of(s); }
    Sequence sequence(int64_t place) const {
        return sequence_of(o, lists.order.empty() ? place : lists.order[place]);
    }

    // Heads that are more than a thread's share of what is left: while one thread is busy with such
    // a head, what is left for the others would end before it.
    bool is_shared(const Sequence& s, int64_t rest, int64_t total) const {
        const int64_t f = flops(s);
        if (threads == 1 || f < attention_task_flops || work.pieces(o, s) < 2) return false;
        return f * threads > (f < shared_head_flops ? total : rest);
    }

    void order() {
        lists.order.resize(o.B);
        for (int64_t b = 0; b < o.B; ++b) lists.order[b] = b;
        std::stable_sort(lists.order.begin(), lists.order.end(), [&](int64_t a, int64_t b) {
            return flops(sequence_of(o, a)) > flops(sequence_of(o, b));
        });
    }

    void assign() {
        int64_t total = 0;
        for (int64_t b = 0; b < o.B; ++b) total += flops(sequence_of(o, b)) * o.KV;
        int64_t rest = total;
        for (int64_t place = 0; place < o.B; ++place) {
            const Sequence s = sequence(place);
            const int64_t f = flops(s);
            for (int64_t n = place * o.KV; n < (place + 1) * o.KV; ++n, rest -= f)
                if (is_shared(s, rest, total))
                    lists.shared.push_back(n);
                else
                    add_whole(n, f);
        }
    }

    void add_whole(int64_t n, int64_t f) {
        if (f >= attention_task_flops) return whole.push_back({{n, n + 1}, f});
        SizedTask* last = runs.empty() ? nullptr : &runs.back();
        if (last && last->task.end == n && last->flops < attention_task_flops)
            last->task.end = n + 1, last->flops += f;
        else
            runs.push_back({{n, n + 1}, f});
    }

    void add_pieces(int64_t n, int64_t place) {
        const Sequence s = sequence(n / o.KV);
        for (int64_t piece = 0; piece < work.pieces(o, s); ++piece)
            pieces.push_back({{n, n + 1, piece, place}, work.flops * work.pairs(o, s, piece)});
    }

    // Shared heads from k on that fit the memory; at least one, if there is one.
    int64_t end_of_wave(int64_t k) const {
        const int64_t limit = shared_heads_bytes * threads, count = lists.shared.size();
        for (int64_t bytes = 0, first = k; k < count; ++k) {
            bytes += work.bytes(o, sequence(lists.shared[k] / o.KV));
            if (bytes > limit && k > first) break;
        }
        return k;
    }

    // Whole heads go with the first wave.
    void add_wave(int64_t first_shared) {
        const int64_t first_task = lists.tasks.size(), end = end_of_wave(first_shared);
        std::vector<SizedTask> tasks;
        if (lists.waves.empty()) tasks.swap(whole);
        pieces.swap(tasks);
        for (int64_t k = first_shared; k < end; ++k) add_pieces(lists.shared[k], k - first_shared);
        sort_by_work(pieces);
        if (lists.waves.empty()) pieces.insert(pieces.end(), runs.begin(), runs.end());
        for (const SizedTask& t : pieces) lists.tasks.push_back(t.task);
        pieces.clear();
        const int64_t end_task = lists.tasks.size();
        lists.waves.push_back({first_task, end_task, first_shared, end});
    }
};

AttentionPlan::AttentionPlan(const AttentionOptions& o, const HeadWork& work, int64_t threads)
    : options_(o), heads_(o.B * o.KV) {
    if (heads_ == 0) return;
    lists_ = new Lists;
    Builder builder{o, work, threads, *lists_, {}, {}, {}};
    const bool equal = equal_lengths(o);
    if (equal) {
        const Sequence s = sequence_of(o, 0);
        const int64_t flops = builder.flops(s);
        // The last head is shared out if any is.
        if (!builder.is_shared(s, flops, flops * heads_)) {
            run_ = greatest(1, attention_task_flops / greatest(1, flops));
            delete lists_;
            lists_ = nullptr;
            return;
        }
    } else {
        builder.order();
    }
    builder.assign();
    do builder.add_wave(lists_->waves.empty() ? 0 : lists_->waves.back().end_shared);
    while (lists_->waves.back().end_shared < static_cast<int64_t>(lists_->shared.size()));
}

AttentionPlan::~AttentionPlan() { delete lists_; }

int64_t AttentionPlan::waves() const {
    if (lists_) return lists_->waves.size();
    return heads_ == 0 ? 0 : 1;
}

AttentionWave AttentionPlan::wave(int64_t w) const {
    if (lists_) return lists_->waves[w];
    return {0, ceil_div(heads_, run_), 0, 0};
}

AttentionTask AttentionPlan::task(int64_t t) const {
    if (lists_) return lists_->tasks[t];
    return {t * run_, least(heads_, (t + 1) * run_)};
}

int64_t AttentionPlan::shared_head(int64_t k) const { return lists_->shared[k]; }

Sequence AttentionPlan::sequence(int64_t n) const {
    const int64_t place = n / options_.KV;
    return sequence_of(options_, lists_ && !lists_->order.empty() ? lists_->order[place] : place);
}

}  // namespace plainformer
