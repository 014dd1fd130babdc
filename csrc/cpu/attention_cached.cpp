// Attention of few queries to a cache of keys. Formula and shapes: plainformer/attention.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// Memory sets the pace, so K and V are read once, where they stand, by all queries that need them.
// A task takes 256 keys of a few neighboring heads, whose rows lie side by side, and walks along
// the cache a register of keys at a time: dot products, softmax of the chunk, then its part of O.
// What it leaves, a maximum, a sum and O for each query, is merged in the order of the keys. A
// query's bytes depend on nothing but the query and its own row of the cache.
#include "plainformer/attention.h"

#include "attention_products.h"
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

namespace {

constexpr int64_t chunk_keys = strip_keys;

// What is known of one query after one chunk: O is the sum of exp2(score - largest) V.
template <typename A>
struct Partial {
    A* data;  // largest, sum, O (Dv)
    static int64_t size(int64_t Dv) { return Dv + 2; }
    A& largest() const { return data[0]; }
    A& sum() const { return data[1]; }
    A* values() const { return data + 2; }
};

// The chunks of all sequences, and what each leaves for each query.
template <typename T>
class Chunks {
  public:
    explicit Chunks(const CachedAttentionArgs<T>& s)
        : s_(s),
          o_(s.options),
          first_(o_.B + 1),
          partials_(count_chunks() * queries() * Partial<acc_t<T>>::size(o_.Dv)) {}

    int64_t count() const { return first_.data[o_.B]; }
    // Chunks of sequence b are [begin(b), begin(b + 1)).
    int64_t begin(int64_t b) const { return first_.data[b]; }
    int64_t sequence_of_chunk(int64_t chunk) const {
        int64_t low = 0, high = o_.B;  // begin(low) <= chunk < begin(high)
        while (high - low > 1) {
            const int64_t middle = (low + high) / 2;
            (begin(middle) <= chunk ? low : high) = middle;
        }
        return low;
    }
    Sequence sequence(int64_t b) const {
        return with_window(Sequence{b, b, b, o_.q_rows.length, s_.lengths[b], 0, 0}, o_.window);
    }
    int64_t first_key(const Sequence& sequence) const {
        return sequence.keys_of(0, sequence.Lq).begin / chunk_keys * chunk_keys;
    }
    // query: h Lq + i
    Partial<acc_t<T>> partial(int64_t chunk, int64_t query) const {
        return {partials_.data + (chunk * queries() + query) * Partial<acc_t<T>>::size(o_.Dv)};
    }
    int64_t queries() const { return o_.H * o_.q_rows.length; }

  private:
    int64_t count_chunks() {
        first_.data[0] = 0;
        for (int64_t b = 0; b < o_.B; ++b) {
            const Sequence s = sequence(b);
            const KeyRange seen = s.keys_of(0, s.Lq);
            const int64_t chunks = seen.empty() ? 0 : ceil_div(seen.end - first_key(s), chunk_keys);
            first_.data[b + 1] = first_.data[b] + chunks;
        }
        return first_.data[o_.B];
    }

    const CachedAttentionArgs<T>& s_;
    const AttentionOptions& o_;
    Scratch<int64_t> first_;
    Scratch<acc_t<T>> partials_;
};

// Some neighboring heads of one chunk, for some of their queries at a time. Queries of a key/value
// head are rows: row r is query r % Lq of its r / Lq-th query head.
template <typename T>
class ChunkHeads {
  public:
    ChunkHeads(const CachedAttentionArgs<T>& s, int64_t heads)
        : s_(s),
          o_(s.options),
          group_(o_.H / o_.KV),
          width_(round_up(o_.Dv, lanes<T>)),
          additions_(o_),
          dropout_(o_.dropout),
          scale_(o_),
          scores_(heads * cached_rows * chunk_keys),
          sums_(heads * cached_rows * width_) {}

    // Keys [key, key + chunk_keys) of heads [kv, kv + heads).
    void run(const Chunks<T>& chunks, int64_t chunk, const Sequence& sequence, int64_t key,
             int64_t kv, int64_t heads) {
        sequence_ = sequence, key_ = key, kv_ = kv, heads_ = heads;
        const int64_t rows = group_ * sequence.Lq;
        for (first_row_ = 0; first_row_ < rows; first_row_ += cached_rows) {
            rows_ = least(cached_rows, rows - first_row_);
            run_rows();
            for_rows([&](int64_t head, int64_t r, int64_t i) {
                keep(chunks.partial(chunk, query_head(head, r) * sequence.Lq + i), head, r);
            });
        }
    }

