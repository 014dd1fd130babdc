// Attention backward. Formulas and shapes: plainformer/attention.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// A task owns blocks of 192 keys of one key/value head, with their dK and dV, and walks over all
// queries that see them: five products a block, P recomputed from the log-sum-exp. With many heads
// a task owns a whole head, and dQ too; with few, a head is split in parts whose dQ are summed in
// order. All sums are kept in the accumulator type and rounded once. No atomics; what is split and
// how depends on shapes alone, so the bytes do not depend on the number of threads.
#include "plainformer/attention.h"

#include "attention_block.h"
#include "attention_mask_gradient.h"

namespace plainformer::PF_ISA {

// With this many heads, or more than key blocks in one, each head is a task.
constexpr int64_t many_heads = 16;
// Fewer are split in parts; each has a float32 copy of dQ, which bounds their number.
constexpr int64_t most_parts = 8;
constexpr int64_t task_flops = int64_t{2} << 20;

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

// A key/value head's part: key blocks part, part + parts, ... and their share of dQ.
template <typename T>
class HeadGradient {
  public:
    // dq: (group, Lq, D) with rows dq_row apart and heads dq_head apart, zero or partial sums.
    HeadGradient(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms, int64_t b, int64_t kv,
                 acc_t<T>* dq, int64_t dq_head, int64_t dq_row)
        : s_(s),
          o_(s.options),
          block_(s, terms, s.options.scale),
          b_(b),
          kv_(kv),
          group_(o_.H / o_.KV),
          dq_(dq),
          dq_head_(dq_head),
          dq_row_(dq_row),
          k_units_(Panels<T>::units(block_keys, o_.D)),
          q_units_(Panels<T>::units(block_queries, o_.D)),
          grad_units_(Panels<T>::units(block_queries, o_.Dv)),
          pair_units_(unit_elements<T> == 1 ? 0 : 2 * block_queries * block_keys),
          dk_(block_keys * o_.D),
          dv_(block_keys * o_.Dv) {}

    void run(int64_t part, int64_t parts) {
        for (int64_t j = part * block_keys; j < o_.Lk; j += parts * block_keys)
            run_keys(j, lesser(block_keys, o_.Lk - j));
    }

  private:
    void run_keys(int64_t j, int64_t count) {
        key_ = j, keys_ = count;
        block_.set_keys(b_, kv_, j, count);
        k_ = pack_finite(k_units_.data, rows_of(s_.k, b_, kv_, o_.Lk, o_.D).part(j, count));
        __builtin_memset(dk_.data, 0, sizeof(acc_t<T>) * count * o_.D);
        __builtin_memset(dv_.data, 0, sizeof(acc_t<T>) * count * o_.Dv);
        const int64_t first = o_.causal ? j / block_queries * block_queries : 0;
        for (int64_t g = 0; g < group_; ++g)
            for (int64_t i = first; i < o_.Lq; i += block_queries)
                run_queries(g, i, lesser(block_queries, o_.Lq - i));
        store_rows(s_.dk, dk_.data, o_.D);
        store_rows(s_.dv, dv_.data, o_.Dv);
    }

    void run_queries(int64_t g, int64_t i, int64_t count) {
        block_.compute(kv_ * group_ + g, i, count, [&](int64_t m, int rows, int64_t seen) {
            add_dq(dq_ + g * dq_head_ + (i + m) * dq_row_, m, rows, seen);
        });
        const Panels<T> q = pack_finite(q_units_.data, block_.queries(s_.q, o_.D));
        const Panels<T> grad = pack_finite(grad_units_.data, block_.queries(s_.grad_out, o_.Dv));
        unit_t<T>* second = pair_units_.data + block_queries / unit_elements<T> * block_keys;
        const unit_t<T>* p = by_keys<T>(pair_units_.data, block_.p(0), count, keys_);
        const unit_t<T>* ds = by_keys<T>(second, block_.ds(0), count, keys_);
        for (int64_t j = 0; j < keys_; j += tile_rows) {
            add_transposed(dv_.data + j * o_.Dv, o_.Dv, p + j, grad, i, j);
            add_transposed(dk_.data + j * o_.D, o_.D, ds + j, q, i, j);
        }
    }

    // dQ += dS K
    void add_dq(acc_t<T>* dq, int64_t m, int rows, int64_t seen) {
        constexpr int64_t size = sizeof(prob_t<T>);
        const LeftTile ds{reinterpret_cast<const char*>(block_.ds(m)), block_keys * size,
                          unit_elements<T> * size, rows};
        multiply_panels(ds, k_, 0, units_of<T>(seen), dq, dq_row_, true);
    }

