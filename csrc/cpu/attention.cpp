// Attention forward. Formula and shapes: plainformer/attention.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// K^T and V of one key/value head are packed once and shared by all queries that read them. Six
// queries then walk over strips of 256 keys: scores by the GEMM's register tile into L1, softmax
// row by row, and O += P V with one rescaling a strip. Tiles above the causal diagonal are never
// touched. A row's bytes depend on nothing but the row and the keys it sees.
#include "plainformer/attention.h"

#include "attention_operands.h"
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

constexpr int64_t widest_head = 256;  // checked by the binding
// Queries of a task where heads are shared out: enough work beside the claim of a task.
constexpr int64_t query_block = 16 * tile_rows;
// With this many heads, or more than blocks in one, each head is a task: its packed K and V then
// stay in the cache of the core that packs them.
constexpr int64_t many_heads = 16;
constexpr int64_t task_flops = int64_t{2} << 20;

// One key/value head, packed for all queries that read it.
template <typename T>
class PackedHead {
  public:
    PackedHead(const AttentionArgs<T>& s, int64_t b, int64_t kv)
        : v_(rows_of(s.v, b, kv, s.options.Lk, s.options.Dv)),
          finite_(all_finite(v_)),
          key_units_(Panels<T>::units(s.options.D, s.options.Lk)),
          value_units_(Panels<T>::units(s.options.Lk, s.options.Dv)) {
        keys_ = pack_transposed(key_units_.data, rows_of(s.k, b, kv, s.options.Lk, s.options.D));
        values_ = pack_rows(value_units_.data, v_, finite_);
    }

    const Panels<T>& keys() const { return keys_; }      // K^T (D, Lk)
    const Panels<T>& values() const { return values_; }  // V (Lk, Dv), finite
    bool finite() const { return finite_; }
    HeadRows<T> original_value(int64_t j) const { return v_.part(j, 1); }

  private:
    const HeadRows<T> v_;
    const bool finite_;
    Scratch<unit_t<T>> key_units_, value_units_;
    Panels<T> keys_, values_;
};

// At most six queries of one head, over all keys they see.
template <typename T>
class QueryTile {
  public:
    QueryTile(const AttentionArgs<T>& s, const PackedHead<T>& head, int64_t b, int64_t h)
        : s_(s),
          o_(s.options),
          head_(head),
          b_(b),
          h_(h),
          mask_(s.options.mask, b, h),
          dropout_(s.options.dropout, b * s.options.H + h),
          scale_(static_cast<acc_t<T>>(s.options.scale * log2_e)) {}

    // Queries [i, i + a.rows), whose left operand is a.
    void attend(int64_t i, const LeftTile& a) {
        first_ = i, q_ = a;
        for (int r = 0; r < a.rows; ++r) softmax_[r] = RowSoftmax<T>();
        __builtin_memset(sums_, 0, sizeof(acc_t<T>) * a.rows * o_.Dv);
        const int64_t seen = visible_keys(o_, i + a.rows - 1, 0, o_.Lk);
        for (int64_t key = 0; key < seen; key += strip_keys)
            take_strip(key, lesser(strip_keys, seen - key));
        for (int r = 0; r < a.rows; ++r) finish_row(r);
    }

  private:
    void take_strip(int64_t key, int64_t count) {
        multiply_strip(key, count);
        const int64_t width = units_of<T>(count) * unit_elements<T>;
        for (int r = 0; r < q_.rows; ++r) take_row(r, key, count, width);
        const LeftTile p{reinterpret_cast<const char*>(probabilities()), strip_keys * p_size,
                         unit_elements<T> * p_size, q_.rows};
        multiply_panels(p, head_.values(), key / unit_elements<T>, units_of<T>(count), sums_, o_.Dv,
                        true);
        if (!head_.finite()) add_not_finite(key, count);
    }

    // Raw scores of keys [key, key + count).
    void multiply_strip(int64_t key, int64_t count) {
        const Panels<T>& keys = head_.keys();
        for (int64_t j = 0; j < count; j += panel_columns<T>) {
            const int columns = static_cast<int>(lesser(panel_columns<T>, count - j));
            multiply_tile(Tile<T>{q_.data, q_.row, q_.step,
                                  keys.panel((key + j) / panel_columns<T>), panel_columns<T>,
                                  keys.steps, scores_ + j, strip_keys, q_.rows, columns, false});
        }
    }