  private:
    void run_rows() {
        seen_ = {chunk_keys, 0}, unequal_ = o_.mask.kind != MaskKind::none;
        for (int64_t r = 0; r < rows_; ++r) {
            const KeyRange seen = seen_by((first_row_ + r) % sequence_.Lq);
            unequal_ |=
                seen.empty() || (r > 0 && (seen.begin != seen_.begin || seen.end != seen_.end));
            if (!seen.empty())
                seen_ = {least(seen_.begin, seen.begin), greatest(seen_.end, seen.end)};
        }
        if (!seen_.empty()) multiply_keys();
        for_rows([&](int64_t head, int64_t r, int64_t i) { take_row(head, r, i); });
        __builtin_memset(sums_.data, 0, sizeof(acc_t<T>) * heads_ * cached_rows * width_);
        if (!seen_.empty()) multiply_values();
    }

    KeyRange seen_by(int64_t i) const { return within(sequence_.keys_of(i), key_, chunk_keys); }
    int64_t query_head(int64_t head, int64_t r) const {
        return (kv_ + head) * group_ + (first_row_ + r) / sequence_.Lq;
    }
    acc_t<T>* scores(int64_t head, int64_t r) const {
        return scores_.data + (head * cached_rows + r) * chunk_keys;
    }
    acc_t<T>* sums(int64_t head, int64_t r) const {
        return sums_.data + (head * cached_rows + r) * width_;
    }
    const T* rows_at(const HeadsView<T>& x, int64_t head, int64_t j) const {
        return row_at(x, sequence_.k, kv_ + head, key_ + j);
    }
    template <typename F>
    PF_INLINE void for_rows(const F& f) {
        for (int64_t head = 0; head < heads_; ++head)
            for (int64_t r = 0; r < rows_; ++r) f(head, r, (first_row_ + r) % sequence_.Lq);
    }

    // Asks for the next register's number of rows, so that memory works while several queries
    // compute. Inline by force: GCC drops calls of a function that does nothing but prefetch.
    PF_INLINE void fetch(const HeadsView<T>& x, int64_t head, int64_t j, int64_t width) const {
        constexpr int64_t line = cache_line / static_cast<int64_t>(sizeof(T));
        const int64_t end = least(seen_.end, j + lanes<T>);
        for (; j < end; ++j)
            for (int64_t c = 0; c < width; c += line) __builtin_prefetch(rows_at(x, head, j) + c);
    }

    // Raw scores, a register of keys of all heads at a time: along the cache.
    void multiply_keys() {
        const T* q[cached_heads * cached_rows];
        for_rows([&](int64_t head, int64_t r, int64_t i) {
            q[head * rows_ + r] = row_at(s_.q, sequence_.q, query_head(head, r), i);
        });
        for (int64_t j = seen_.begin / lanes<T> * lanes<T>; j < seen_.end; j += lanes<T>) {
            const int64_t count = least(lanes<T>, sequence_.Lk - key_ - j);
            for (int64_t head = 0; head < heads_; ++head) {
                fetch(s_.k, head, j + lanes<T>, o_.D);
                multiply_queries(scores(head, 0) + j, chunk_keys, q + head * rows_, rows_,
                                 rows_at(s_.k, head, j), s_.k.row, count, o_.D);
            }
        }
    }

    // Probabilities in place of scores: 0 for keys that the row does not see.
    void take_row(int64_t head, int64_t r, int64_t i) {
        const KeyRange seen = seen_by(i);
        clear_around<T>(scores(head, r), seen_.begin / lanes<T> * lanes<T>, seen_.end, seen);
        softmax_[head * cached_rows + r] = RowSoftmax<T>();
        if (seen.empty()) return;
        additions_.start(sequence_, query_head(head, r));
        const acc_t<T>* additions = additions_.row(i, key_, least(chunk_keys, sequence_.Lk - key_));
        softmax_[head * cached_rows + r].take(scores(head, r), scores(head, r), seen, scale_,
                                              additions, dropout_);
    }

    // O += P V, a register's number of keys of all heads at a time.
    void multiply_values() {
        for (int64_t j = seen_.begin; j < seen_.end;) {
            const int64_t end = least(seen_.end, (j / lanes<T> + 1) * lanes<T>);
            for (int64_t head = 0; head < heads_; ++head) {
                fetch(s_.v, head, end, o_.Dv);
                const HeadRows<T> v{rows_at(s_.v, head, j), s_.v.row, end - j, o_.Dv};
                const Weights<acc_t<T>> p{scores(head, 0) + j, chunk_keys, rows_};
                if (unequal_ && !all_finite(v))
                    add_seen_products(sums(head, 0), width_, p, v);
                else
                    add_weighted_rows(sums(head, 0), width_, p, v);
            }
            j = end;
        }
    }

    void keep(const Partial<acc_t<T>>& to, int64_t head, int64_t r) {
        const RowSoftmax<T>& softmax = softmax_[head * cached_rows + r];
        to.largest() = softmax.largest, to.sum() = softmax.sum;
        __builtin_memcpy(to.values(), sums(head, r), sizeof(acc_t<T>) * o_.Dv);
    }

