// K^T and V of key/value heads, packed once for all queries that read them: a head at a time, or
// all heads of a wave by all threads.
#pragma once
#include "attention_operands.h"
#include "attention_plan.h"
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

// One head, of the keys that any query sees, from the strip of the first of them on. It is packed
// in parts, of a strip each.
template <typename T>
class PackedHead {
  public:
    // Of the memory of a head of `keys` keys, whole cache lines: a byte for each part is behind the
    // panels.
    static int64_t units(const AttentionOptions& o, int64_t keys) {
        const int64_t flags = ceil_div(ceil_div(keys, strip_keys), unit_bytes);
        return round_up(panel_units(o, keys) + flags, cache_line / unit_bytes);
    }

    PackedHead(const AttentionArgs<T>& s, const Sequence& sequence, int64_t kv, unit_t<T>* memory) {
        const AttentionOptions& o = s.options;
        const KeyRange seen = sequence.keys_of(0, sequence.Lq);
        first_ = seen.empty() ? 0 : seen.begin / strip_keys * strip_keys;
        const int64_t count = seen.empty() ? 0 : seen.end - first_;
        k_ = rows_of(s.k, sequence.k, kv, sequence.Lk, o.D).part(first_, count);
        v_ = rows_of(s.v, sequence.k, kv, sequence.Lk, o.Dv).part(first_, count);
        keys_ = {memory, units_of<T>(o.D), count};
        values_ = {memory + Panels<T>::units(o.D, count), units_of<T>(count), o.Dv};
        finite_ = reinterpret_cast<bool*>(memory + panel_units(o, count));
    }

    int64_t parts() const { return ceil_div(k_.count, strip_keys); }

    void pack(int64_t part) {
        const int64_t first = part * strip_keys, count = least(strip_keys, k_.count - first);
        pack_transposed(keys_.panel(first / panel_columns<T>), k_.part(first, count));
        finite_[part] = pack_finite(values_, first / unit_elements<T>, v_.part(first, count));
    }

    int64_t first() const { return first_; }             // key of the first column and row
    const Panels<T>& keys() const { return keys_; }      // K^T (D, keys)
    const Panels<T>& values() const { return values_; }  // V (keys, Dv), finite
    // Whether the values of the strip that begins at `key` were.
    bool finite(int64_t key) const { return finite_[(key - first_) / strip_keys]; }
    HeadRows<T> original_value(int64_t key) const { return v_.part(key - first_, 1); }

  private:
    static constexpr int64_t unit_bytes = sizeof(unit_t<T>);
    static int64_t panel_units(const AttentionOptions& o, int64_t keys) {
        return Panels<T>::units(o.D, keys) + Panels<T>::units(keys, o.Dv);
    }

    int64_t first_;
    HeadRows<T> k_, v_;
    Panels<T> keys_, values_;
    bool* finite_;
};

// The heads that a wave shares out, packed by all threads.
template <typename T>
class PackedHeads {
  public:
    PackedHeads(const AttentionArgs<T>& s, const AttentionPlan& plan, const AttentionWave& wave)
        : count_(wave.end_shared - wave.first_shared),
          heads_(count_),
          memory_(measure(s.options, plan, wave)) {
        int64_t most = 0;
        unit_t<T>* memory = memory_.data;
        for (int64_t k = 0; k < count_; ++k) {
            const int64_t n = plan.shared_head(wave.first_shared + k);
            const Sequence sequence = plan.sequence(n);
            heads_.data[k] = PackedHead<T>(s, sequence, n % s.options.KV, memory);
            memory += PackedHead<T>::units(s.options, sequence.Lk);
            most = greatest(most, heads_.data[k].parts());
        }
        parallel_for(count_ * most, 1, [&](int64_t i) {
            PackedHead<T>& head = heads_.data[i / most];
            if (i % most < head.parts()) head.pack(i % most);
        });
    }

    const PackedHead<T>& head(int64_t place) const { return heads_.data[place]; }

  private:
    static int64_t measure(const AttentionOptions& o, const AttentionPlan& plan,
                           const AttentionWave& wave) {
        int64_t units = 0;
        for (int64_t k = wave.first_shared; k < wave.end_shared; ++k)
            units += PackedHead<T>::units(o, plan.sequence(plan.shared_head(k)).Lk);
        return units;
    }

    const int64_t count_;
    Scratch<PackedHead<T>> heads_;
    Scratch<unit_t<T>> memory_;
};

}  // namespace plainformer::PF_ISA