    void take_row(int r, int64_t key, int64_t count, int64_t width) {
        const int64_t i = first_ + r;
        // The row of a mask that all queries share is converted once: for the whole strip.
        const acc_t<T>* additions = mask_.row(i, key, lesser(strip_keys, o_.Lk - key));
        dropout_.start(i, key, count);
        const acc_t<T> factor =
            softmax_[r].take(probabilities() + r * strip_keys, scores_ + r * strip_keys,
                             visible_keys(o_, i, key, count), width, scale_, additions, dropout_);
        if (factor == 1) return;
        acc_t<T>* sums = sums_ + r * o_.Dv;
        for_lanes<T>(o_.Dv, [&](int64_t c, auto tail) {
            store(sums + c, tail, load(sums + c, tail) * VecOf<T>(factor));
        });
    }

    // The products of V's elements that are not finite, which the packed V holds as 0, for the rows
    // that see them.
    void add_not_finite(int64_t key, int64_t count) {
        for (int64_t j = 0; j < count; ++j) {
            const HeadRows<T> v = head_.original_value(key + j);
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
        T* out = row_at(s_.out, b_, h_, first_ + r);
        for_lanes<T>(o_.Dv, [&](int64_t c, auto tail) {
            store(out + c, tail, load(sums + c, tail) * factor);
        });
        if (s_.lse) s_.lse[(b_ * o_.H + h_) * o_.Lq + first_ + r] = softmax_[r].log_sum_exp();
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
    const PackedHead<T>& head_;
    const int64_t b_, h_;
    MaskRows<T> mask_;
    DropoutRow dropout_;
    const acc_t<T> scale_;
    int64_t first_ = 0;
    LeftTile q_{};
    RowSoftmax<T> softmax_[tile_rows];
    alignas(64) acc_t<T> scores_[tile_rows * strip_keys];
    alignas(64) prob_t<T> rounded_[p_replaces_scores ? 1 : tile_rows * strip_keys];
    alignas(64) acc_t<T> sums_[tile_rows * widest_head];
};

// Queries [i, i + count) of one head.
template <typename T>
void attend_block(const AttentionArgs<T>& s, const PackedHead<T>& head, int64_t b, int64_t h,
                  int64_t i, int64_t count) {
    const HeadRows<T> q = rows_of(s.q, b, h, s.options.Lq, s.options.D).part(i, count);
    Scratch<unit_t<T>> packed(left_units(q));
    const ABlock a = left_rows(packed.data, q);
    QueryTile<T> tile(s, head, b, h);
    for (int64_t m = 0; m < count; m += tile_rows) {
        const int rows = static_cast<int>(lesser(tile_rows, count - m));
        tile.attend(i + m, LeftTile{a.data + m / tile_rows * a.tile, a.row, a.step, rows});
    }
}

// All queries of one key/value head; long rows first where the triangle makes rows unequal.
template <typename T>
void attend_head(const AttentionArgs<T>& s, int64_t b, int64_t kv) {
    const AttentionOptions& o = s.options;
    const int64_t group = o.H / o.KV, blocks = round_up_div(o.Lq, query_block);
    const PackedHead<T> head(s, b, kv);
    parallel_for(blocks * group, 1, [&](int64_t task) {
        const int64_t i = (blocks - 1 - task / group) * query_block;
        attend_block(s, head, b, kv * group + task % group, i, lesser(query_block, o.Lq - i));
    });
}

template <typename T>
void attention(const AttentionArgs<T>& all) {
    AttentionArgs<T> s = all;
    AttentionOptions& o = s.options;
    if (o.causal) o.Lk = lesser(o.Lk, o.Lq);  // no query sees a later key
    const int64_t heads = o.B * o.KV;
    const int64_t group = o.H / greater(1, o.KV), blocks = group * round_up_div(o.Lq, query_block);
    const int64_t flops = 2 * group * o.Lq * o.Lk * (o.D + o.Dv);
    const auto run = [&](int64_t head) { attend_head(s, head / o.KV, head % o.KV); };
    if (heads >= lesser(many_heads, blocks) || flops < task_flops)  // loops inside run inline
        return parallel_for(heads, task_flops / greater(1, flops), run);
    for (int64_t head = 0; head < heads; ++head) run(head);
}
PF_INSTANTIATE(attention, AttentionArgs)

}  // namespace plainformer::PF_ISA