    const CachedAttentionArgs<T>& s_;
    const AttentionOptions& o_;
    const int64_t group_, width_;
    Sequence sequence_{};
    int64_t key_ = 0, kv_ = 0, heads_ = 0, first_row_ = 0, rows_ = 0;
    KeyRange seen_{};       // by any row, counted from key_
    bool unequal_ = false;  // some row may not see what another one sees
    Additions<T> additions_;
    DropoutRow dropout_;
    const ScoreScale<T> scale_;
    RowSoftmax<T> softmax_[cached_heads * cached_rows];
    Scratch<acc_t<T>> scores_, sums_;
};

// O of one query from its chunks, in order.
template <typename T>
void merge_query(const CachedAttentionArgs<T>& s, const Chunks<T>& chunks, int64_t b,
                 int64_t query) {
    const AttentionOptions& o = s.options;
    const int64_t first = chunks.begin(b), end = chunks.begin(b + 1);
    acc_t<T> largest = lowest<T>, sum = 0;
    for (int64_t n = first; n < end; ++n)
        largest = larger(largest, chunks.partial(n, query).largest());
    const acc_t<T> shift = largest == lowest<T> ? 0 : largest;  // -inf - -inf is NaN
    alignas(64) acc_t<T> O[widest_head];
    __builtin_memset(O, 0, sizeof(acc_t<T>) * o.Dv);
    for (int64_t n = first; n < end; ++n) {
        const Partial<acc_t<T>> part = chunks.partial(n, query);
        const acc_t<T> factor = first_lane(exp2_or_zero(VecOf<T>(part.largest() - shift)));
        sum += part.sum() * factor;
        for_lanes<T>(o.Dv, [&](int64_t c, auto tail) {
            const VecOf<T> x = load(part.values() + c, tail), y = load(O + c, tail);
            store(O + c, tail, fma(x, VecOf<T>(factor), y));
        });
    }
    const VecOf<T> factor(sum == 0 ? 0 : 1 / sum);
    T* out = row_at(s.out, b, query / o.q_rows.length, query % o.q_rows.length);
    for_lanes<T>(o.Dv,
                 [&](int64_t c, auto tail) { store(out + c, tail, load(O + c, tail) * factor); });
}

// New keys and values to the ends of their rows of the cache.
template <typename T>
void append(const CachedAttentionArgs<T>& s, int64_t b) {
    const AttentionOptions& o = s.options;
    for (int64_t i = 0; i < o.q_rows.length; ++i)
        for (int64_t kv = 0; kv < o.KV; ++kv) {
            const int64_t place = s.lengths[b] - o.q_rows.length + i;
            __builtin_memcpy(row_at(s.k, b, kv, place), row_at(s.new_k, b, kv, i), sizeof(T) * o.D);
            __builtin_memcpy(row_at(s.v, b, kv, place), row_at(s.new_v, b, kv, i),
                             sizeof(T) * o.Dv);
        }
}

}  // namespace

template <typename T>
void cached_attention(const CachedAttentionArgs<T>& s) {
    const AttentionOptions& o = s.options;
    const int64_t row_bytes = (o.D + o.Dv) * static_cast<int64_t>(sizeof(T));
    if (s.new_k.data)
        parallel_for(o.B, cached_task_bytes / greatest(1, o.KV * o.q_rows.length * row_bytes),
                     [&](int64_t b) { append(s, b); });
    const Chunks<T> chunks(s);
    // Runs of heads side by side in memory, but not so long that threads go without: who takes what
    // changes no byte.
    const int64_t share = greatest(1, chunks.count() * o.KV / threads_of_loops());
    const int64_t most =
        least(share, least(cached_heads, ceil_div(2 * cached_run_bytes, row_bytes)));
    const int64_t runs = ceil_div(o.KV, most), heads = ceil_div(o.KV, greatest(1, runs));
    parallel_for(
        chunks.count() * runs, cached_task_bytes / (chunk_keys * greatest(1, heads) * row_bytes),
        [&](int64_t task) {
            const int64_t chunk = task / runs, kv = task % runs * heads;
            const int64_t b = chunks.sequence_of_chunk(chunk);
            const Sequence sequence = chunks.sequence(b);
            const int64_t key = chunks.first_key(sequence) + (chunk - chunks.begin(b)) * chunk_keys;
            ChunkHeads<T>(s, heads).run(chunks, chunk, sequence, key, kv, least(heads, o.KV - kv));
        });
    const int64_t queries = chunks.queries();
    const int64_t merged = o.Dv * greatest(1, chunks.count() / greatest(1, o.B));
    parallel_for(o.B * queries, light_task_elements / merged,
                 [&](int64_t n) { merge_query(s, chunks, n / queries, n % queries); });
}
PF_INSTANTIATE(cached_attention, CachedAttentionArgs)

}  // namespace plainformer::PF_ISA