    // d += A^T B for six keys from j of the block; the sum runs over the queries from i on, but for
    // the ones that see none of these keys.
    void add_transposed(acc_t<T>* d, int64_t width, const unit_t<T>* a, const Panels<T>& B,
                        int64_t i, int64_t j) {
        constexpr int64_t size = sizeof(unit_t<T>);
        const int64_t hidden = o_.causal ? greater(0, key_ + j - i) : 0;
        const int64_t first = lesser(hidden / unit_elements<T>, B.steps);
        const int rows = static_cast<int>(lesser(tile_rows, keys_ - j));
        const LeftTile tile{reinterpret_cast<const char*>(a + first * block_keys), size,
                            block_keys * size, rows};
        if (first < B.steps) multiply_panels(tile, B, first, B.steps - first, d, width, true);
    }

    void store_rows(const HeadsView<T>& to, const acc_t<T>* sums, int64_t width) {
        for (int64_t j = 0; j < keys_; ++j)
            for_lanes<T>(width, [&](int64_t c, auto tail) {
                store(row_at(to, b_, kv_, key_ + j) + c, tail, load(sums + j * width + c, tail));
            });
    }

    const AttentionBackwardArgs<T>& s_;
    const AttentionOptions& o_;
    ScoreBlock<T> block_;
    const int64_t b_, kv_, group_;
    acc_t<T>* const dq_;
    const int64_t dq_head_, dq_row_;
    int64_t key_ = 0, keys_ = 0;
    Scratch<unit_t<T>> k_units_, q_units_, grad_units_, pair_units_;
    Panels<T> k_{};
    Scratch<acc_t<T>> dk_, dv_;
};

// dQ of queries of one head: the sum of its parts, in order.
template <typename T>
void store_dq(const AttentionBackwardArgs<T>& s, int64_t b, int64_t h, int64_t i,
              const acc_t<T>* sums, int64_t parts, int64_t part_size) {
    T* to = row_at(s.dq, b, h, i);
    for_lanes<T>(s.options.D, [&](int64_t c, auto tail) {
        VecOf<T> sum = load(sums + c, tail);
        for (int64_t part = 1; part < parts; ++part)
            sum = sum + load(sums + part * part_size + c, tail);
        store(to + c, tail, sum);
    });
}

// One head, split in `parts`, each with a dQ of its own.
template <typename T>
void head_in_parts(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms, int64_t b,
                   int64_t kv, int64_t parts) {
    const AttentionOptions& o = s.options;
    const int64_t group = o.H / o.KV, head_size = o.Lq * o.D, part_size = group * head_size;
    Scratch<acc_t<T>> dq(parts * part_size);
    parallel_for(parts, 1, [&](int64_t part) {
        acc_t<T>* mine = dq.data + part * part_size;
        __builtin_memset(mine, 0, sizeof(acc_t<T>) * part_size);
        HeadGradient<T>(s, terms, b, kv, mine, head_size, o.D).run(part, parts);
    });
    parallel_for(group * o.Lq, block_queries, [&](int64_t row) {
        const int64_t h = kv * group + row / o.Lq;
        store_dq(s, b, h, row % o.Lq, dq.data + row * o.D, parts, part_size);
    });
}

// One head, summed up in dQ itself.
template <typename T>
void head_in_place(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms, int64_t b,
                   int64_t kv) {
    const AttentionOptions& o = s.options;
    const int64_t group = o.H / o.KV;
    for (int64_t g = 0; g < group; ++g)
        for (int64_t i = 0; i < o.Lq; ++i)
            __builtin_memset(row_at(s.dq, b, kv * group + g, i), 0, sizeof(T) * o.D);
    if constexpr (sizeof(T) == sizeof(acc_t<T>)) {
        T* dq = row_at(s.dq, b, kv * group, 0);
        HeadGradient<T>(s, terms, b, kv, dq, s.dq.head, s.dq.row).run(0, 1);
    }
}

template <typename T>
void attention_backward(const AttentionBackwardArgs<T>& s) {
    const AttentionOptions& o = s.options;
    const RowTerms<T> terms(s);
    const int64_t heads = o.B * o.KV, key_blocks = round_up_div(o.Lk, block_keys);
    const int64_t flops = 4 * (o.H / greater(1, o.KV)) * o.Lq * o.Lk * (o.D + o.Dv);
    const bool whole = heads >= lesser(many_heads, key_blocks) || flops < task_flops;
    const int64_t parts = whole ? 1 : lesser(key_blocks, most_parts);
    const auto run = [&](int64_t head) {
        if (parts == 1 && sizeof(T) == sizeof(acc_t<T>))
            head_in_place(s, terms, head / o.KV, head % o.KV);
        else
            head_in_parts(s, terms, head / o.KV, head % o.KV, parts);
    };
    if (whole)  // the loops inside a task run inline
        parallel_for(heads, task_flops / greater(1, flops), run);
    else
        for (int64_t head = 0; head < heads; ++head) run(head);
    if (s.dmask) mask_gradient(s, terms);
}
PF_INSTANTIATE(attention_backward, AttentionBackwardArgs)

}  // namespace plainformer::PF_ISA
