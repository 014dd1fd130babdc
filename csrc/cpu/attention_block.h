// P and dS of one block of queries and keys, recomputed from the log-sum-exp for the backward.
#pragma once
#include "attention_operands.h"
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

// Both are whole tiles in both directions, so that none is ragged inside; 192 keys are whole panels
// at every level. P and dS of a block are 144 KB in float32 and stay in L2.
constexpr int64_t block_queries = 16 * tile_rows;
constexpr int64_t block_keys = 32 * tile_rows;
static_assert(block_keys <= strip_keys && block_keys % 8 == 0, "masks and dropout work in strips");

// What the backward needs of each row, beside its scores.
template <typename T>
class RowTerms {
  public:
    explicit RowTerms(const AttentionBackwardArgs<T>& s)
        : s_(s), rows_(s.options.B * s.options.H * s.options.Lq), shift_(rows_), delta_(rows_) {
        const AttentionOptions& o = s.options;
        const int64_t grain = greater(1, (int64_t{1} << 16) / greater(1, o.Lq * o.Dv));
        parallel_for(o.B * o.H, grain, [&](int64_t head) {
            for (int64_t i = 0; i < o.Lq; ++i) set_row(head / o.H, head % o.H, i);
        });
    }

    // The log-sum-exp in units of log2; inf where no key is seen, so that P is 0.
    acc_t<T> shift(int64_t b, int64_t h, int64_t i) const { return shift_.data[at(b, h, i)]; }
    // sum_c dO_ic O_ic
    acc_t<T> delta(int64_t b, int64_t h, int64_t i) const { return delta_.data[at(b, h, i)]; }

  private:
    int64_t at(int64_t b, int64_t h, int64_t i) const {
        return (b * s_.options.H + h) * s_.options.Lq + i;
    }

    void set_row(int64_t b, int64_t h, int64_t i) {
        const T* grad = row_at(s_.grad_out, b, h, i);
        const T* out = row_at(s_.out, b, h, i);
        VecOf<T> sum(acc_t<T>(0));
        for_lanes<T>(s_.options.Dv, [&](int64_t c, auto tail) {
            sum = fma(load(grad + c, tail), load(out + c, tail), sum);
        });
        delta_.data[at(b, h, i)] = reduce_add(sum);
        const acc_t<T> lse = s_.lse[at(b, h, i)];
        // A dO that is not finite must show in dV although the packed dO holds 0 there: make P NaN.
        const acc_t<T> poison = zero_or_nan(HeadRows<T>{grad, 0, 1, s_.options.Dv});
        shift_.data[at(b, h, i)] =
            poison + (lse == minus_inf<T> ? -minus_inf<T> : lse * static_cast<acc_t<T>>(log2_e));
    }

    const AttentionBackwardArgs<T>& s_;
    const int64_t rows_;
    Scratch<acc_t<T>> shift_, delta_;
};

template <typename T>
class ScoreBlock {
  public:
    // dS is multiplied with ds_scale.
    ScoreBlock(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms, double ds_scale)
        : s_(s),
          o_(s.options),
          terms_(terms),
          scale_(static_cast<acc_t<T>>(o_.scale * log2_e)),
          ds_scale_(static_cast<acc_t<T>>(ds_scale)),
          kept_scale_(static_cast<acc_t<T>>(o_.dropout.scale)),
          key_units_(Panels<T>::units(o_.D, block_keys)),
          value_units_(Panels<T>::units(o_.Dv, block_keys)),
          q_units_(a_block_units<T>(block_queries, o_.D)),
          grad_units_(a_block_units<T>(block_queries, o_.Dv)),
          p_(block_queries * block_keys),
          ds_(block_queries * block_keys) {}

    // Keys [j, j + count) of head kv.
    void set_keys(int64_t b, int64_t kv, int64_t j, int64_t count) {
        b_ = b, key_ = j, keys_ = count;
        const HeadRows<T> k = rows_of(s_.k, b, kv, o_.Lk, o_.D).part(j, count);
        const HeadRows<T> v = rows_of(s_.v, b, kv, o_.Lk, o_.Dv).part(j, count);
        k_transposed_ = pack_transposed(key_units_.data, k);
        v_transposed_ = pack_transposed(value_units_.data, v);
    }

