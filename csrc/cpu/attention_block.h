// P and dS of one block of queries and keys, recomputed from the log-sum-exp for the backward.
#pragma once
#include "attention_operands.h"
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

// Both are whole tiles in both directions, so that none is ragged inside; 192 keys are whole panels
// at every level.
constexpr int64_t block_queries = block_query_tiles * tile_rows;
constexpr int64_t block_keys = block_key_tiles * tile_rows;
static_assert(block_keys <= strip_keys && block_keys % 8 == 0, "masks and dropout work in strips");

// What the backward needs of each row, beside its scores: laid out like the log-sum-exp.
template <typename T>
class RowTerms {
  public:
    explicit RowTerms(const AttentionBackwardArgs<T>& s)
        : s_(s), shift_(rows_of_all(s.options)), delta_(rows_of_all(s.options)) {
        const AttentionOptions& o = s.options;
        int64_t longest = 0;
        for (int64_t b = 0; b < o.B; ++b) longest = greatest(longest, sequence_of(o, b).Lq);
        const int64_t blocks = ceil_div(longest, term_rows), heads = o.B * o.H;
        const int64_t average = rows_of_all(o) * o.Dv / greatest(1, heads * blocks);
        parallel_for(heads * blocks, rows_per_task(task_elements, average), [&](int64_t n) {
            const int64_t head = n / blocks, first = n % blocks * term_rows;
            const Sequence sequence = sequence_of(o, head / o.H);
            const int64_t end = least(sequence.Lq, first + term_rows);
            for (int64_t i = first; i < end; ++i) set_row(sequence.q, head % o.H, i);
        });
    }

    // The log-sum-exp in units of log2; inf where no key is seen, so that P is 0.
    acc_t<T> shift(int64_t start, int64_t h, int64_t i) const {
        return shift_.data[at(start, h, i)];
    }
    // sum_c dO_ic O_ic
    acc_t<T> delta(int64_t start, int64_t h, int64_t i) const {
        return delta_.data[at(start, h, i)];
    }

  private:
    static constexpr int64_t term_rows = 256;

    static int64_t rows_of_all(const AttentionOptions& o) {
        return o.H * (o.q_rows.starts ? o.q_rows.starts[o.B] : o.B * o.q_rows.length);
    }

    int64_t at(int64_t start, int64_t h, int64_t i) const {
        return start * s_.lse.batch + h * s_.lse.head + i * s_.lse.row;
    }

    void set_row(int64_t start, int64_t h, int64_t i) {
        const T* grad = row_at(s_.grad_out, start, h, i);
        const T* out = row_at(s_.out, start, h, i);
        VecOf<T> sum(acc_t<T>(0));
        for_lanes<T>(s_.options.Dv, [&](int64_t c, auto tail) {
            sum = fma(load(grad + c, tail), load(out + c, tail), sum);
        });
        delta_.data[at(start, h, i)] = reduce_add(sum);
        const acc_t<T> lse = *row_at(s_.lse, start, h, i);
        // A dO that is not finite must show in dV although the packed dO holds 0 there: make P NaN.
        const acc_t<T> poison = zero_or_nan(HeadRows<T>{grad, 0, 1, s_.options.Dv});
        shift_.data[at(start, h, i)] =
            poison + (lse == lowest<T> ? -lowest<T> : lse * static_cast<acc_t<T>>(log2_e));
    }

    const AttentionBackwardArgs<T>& s_;
    Scratch<acc_t<T>> shift_, delta_;
};

// Which dS: that of the scores after the cap and the additions, or of scale Q K^T before them.
enum class Differential { after_cap, before_cap };

template <typename T>
class ScoreBlock {
  public:
    // dS is multiplied with ds_scale.
    ScoreBlock(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms, double ds_scale,
               Differential differential)
        : s_(s),
          o_(s.options),
          terms_(terms),
          scale_(o_),
          through_cap_(scale_.capped && differential == Differential::before_cap),
          ds_scale_(static_cast<acc_t<T>>(ds_scale)),
          kept_scale_(static_cast<acc_t<T>>(o_.dropout.scale)),
          additions_(o_),
          dropout_(o_.dropout),
          key_units_(Panels<T>::units(o_.D, block_keys)),
          value_units_(Panels<T>::units(o_.Dv, block_keys)),
          q_units_(a_block_units<T>(block_queries, o_.D)),
          grad_units_(a_block_units<T>(block_queries, o_.Dv)),
          p_(block_queries * block_keys),
          ds_(block_queries * block_keys) {}

    // Keys [j, j + count) of head kv.
    void set_keys(const Sequence& sequence, int64_t kv, int64_t j, int64_t count) {
        sequence_ = sequence, key_ = j, keys_ = count;
        const HeadRows<T> k = rows_of(s_.k, sequence.k, kv, sequence.Lk, o_.D).part(j, count);
        const HeadRows<T> v = rows_of(s_.v, sequence.k, kv, sequence.Lk, o_.Dv).part(j, count);
        k_transposed_ = pack_transposed(key_units_.data, k);
        v_transposed_ = pack_transposed(value_units_.data, v);
    }

