// Where dQ is summed up. A head's dQ is the sum of parts of its keys, in their order: each a chain
// of multiply-adds from 0. Threads that share a head have a part's sums in memory of its own; one
// that has the head to itself adds each part to dQ as it ends. The bytes are the same.
#pragma once
#include "attention_operands.h"
#include "attention_plan.h"

namespace plainformer::PF_ISA {

static_assert(dq_tile == tile_rows, "rows of a part are whole tiles");

// dQ of the query heads of one key/value head: (group, Lq, D). `data` is where row 0 of the first
// would be.
template <typename A>
struct QueryGradient {
    A* data;
    int64_t head, row;  // strides in elements

    PF_INLINE A* at(int64_t g, int64_t i) const { return data + g * head + i * row; }
};

// f(head of the group, row) for rows [rows.begin, rows.end) of all heads of a group.
template <typename F>
PF_INLINE void for_group_rows(int64_t group, KeyRange rows, const F& f) {
    for (int64_t g = 0; g < group; ++g)
        for (int64_t i = rows.begin; i < rows.end; ++i) f(g, i);
}

template <typename A>
void clear_rows(const QueryGradient<A>& dq, int64_t group, KeyRange rows, int64_t D) {
    for_group_rows(group, rows,
                   [&](int64_t g, int64_t i) { __builtin_memset(dq.at(g, i), 0, sizeof(A) * D); });
}

// to += from
template <typename A>
void add_rows(const QueryGradient<A>& to, const QueryGradient<A>& from, int64_t group,
              KeyRange rows, int64_t D) {
    for_group_rows(group, rows, [&](int64_t g, int64_t i) {
        A *sum = to.at(g, i), *x = from.at(g, i);
        for_lanes<A>(D, [&](int64_t c, auto tail) {
            store(sum + c, tail, load(sum + c, tail) + load(x + c, tail));
        });
    });
}

// Rows of one query head's dQ, rounded.
template <typename T>
void store_rows(const HeadsView<T>& to, const Sequence& s, int64_t h,
                const QueryGradient<acc_t<T>>& from, KeyRange rows, int64_t D) {
    for (int64_t i = rows.begin; i < rows.end; ++i) {
        T* row = row_at(to, s.q, h, i);
        for_lanes<T>(
            D, [&](int64_t c, auto tail) { store(row + c, tail, load(from.at(0, i) + c, tail)); });
    }
}

// Sums of all parts of the heads that a wave shares out.
template <typename T>
class PartSums {
  public:
    PartSums(const AttentionBackwardArgs<T>& s, const AttentionPlan& plan,
             const AttentionWave& wave)
        : s_(s),
          o_(s.options),
          plan_(plan),
          first_(wave.first_shared),
          count_(wave.end_shared - wave.first_shared),
          starts_(count_ + 1),
          sums_(measure()) {}

    // Where a part of a head sums up its share, cleared.
    QueryGradient<acc_t<T>> begin(int64_t place, int64_t part) const {
        QueryGradient<acc_t<T>> mine{};
        for_parts(place, [&](int64_t n, KeyRange rows, const QueryGradient<acc_t<T>>& sums) {
            if (n != part) return;
            mine = sums;
            clear_rows(mine, group(), rows, o_.D);
        });
        return mine;
    }

    // dQ of all heads: the sums of their parts, in order.
    void store_all() const {
        int64_t most = 0;
        for (int64_t place = 0; place < count_; ++place)
            most = greatest(most, query_blocks(o_, sequence(place)));
        parallel_for(count_ * most, 1, [&](int64_t n) {
            const int64_t place = n / most, block = n % most;
            if (block < query_blocks(o_, sequence(place))) store_block(place, block);
        });
    }

  private:
    int64_t group() const { return o_.H / o_.KV; }
    int64_t head(int64_t place) const { return plan_.shared_head(first_ + place); }
    Sequence sequence(int64_t place) const { return plan_.sequence(head(place)); }

    int64_t measure() {
        starts_.data[0] = 0;
        for (int64_t place = 0; place < count_; ++place)
            starts_.data[place + 1] = starts_.data[place] + part_sums(o_, sequence(place));
        return starts_.data[count_];
    }

    // f(part, its rows, its sums) for all parts of a head.
    template <typename F>
    void for_parts(int64_t place, const F& f) const {
        const Sequence s = sequence(place);
        const KeyParts parts = parts_of(o_, s);
        acc_t<T>* data = sums_.data + starts_.data[place];
        for (int64_t part = 0; part < parts.count; ++part) {
            const KeyRange rows = rows_of_part(s, parts, part);
            const int64_t size = (rows.end - rows.begin) * o_.D;
            f(part, rows, QueryGradient<acc_t<T>>{data - rows.begin * o_.D, size, o_.D});
            data += group() * size;
        }
    }

    void store_block(int64_t place, int64_t n) const {
        const Sequence s = sequence(place);
        const QueryBlock block = query_block_of(o_, s, n);
        const KeyRange rows{block.first, block.first + block.count};
        Scratch<acc_t<T>> memory(query_block * o_.D);
        const QueryGradient<acc_t<T>> total{memory.data - rows.begin * o_.D, 0, o_.D};
        clear_rows(total, 1, rows, o_.D);
        for_parts(place, [&](int64_t, KeyRange of_part, const QueryGradient<acc_t<T>>& sums) {
            const KeyRange both{greatest(rows.begin, of_part.begin), least(rows.end, of_part.end)};
            add_rows(total, {sums.at(block.head, 0), 0, o_.D}, 1, both, o_.D);
        });
        store_rows(s_.dq, s, head(place) % o_.KV * group() + block.head, total, rows, o_.D);
    }

    const AttentionBackwardArgs<T>& s_;
    const AttentionOptions& o_;
    const AttentionPlan& plan_;
    const int64_t first_, count_;
    Scratch<int64_t> starts_;
    Scratch<acc_t<T>> sums_;
};

}  // namespace plainformer::PF_ISA
