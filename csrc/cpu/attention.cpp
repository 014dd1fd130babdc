// Attention forward. Formula and shapes: plainformer/attention.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// K^T and V of one key/value head of one sequence are packed once and shared by all queries that
// read them. Six queries then walk over strips of 256 keys: scores by the GEMM's register tile into
// L1, softmax row by row, and O += P V with one rescaling a strip. Tiles outside the triangle or
// window are never touched. A row's bytes depend on nothing but the row and its sequence's keys.
#include "plainformer/attention.h"

#include "attention_packed.h"
#include "attention_plan.h"
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

namespace {

static_assert(query_block % tile_rows == 0, "blocks are whole tiles");

// At most six queries of one head, over all keys they see.
template <typename T>
class QueryTile {
  public:
    explicit QueryTile(const AttentionArgs<T>& s)
        : s_(s), o_(s.options), additions_(o_), dropout_(o_.dropout), scale_(o_) {}

    void start(const PackedHead<T>& head, const Sequence& sequence, int64_t h) {
        head_ = &head, sequence_ = sequence, h_ = h;
        additions_.start(sequence, h);
        dropout_.start_head(sequence.b * o_.H + h);
    }

    // Queries [i, i + a.rows), whose left operand is a.
    void attend(int64_t i, const LeftTile& a) {
        first_ = i, q_ = a;
        for (int r = 0; r < a.rows; ++r) softmax_[r] = RowSoftmax<T>();
        __builtin_memset(sums_, 0, sizeof(acc_t<T>) * a.rows * o_.Dv);
        const KeyRange seen = sequence_.keys_of(i, a.rows);
        const int64_t first = seen.begin / strip_keys * strip_keys;
        for (int64_t key = first; !seen.empty() && key < seen.end; key += strip_keys)
            take_strip(key, within(seen, key, strip_keys));
        for (int r = 0; r < a.rows; ++r) finish_row(r);
    }

  private:
    // Keys of the strip from `key` that any of the rows sees, as whole panels.
    void take_strip(int64_t key, KeyRange seen) {
        const int64_t begin = seen.begin / panel_columns<T> * panel_columns<T>;
        const int64_t end = units_of<T>(seen.end) * unit_elements<T>;
        multiply_strip(key, {begin, seen.end});
        for (int r = 0; r < q_.rows; ++r) take_row(r, key, {begin, end});
        const LeftTile p{reinterpret_cast<const char*>(probabilities() + begin),
                         strip_keys * p_size, unit_elements<T> * p_size, q_.rows};
        multiply_panels(p, head_->values(), (key - head_->first() + begin) / unit_elements<T>,
                        (end - begin) / unit_elements<T>, sums_, o_.Dv, true);
        if (!head_->finite(key)) add_not_finite(key, seen);
    }

    // Raw scores; `strip` begins with a panel.
    void multiply_strip(int64_t key, KeyRange strip) {
        const Panels<T>& keys = head_->keys();
        for (int64_t j = strip.begin; j < strip.end; j += panel_columns<T>) {
            const int columns = static_cast<int>(least(panel_columns<T>, strip.end - j));
            const int64_t panel = (key - head_->first() + j) / panel_columns<T>;
            multiply_tile(Tile<T>{q_.data, q_.row, q_.step, keys.panel(panel), panel_columns<T>,
                                  keys.steps, scores_ + j, strip_keys, q_.rows, columns, false});
        }
    }

    // Probabilities of one row: of the keys it sees, 0 for the others of the strip.
    void take_row(int r, int64_t key, KeyRange strip) {
        const int64_t i = first_ + r;
        const KeyRange seen = within(sequence_.keys_of(i), key, strip_keys);
        prob_t<T>* p = probabilities() + r * strip_keys;
        clear_around<T>(p, strip.begin, strip.end, seen);
        if (seen.empty()) return;
        // The row of a mask that all queries share is converted once: for the whole strip.
        const acc_t<T>* additions = additions_.row(i, key, least(strip_keys, sequence_.Lk - key));
        dropout_.start(i, key, seen);
        const acc_t<T> factor =
            softmax_[r].take(p, scores_ + r * strip_keys, seen, scale_, additions, dropout_);
        if (factor == 1) return;
        acc_t<T>* sums = sums_ + r * o_.Dv;
        for_lanes<T>(o_.Dv, [&](int64_t c, auto tail) {
            store(sums + c, tail, load(sums + c, tail) * VecOf<T>(factor));
        });
    }

    // The products of V's elements that are not finite, which the packed V holds as 0, for the rows
    // that see them.
    void add_not_finite(int64_t key, KeyRange seen) {
        for (int64_t j = seen.begin; j < seen.end; ++j) {
            const HeadRows<T> v = head_->original_value(key + j);
            if (all_finite(v)) continue;
            for (int r = 0; r < q_.rows; ++r) {
                const acc_t<T> p = to_float(probabilities()[r * strip_keys + j]);
                for (int64_t c = 0; p != 0 && c < o_.Dv; ++c) {
                    const acc_t<T> x = to_float(v.data[c]);
                    if (x - x != 0) sums_[r * o_.Dv + c] += p * x;
                }
            }
        }
    }