    // P and dS of queries [i, i + count) of head h; then f(first row, rows, range of the block's
    // keys that they see) for each tile of rows while it is in L1.
    template <typename F>
    void compute(int64_t h, int64_t i, int64_t count, const F& f) {
        h_ = h, query_ = i, queries_ = count;
        const ABlock q = left_rows(q_units_.data, queries(s_.q, o_.D));
        const ABlock grad = left_rows(grad_units_.data, queries(s_.grad_out, o_.Dv));
        additions_.start(sequence_, h);
        dropout_.start_head(sequence_.b * o_.H + h);
        for (int64_t m = 0; m < count; m += tile_rows) {
            const int rows = static_cast<int>(least(tile_rows, count - m));
            const KeyRange seen = within(sequence_.keys_of(i + m, rows), key_, keys_);
            multiply(q, k_transposed_, m, rows, seen, scores_);
            multiply(grad, v_transposed_, m, rows, seen, grad_p_);
            for (int r = 0; r < rows; ++r) take_row(m, r);
            if (!seen.empty()) f(m, rows, seen);
        }
    }

    // The block's queries as rows of q or grad_out.
    HeadRows<T> queries(const HeadsView<const T>& x, int64_t width) const {
        return rows_of(x, sequence_.q, h_, sequence_.Lq, width).part(query_, queries_);
    }
    // Rows block_keys apart; zero for the block's keys that a row does not see, and up to a
    // register.
    prob_t<T>* p(int64_t m) { return p_.data + m * block_keys; }
    prob_t<T>* ds(int64_t m) { return ds_.data + m * block_keys; }

  private:
    // The columns of a B that are seen, from the panel of the first on, for rows [m, m + rows).
    void multiply(const ABlock& a, const Panels<T>& B, int64_t m, int rows, KeyRange seen,
                  acc_t<T>* d) {
        if (seen.empty()) return;
        const int64_t panel = seen.begin / panel_columns<T>, first = panel * panel_columns<T>;
        const Panels<T> part{B.panel(panel), B.steps, seen.end - first};
        multiply_panels(LeftTile{a.data + m / tile_rows * a.tile, a.row, a.step, rows}, part, 0,
                        B.steps, d + first, block_keys, false);
    }

    void take_row(int64_t m, int r) {
        const int64_t i = query_ + m + r, whole = round_up(keys_, lanes<T>);
        const KeyRange seen = within(sequence_.keys_of(i), key_, keys_);
        clear_around<T>(p(m + r), 0, whole, seen);
        clear_around<T>(ds(m + r), 0, whole, seen);
        if (seen.empty()) return;
        const acc_t<T>* additions = additions_.row(i, key_, keys_);
        dropout_.start(i, key_, seen);
        if (scale_.capped) cap_scores<T>(scores_ + r * block_keys, seen, scale_.inner);
        if (through_cap_)
            differentiate_row<true, false>(m, r, seen, additions);
        else if (additions || dropout_.active())
            differentiate_row<false, false>(m, r, seen, additions);
        else
            differentiate_row<false, true>(m, r, seen, nullptr);
    }

    // P and dS from scores, or from their hyperbolic tangents where there is a cap. Plain: with no
    // dropout and no additions, so that the loop asks for neither.
    template <bool through_cap, bool plain>
    void differentiate_row(int64_t m, int r, KeyRange seen, const acc_t<T>* additions) {
        const int64_t i = query_ + m + r;
        const VecOf<T> shift(terms_.shift(sequence_.q, h_, i)), factor(scale_.factor);
        const VecOf<T> delta(terms_.delta(sequence_.q, h_, i));
        const VecOf<T> hidden(lowest<T>), zero(acc_t<T>(0)), kept(kept_scale_), out(ds_scale_);
        const acc_t<T>* s = scores_ + r * block_keys;
        const acc_t<T>* grad = grad_p_ + r * block_keys;
        prob_t<T>*p_row = p(m + r), *ds_row = ds(m + r);
        for_range<T>(seen, [&](int64_t j, auto part) {
            const VecOf<T> x = load(s + j, Full{}), g = load(grad + j, Full{});
            const VecOf<T> t =
                masked_score<T>(x, factor, !plain && additions ? additions + j : nullptr);
            VecOf<T> e = exp2_or_zero(t - shift);
            VecOf<T> d = e * ((plain ? g : dropout_.kept(g, j) * kept) - delta) * out;
            if (through_cap) d = d * fnma(x, x, VecOf<T>(acc_t<T>(1)));  // tanh' = 1 - tanh^2
            if (!plain && additions)
                e = select(t == hidden, zero, e), d = select(t == hidden, zero, d);
            store(p_row + j, Full{},
                  select_lanes(part, plain ? e : dropout_.kept(e, j) * kept, zero));
            store(ds_row + j, Full{}, select_lanes(part, d, zero));
        });
    }

    const AttentionBackwardArgs<T>& s_;
    const AttentionOptions& o_;
    const RowTerms<T>& terms_;
    const ScoreScale<T> scale_;
    const bool through_cap_;
    const acc_t<T> ds_scale_, kept_scale_;
    Sequence sequence_{};
    int64_t h_ = 0, key_ = 0, keys_ = 0, query_ = 0, queries_ = 0;
    Additions<T> additions_;
    DropoutRow dropout_;
    Scratch<unit_t<T>> key_units_, value_units_, q_units_, grad_units_;
    Panels<T> k_transposed_{}, v_transposed_{};
    Scratch<prob_t<T>> p_, ds_;
    alignas(64) acc_t<T> scores_[tile_rows * block_keys];  // of the tile at hand
    alignas(64) acc_t<T> grad_p_[tile_rows * block_keys];
};

}  // namespace plainformer::PF_ISA
