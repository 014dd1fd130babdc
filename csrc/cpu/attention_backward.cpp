// Attention backward. Formulas and shapes: plainformer/attention.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// A task owns blocks of 192 keys of one key/value head, with their dK and dV, and walks over all
// queries that see them: five products a block, P recomputed from the log-sum-exp. It owns a whole
// head, or a part of the keys of one that several threads share. dQ is the sum of the parts in
// their order either way. All sums are kept in the accumulator type and rounded once. No atomics;
// the parts depend on the shape of their own sequence alone, so the bytes depend neither on the
// number of threads nor on the other sequences.
#include "plainformer/attention.h"

#include "attention_block.h"
#include "attention_mask_gradient.h"
#include "attention_parts.h"

namespace plainformer::PF_ISA {

namespace {

// P^T and dS^T as left operands: (steps of queries, block_keys) units.
template <typename T>
const unit_t<T>* by_keys(unit_t<T>* units, const prob_t<T>* rows, int64_t queries, int64_t keys) {
    if constexpr (unit_elements<T> == 1)
        return rows;
    else {  // pairs of neighboring rows
        for (int64_t m = 0; m < queries; m += 2)
            for_lanes<T>(keys, [&](int64_t j, auto tail) {
                copy_units(units + m / 2 * block_keys + j, rows + m * block_keys + j, block_keys,
                           m + 1 < queries, tail);
            });
        return units;
    }
}

// dK and dV of blocks of keys of one key/value head, and what these add to dQ.
template <typename T>
class HeadGradient {
  public:
    HeadGradient(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms)
        : s_(s),
          o_(s.options),
          block_(s, terms, s.options.scale, Differential::before_cap),
          group_(o_.H / o_.KV),
          k_units_(Panels<T>::units(block_keys, o_.D)),
          q_units_(Panels<T>::units(block_queries, o_.D)),
          grad_units_(Panels<T>::units(block_queries, o_.Dv)),
          pair_units_(unit_elements<T> == 1 ? 0 : 2 * block_queries * block_keys),
          dk_(block_keys * o_.D),
          dv_(block_keys * o_.Dv) {}

    // A part of the keys, to dq, which holds 0.
    void run_part(const Sequence& sequence, int64_t kv, const QueryGradient<acc_t<T>>& dq,
                  int64_t first, int64_t keys) {
        sequence_ = sequence, kv_ = kv, dq_ = dq, part_width_ = 0;
        run_range(first, first + keys);
    }

    // All keys in the parts that fit a block, to dq, which holds 0.
    void run_narrow_parts(const Sequence& sequence, int64_t kv, const QueryGradient<acc_t<T>>& dq,
                          int64_t width) {
        sequence_ = sequence, kv_ = kv, dq_ = dq, part_width_ = width;
        run_range(0, sequence.Lk);
    }

  private:
    void run_range(int64_t first, int64_t end) {
        for (int64_t j = first; j < end; j += block_keys) run_keys(j, least(block_keys, end - j));
    }

    void run_keys(int64_t j, int64_t count) {
        key_ = j, keys_ = count;
        __builtin_memset(dk_.data, 0, sizeof(acc_t<T>) * count * o_.D);
        __builtin_memset(dv_.data, 0, sizeof(acc_t<T>) * count * o_.Dv);
        const KeyRange rows = sequence_.rows_of(j, count);
        if (!rows.empty()) run_rows(rows);
        store_rows(s_.dk, dk_.data, o_.D);
        store_rows(s_.dv, dv_.data, o_.Dv);
    }

    // The queries that see any key of the block, in whole blocks of queries.
    void run_rows(KeyRange rows) {
        const int64_t Lk = sequence_.Lk;
        block_.set_keys(sequence_, kv_, key_, keys_);
        k_ =
            pack_finite(k_units_.data, rows_of(s_.k, sequence_.k, kv_, Lk, o_.D).part(key_, keys_));
        const int64_t first = rows.begin / block_queries * block_queries;
        for (int64_t g = 0; g < group_; ++g)
            for (int64_t i = first; i < rows.end; i += block_queries)
                run_queries(g, i, least(block_queries, sequence_.Lq - i));
    }

