// Attention backward. Formulas and shapes: plainformer/attention.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// A task owns blocks of 192 keys of one key/value head, with their dK and dV, and walks over all
// queries that see them: five products a block, P recomputed from the log-sum-exp. Where a sequence
// has many heads, a task owns a whole head, and dQ too; where it has few, a head is split in parts
// whose dQ are summed in order. All sums are kept in the accumulator type and rounded once. No
// atomics; what is split and how depends on the shape of its own sequence alone, so the bytes
// depend neither on the number of threads nor on the other sequences.
#include "plainformer/attention.h"

#include "attention_block.h"
#include "attention_mask_gradient.h"
#include "attention_plan.h"

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

// Where dQ of the query heads of one key/value head is summed up: (group, Lq, D).
template <typename A>
struct QueryGradient {
    A* data;
    int64_t head, row;  // strides in elements
};

// A key/value head's part: key blocks part, part + parts, ... and their share of dQ.
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

    // dq holds zero.
    void run(const Sequence& sequence, int64_t kv, const QueryGradient<acc_t<T>>& dq, int64_t part,
             int64_t parts) {
        sequence_ = sequence, kv_ = kv, dq_ = dq;
        for (int64_t j = part * block_keys; j < sequence.Lk; j += parts * block_keys)
            run_keys(j, least(block_keys, sequence.Lk - j));
    }

  private:
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
            add_dq(dq_.data + g * dq_.head + (i + m) * dq_.row, m, rows, seen);
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

    // dQ += dS K
    void add_dq(acc_t<T>* dq, int64_t m, int rows, KeyRange seen) {
        constexpr int64_t size = sizeof(prob_t<T>);
        const int64_t first = seen.begin / unit_elements<T>;
        const LeftTile ds{reinterpret_cast<const char*>(block_.ds(m) + first * unit_elements<T>),
                          block_keys * size, unit_elements<T> * size, rows};
        multiply_panels(ds, k_, first, units_of<T>(seen.end) - first, dq, dq_.row, true);
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
    int64_t key_ = 0, keys_ = 0;
    Scratch<unit_t<T>> k_units_, q_units_, grad_units_, pair_units_;
    Panels<T> k_{};
    Scratch<acc_t<T>> dk_, dv_;
};

// Into how many parts a head of a sequence is split: a question of that sequence alone.
int64_t parts_of(const AttentionOptions& o, const Sequence& s) {
    const int64_t blocks = ceil_div(s.Lk, block_keys);
    const int64_t flops = 4 * (o.H / o.KV) * (o.D + o.Dv) * pairs_of(s);
    const bool whole = o.KV >= least(many_heads, blocks) || flops < attention_task_flops;
    return whole ? 1 : least(blocks, most_head_parts);
}

// dQ of one head's queries, each part's in memory of its own.
template <typename T>
class PartSums {
  public:
    PartSums(const AttentionBackwardArgs<T>& s, const Sequence& sequence, int64_t kv, int64_t parts)
        : s_(s),
          sequence_(sequence),
          head_(kv * (s.options.H / s.options.KV)),
          parts_(parts),
          part_size_(rows() * s.options.D),
          sums_(parts * part_size_) {}

    int64_t rows() const { return s_.options.H / s_.options.KV * sequence_.Lq; }

    // Where a part sums up its share, cleared.
    QueryGradient<acc_t<T>> begin(int64_t part) const {
        acc_t<T>* mine = sums_.data + part * part_size_;
        __builtin_memset(mine, 0, sizeof(acc_t<T>) * part_size_);
        return {mine, sequence_.Lq * s_.options.D, s_.options.D};
    }

    // dQ of one query: the sum of its parts, in order.
    void store_row(int64_t row) const {
        const int64_t D = s_.options.D, Lq = sequence_.Lq;
        T* to = row_at(s_.dq, sequence_.q, head_ + row / Lq, row % Lq);
        for_lanes<T>(D, [&](int64_t c, auto tail) {
            VecOf<T> sum = load(sums_.data + row * D + c, tail);
            for (int64_t part = 1; part < parts_; ++part)
                sum = sum + load(sums_.data + part * part_size_ + row * D + c, tail);
            store(to + c, tail, sum);
        });
    }