    void finish_row(int r) {
        const acc_t<T> sum = softmax_[r].sum, kept = static_cast<acc_t<T>>(o_.dropout.scale);
        const VecOf<T> factor(sum == 0 ? 0 : kept / sum);
        const acc_t<T>* sums = sums_ + r * o_.Dv;
        T* out = row_at(s_.out, sequence_.q, h_, first_ + r);
        for_lanes<T>(o_.Dv, [&](int64_t c, auto tail) {
            store(out + c, tail, load(sums + c, tail) * factor);
        });
        if (s_.lse.data) *row_at(s_.lse, sequence_.q, h_, first_ + r) = softmax_[r].log_sum_exp();
    }

    static constexpr int64_t p_size = sizeof(prob_t<T>);
    static constexpr bool p_replaces_scores = sizeof(prob_t<T>) == sizeof(acc_t<T>);

    prob_t<T>* probabilities() {
        if constexpr (p_replaces_scores)
            return scores_;
        else
            return rounded_;
    }

    const AttentionArgs<T>& s_;
    const AttentionOptions& o_;
    const PackedHead<T>* head_ = nullptr;
    Sequence sequence_{};
    int64_t h_ = 0;
    Additions<T> additions_;
    DropoutRow dropout_;
    const ScoreScale<T> scale_;
    int64_t first_ = 0;
    LeftTile q_{};
    RowSoftmax<T> softmax_[tile_rows];
    alignas(64) acc_t<T> scores_[tile_rows * strip_keys];
    alignas(64) prob_t<T> rounded_[p_replaces_scores ? 1 : tile_rows * strip_keys];
    alignas(64) acc_t<T> sums_[tile_rows * widest_head];
};

// Blocks of queries, packed where the register tile cannot read them in place.
template <typename T>
class QueryBlocks {
  public:
    explicit QueryBlocks(const AttentionArgs<T>& s)
        : s_(s), packed_(a_block_units<T>(query_block, s.options.D)), tile_(s) {}

    // Queries [i, i + count) of head h, count <= query_block.
    void attend(const PackedHead<T>& head, const Sequence& sequence, int64_t h, int64_t i,
                int64_t count) {
        const HeadRows<T> q =
            rows_of(s_.q, sequence.q, h, sequence.Lq, s_.options.D).part(i, count);
        const ABlock a = left_rows(packed_.data, q);
        tile_.start(head, sequence, h);
        for (int64_t m = 0; m < count; m += tile_rows) {
            const int rows = static_cast<int>(least(tile_rows, count - m));
            tile_.attend(i + m, LeftTile{a.data + m / tile_rows * a.tile, a.row, a.step, rows});
        }
    }

  private:
    const AttentionArgs<T>& s_;
    Scratch<unit_t<T>> packed_;
    QueryTile<T> tile_;
};

// f(query head, first query, queries) for a block of queries of a key/value head.
template <typename F>
PF_INLINE void with_block(const AttentionOptions& o, const Sequence& s, int64_t kv, int64_t n,
                          const F& f) {
    const QueryBlock block = query_block_of(o, s, n);
    f(kv * (o.H / o.KV) + block.head, block.first, block.count);
}

// Heads [first, end) of the plan, one after the other in the same memory.
template <typename T>
void attend_run(const AttentionArgs<T>& s, const AttentionPlan& plan, const AttentionTask& task) {
    const AttentionOptions& o = s.options;
    int64_t most_keys = 0;
    for (int64_t n = task.first; n < task.end; ++n)
        most_keys = greatest(most_keys, plan.sequence(n).Lk);
    Scratch<unit_t<T>> memory(PackedHead<T>::units(o, most_keys));
    QueryBlocks<T> queries(s);
    for (int64_t n = task.first; n < task.end; ++n) {
        const Sequence sequence = plan.sequence(n);
        const int64_t kv = n % o.KV;
        PackedHead<T> head(s, sequence, kv, memory.data);
        for (int64_t part = 0; part < head.parts(); ++part) head.pack(part);
        for (int64_t block = 0; block < query_blocks(o, sequence); ++block)
            with_block(o, sequence, kv, block, [&](int64_t h, int64_t i, int64_t count) {
                queries.attend(head, sequence, h, i, count);
            });
    }
}

// A block of queries of a head that several threads share.
template <typename T>
void attend_block(const AttentionArgs<T>& s, const Sequence& sequence, int64_t kv,
                  const PackedHead<T>& head, int64_t block) {
    with_block(s.options, sequence, kv, block, [&](int64_t h, int64_t i, int64_t count) {
        QueryBlocks<T>(s).attend(head, sequence, h, i, count);
    });
}

}  // namespace

template <typename T>
void attention(const AttentionArgs<T>& s) {
    const AttentionOptions& o = s.options;
    const AttentionPlan plan(o, attention_work(o), threads_of_loops());
    for (int64_t w = 0; w < plan.waves(); ++w) {
        const AttentionWave wave = plan.wave(w);
        const PackedHeads<T> shared(s, plan, wave);
        parallel_for(wave.end_task - wave.first_task, 1, [&](int64_t t) {
            const AttentionTask task = plan.task(wave.first_task + t);
            if (task.piece < 0) return attend_run(s, plan, task);
            attend_block(s, plan.sequence(task.first), task.first % o.KV, shared.head(task.place),
                         task.piece);
        });
    }
}
PF_INSTANTIATE(attention, AttentionArgs)

}  // namespace plainformer::PF_ISA