    // P and dS of queries [i, i + count) of head h; then f(first row, rows, keys seen) for each
    // tile of rows while it is in L1.
    template <typename F>
    void compute(int64_t h, int64_t i, int64_t count, const F& f) {
        h_ = h, query_ = i, queries_ = count;
        const ABlock q = left_rows(q_units_.data, queries(s_.q, o_.D));
        const ABlock grad = left_rows(grad_units_.data, queries(s_.grad_out, o_.Dv));
        MaskRows<T> mask(o_.mask, b_, h);
        DropoutRow dropout(o_.dropout, b_ * o_.H + h);
        for (int64_t m = 0; m < count; m += tile_rows) {
            const int rows = static_cast<int>(lesser(tile_rows, count - m));
            const int64_t seen = visible_keys(o_, i + m + rows - 1, key_, keys_);
            multiply(q, k_transposed_, m, rows, seen, scores_);
            multiply(grad, v_transposed_, m, rows, seen, grad_p_);
            for (int r = 0; r < rows; ++r) differentiate_row(m, r, mask, dropout);
            f(m, rows, seen);
        }
    }

    // The block's queries as rows of q or grad_out.
    HeadRows<T> queries(const HeadsView<const T>& x, int64_t width) const {
        return rows_of(x, b_, h_, o_.Lq, width).part(query_, queries_);
    }
    // Rows block_keys apart; zero for the block's keys that a row does not see, and up to a
    // register.
    prob_t<T>* p(int64_t m) { return p_.data + m * block_keys; }
    prob_t<T>* ds(int64_t m) { return ds_.data + m * block_keys; }

  private:
    // The first `seen` columns of a B for rows [m, m + rows).
    void multiply(const ABlock& a, const Panels<T>& B, int64_t m, int rows, int64_t seen,
                  acc_t<T>* d) {
        const Panels<T> part{B.data, B.steps, seen};
        multiply_panels(LeftTile{a.data + m / tile_rows * a.tile, a.row, a.step, rows}, part, 0,
                        B.steps, d, block_keys, false);
    }

    void differentiate_row(int64_t m, int r, MaskRows<T>& mask, DropoutRow& dropout) {
        const int64_t i = query_ + m + r, count = visible_keys(o_, i, key_, keys_);
        const acc_t<T>* additions = mask.row(i, key_, keys_);
        dropout.start(i, key_, count);
        const VecOf<T> shift(terms_.shift(b_, h_, i)), delta(terms_.delta(b_, h_, i));
        const VecOf<T> hidden(minus_inf<T>), zero(acc_t<T>(0)), kept(kept_scale_), out(ds_scale_);
        const acc_t<T>* s = scores_ + r * block_keys;
        const acc_t<T>* grad = grad_p_ + r * block_keys;
        prob_t<T>*p_row = p(m + r), *ds_row = ds(m + r);
        for_lanes<T>(count, [&](int64_t j, auto tail) {
            const VecOf<T> t = masked_score<T>(load(s + j, tail), scale_,
                                               additions ? additions + j : nullptr, tail);
            VecOf<T> e = exp2(t - shift);
            VecOf<T> d = e * (dropout.kept(load(grad + j, tail), j, tail) * kept - delta) * out;
            if (additions) e = select(t == hidden, zero, e), d = select(t == hidden, zero, d);
            store(p_row + j, tail, dropout.kept(e, j, tail) * kept);
            store(ds_row + j, tail, d);
        });
        const int64_t rest = round_up_div(keys_, lanes<T>) * lanes<T> - count;
        __builtin_memset(p_row + count, 0, rest * sizeof(prob_t<T>));
        __builtin_memset(ds_row + count, 0, rest * sizeof(prob_t<T>));
    }

    const AttentionBackwardArgs<T>& s_;
    const AttentionOptions& o_;
    const RowTerms<T>& terms_;
    const acc_t<T> scale_, ds_scale_, kept_scale_;
    int64_t b_ = 0, h_ = 0, key_ = 0, keys_ = 0, query_ = 0, queries_ = 0;
    Scratch<unit_t<T>> key_units_, value_units_, q_units_, grad_units_;
    Panels<T> k_transposed_{}, v_transposed_{};
    Scratch<prob_t<T>> p_, ds_;
    alignas(64) acc_t<T> scores_[tile_rows * block_keys];  // raw, of the tile at hand
    alignas(64) acc_t<T> grad_p_[tile_rows * block_keys];
};

}  // namespace plainformer::PF_ISA