  private:
    const AttentionBackwardArgs<T>& s_;
    const Sequence sequence_;
    const int64_t head_, parts_, part_size_;
    Scratch<acc_t<T>> sums_;
};

// One head, its parts shared out, each with buffers of its own.
template <typename T>
void differentiate_shared(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms,
                          const Sequence& sequence, int64_t kv) {
    const int64_t parts = parts_of(s.options, sequence);
    const PartSums<T> sums(s, sequence, kv, parts);
    parallel_for(parts, 1, [&](int64_t part) {
        HeadGradient<T>(s, terms).run(sequence, kv, sums.begin(part), part, parts);
    });
    parallel_for(sums.rows(), block_queries, [&](int64_t row) { sums.store_row(row); });
}

// One head, its parts one after the other in the buffers of `gradient`: the same bytes. No loop
// here is parallel.
template <typename T>
void differentiate_alone(const AttentionBackwardArgs<T>& s, const Sequence& sequence, int64_t kv,
                         HeadGradient<T>& gradient) {
    const int64_t parts = parts_of(s.options, sequence);
    const PartSums<T> sums(s, sequence, kv, parts);
    for (int64_t part = 0; part < parts; ++part)
        gradient.run(sequence, kv, sums.begin(part), part, parts);
    for (int64_t row = 0; row < sums.rows(); ++row) sums.store_row(row);
}

// One head in one part, summed up in dQ itself.
template <typename T>
void differentiate_in_place(const AttentionBackwardArgs<T>& s, const Sequence& sequence, int64_t kv,
                            HeadGradient<T>& gradient) {
    static_assert(sizeof(T) == sizeof(acc_t<T>), "dQ is of the accumulator type");
    const int64_t group = s.options.H / s.options.KV;
    for (int64_t g = 0; g < group; ++g)
        for (int64_t i = 0; i < sequence.Lq; ++i)
            __builtin_memset(row_at(s.dq, sequence.q, kv * group + g, i), 0,
                             sizeof(T) * s.options.D);
    T* dq = row_at(s.dq, sequence.q, kv * group, 0);
    gradient.run(sequence, kv, {dq, s.dq.head, s.dq.row}, 0, 1);
}

// Heads [first, end) of the plan, one after the other in the same memory.
template <typename T>
void differentiate_run(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms,
                       const AttentionPlan& plan, int64_t first, int64_t end) {
    HeadGradient<T> gradient(s, terms);
    for (int64_t n = first; n < end; ++n) {
        const Sequence sequence = plan.sequence(n);
        const int64_t kv = n % s.options.KV;
        if constexpr (sizeof(T) == sizeof(acc_t<T>))
            if (parts_of(s.options, sequence) == 1) {
                differentiate_in_place(s, sequence, kv, gradient);
                continue;
            }
        differentiate_alone(s, sequence, kv, gradient);
    }
}

}  // namespace

template <typename T>
void attention_backward(const AttentionBackwardArgs<T>& s) {
    const AttentionOptions& o = s.options;
    const RowTerms<T> terms(s);
    const int64_t group = o.H / greatest(1, o.KV);
    const AttentionPlan plan(o, 4 * group * (o.D + o.Dv), parts_of);
    for (int64_t n = 0; n < plan.shared_heads(); ++n)
        differentiate_shared(s, terms, plan.sequence(n), n % o.KV);
    parallel_for(plan.tasks(), 1, [&](int64_t task) {
        differentiate_run(s, terms, plan, plan.first_head(task), plan.end_head(task));
    });
    if (s.dmask) mask_gradient(s, terms);
}
PF_INSTANTIATE(attention_backward, AttentionBackwardArgs)

}  // namespace plainformer::PF_ISA