    void run_queries(int64_t g, int64_t i, int64_t count) {
        block_.compute(kv_ * group_ + g, i, count, [&](int64_t m, int rows, KeyRange seen) {
            add_dq(dq_.at(g, i + m), m, rows, seen);
        });
        const Panels<T> q = pack_finite(q_units_.data, block_.queries(s_.q, o_.D));
        const Panels<T> grad = pack_finite(grad_units_.data, block_.queries(s_.grad_out, o_.Dv));
        unit_t<T>* second = pair_units_.data + block_queries / unit_elements<T> * block_keys;
        const unit_t<T>* p = by_keys<T>(pair_units_.data, block_.p(0), count, keys_);
        const unit_t<T>* ds = by_keys<T>(second, block_.ds(0), count, keys_);
        for (int64_t j = 0; j < keys_; j += tile_rows) {
            const KeyRange rows =
                within(sequence_.rows_of(key_ + j, least(tile_rows, keys_ - j)), i, count);
            if (rows.empty()) continue;
            add_transposed(dv_.data + j * o_.Dv, o_.Dv, p + j, grad, rows, j);
            add_transposed(dk_.data + j * o_.D, o_.D, ds + j, q, rows, j);
        }
    }

    // dQ += dS K, part by part where a block holds several.
    void add_dq(acc_t<T>* dq, int64_t m, int rows, KeyRange seen) {
        if (part_width_ == 0) return multiply_ds(dq, dq_.row, m, rows, seen, true);
        alignas(64) acc_t<T> product[tile_rows * widest_head];
        for (int64_t j = seen.begin / part_width_ * part_width_; j < seen.end; j += part_width_) {
            const KeyRange part{greatest(j, seen.begin), least(j + part_width_, seen.end)};
            multiply_ds(product, o_.D, m, rows, part, false);
            add_rows<acc_t<T>>({dq, 0, dq_.row}, {product, 0, o_.D}, 1, {0, rows}, o_.D);
        }
    }

    void multiply_ds(acc_t<T>* d, int64_t d_row, int64_t m, int rows, KeyRange seen, bool add) {
        constexpr int64_t size = sizeof(prob_t<T>);
        const int64_t first = seen.begin / unit_elements<T>;
        const LeftTile ds{reinterpret_cast<const char*>(block_.ds(m) + first * unit_elements<T>),
                          block_keys * size, unit_elements<T> * size, rows};
        multiply_panels(ds, k_, first, units_of<T>(seen.end) - first, d, d_row, add);
    }

    // d += A^T B for six keys from j of the block; the sum runs over the queries that see any of
    // these keys.
    void add_transposed(acc_t<T>* d, int64_t width, const unit_t<T>* a, const Panels<T>& B,
                        KeyRange queries, int64_t j) {
        constexpr int64_t size = sizeof(unit_t<T>);
        const int64_t first = queries.begin / unit_elements<T>;
        const int rows = static_cast<int>(least(tile_rows, keys_ - j));
        const LeftTile tile{reinterpret_cast<const char*>(a + first * block_keys), size,
                            block_keys * size, rows};
        multiply_panels(tile, B, first, units_of<T>(queries.end) - first, d, width, true);
    }

    void store_rows(const HeadsView<T>& to, const acc_t<T>* sums, int64_t width) {
        for (int64_t j = 0; j < keys_; ++j) {
            T* row = row_at(to, sequence_.k, kv_, key_ + j);
            for_lanes<T>(width, [&](int64_t c, auto tail) {
                store(row + c, tail, load(sums + j * width + c, tail));
            });
        }
    }

    const AttentionBackwardArgs<T>& s_;
    const AttentionOptions& o_;
    ScoreBlock<T> block_;
    const int64_t group_;
    Sequence sequence_{};
    int64_t kv_ = 0;
    QueryGradient<acc_t<T>> dq_{};
    int64_t part_width_ = 0;  // 0: all keys are one part's
    int64_t key_ = 0, keys_ = 0;
    Scratch<unit_t<T>> k_units_, q_units_, grad_units_, pair_units_;
    Panels<T> k_{};
    Scratch<acc_t<T>> dk_, dv_;
};

// One head, its parts one after the other, summed up in dq, which holds 0.
template <typename T>
void differentiate_head(const AttentionOptions& o, const Sequence& sequence, int64_t kv,
                        const QueryGradient<acc_t<T>>& dq, HeadGradient<T>& gradient) {
    const KeyParts parts = parts_of(o, sequence);
    const int64_t group = o.H / o.KV;
    if (parts.count == 1) return gradient.run_part(sequence, kv, dq, 0, sequence.Lk);
    if (parts.width <= block_keys) return gradient.run_narrow_parts(sequence, kv, dq, parts.width);
    Scratch<acc_t<T>> memory(group * sequence.Lq * o.D);
    const QueryGradient<acc_t<T>> sums{memory.data, sequence.Lq * o.D, o.D};
    for (int64_t part = 0; part < parts.count; ++part) {
        const KeyRange rows = rows_of_part(sequence, parts, part);
        clear_rows(sums, group, rows, o.D);
        gradient.run_part(sequence, kv, sums, parts.first(part), parts.keys(part, sequence));
        add_rows(dq, sums, group, rows, o.D);
    }
}

// One head, summed up in dQ itself where that is of the accumulator type.
template <typename T>
void differentiate_alone(const AttentionBackwardArgs<T>& s, const Sequence& sequence, int64_t kv,
                         HeadGradient<T>& gradient) {
    const AttentionOptions& o = s.options;
    const int64_t group = o.H / o.KV;
    const KeyRange rows{0, sequence.Lq};
    if constexpr (sizeof(T) == sizeof(acc_t<T>)) {
        T* data = row_at(s.dq, sequence.q, kv * group, 0);
        const QueryGradient<T> dq{data, s.dq.head, s.dq.row};
        clear_rows(dq, group, rows, o.D);
        differentiate_head(o, sequence, kv, dq, gradient);
    } else {
        Scratch<acc_t<T>> memory(group * sequence.Lq * o.D);
        const QueryGradient<acc_t<T>> dq{memory.data, sequence.Lq * o.D, o.D};
        clear_rows(dq, group, rows, o.D);
        differentiate_head(o, sequence, kv, dq, gradient);
        for (int64_t g = 0; g < group; ++g)
            store_rows(s.dq, sequence, kv * group + g, {dq.at(g, 0), 0, o.D}, rows, o.D);
    }
}

// Heads of a task of the plan, one after the other in the same memory.
template <typename T>
void differentiate_run(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms,
                       const AttentionPlan& plan, const AttentionTask& task) {
    HeadGradient<T> gradient(s, terms);
    for (int64_t n = task.first; n < task.end; ++n)
        differentiate_alone(s, plan.sequence(n), n % s.options.KV, gradient);
}

// A part of a head that several threads share.
template <typename T>
void differentiate_part(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms,
                        const AttentionPlan& plan, const AttentionTask& task,
                        const PartSums<T>& sums) {
    const Sequence sequence = plan.sequence(task.first);
    const KeyParts parts = parts_of(s.options, sequence);
    HeadGradient<T>(s, terms).run_part(sequence, task.first % s.options.KV,
                                       sums.begin(task.place, task.piece), parts.first(task.piece),
                                       parts.keys(task.piece, sequence));
}

}  // namespace

template <typename T>
void attention_backward(const AttentionBackwardArgs<T>& s) {
    const AttentionOptions& o = s.options;
    const RowTerms<T> terms(s);
    const AttentionPlan plan(o, attention_backward_work(o), threads_of_loops());
    for (int64_t w = 0; w < plan.waves(); ++w) {
        const AttentionWave wave = plan.wave(w);
        const PartSums<T> sums(s, plan, wave);
        parallel_for(wave.end_task - wave.first_task, 1, [&](int64_t t) {
            const AttentionTask task = plan.task(wave.first_task + t);
            if (task.piece < 0)
                differentiate_run(s, terms, plan, task);
            else
                differentiate_part(s, terms, plan, task, sums);
        });
        sums.store_all();
    }
    if (s.dmask) mask_gradient(s, terms);
}
PF_INSTANTIATE(attention_backward, AttentionBackwardArgs)

}  // namespace plainformer::PF_ISA
