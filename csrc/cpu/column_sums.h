// Sums over rows, column by column, in ascending order of rows: gradients of biases, of norms and
// of embeddings.
//
// Down one register of columns, each row is another page: 64 bytes of it are fetched, late, and the
// sum waits for each. So rows are walked from end to end and their sums stay in L1: four rows side
// by side, or one where they come from memory, whose prefetching likes one stream best
// (docs/notes/pointwise.md).
#pragma once
#include "isa/rows.h"  // for_lanes_in_parts, Reach
#include "isa/vec.h"
#include "plainformer/arith.h"
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

// sums (C) += rows [begin, end) of C elements, row(r) the first element of each.
template <typename T, typename Row>
PF_INLINE void add_rows(acc_t<T>* sums, int64_t C, int64_t begin, int64_t end, Reach reach,
                        const Row& row) {
    int64_t r = begin;
    for (; reach != Reach::past && r + 4 <= end; r += 4) {
        const T *a = row(r), *b = row(r + 1), *c = row(r + 2), *d = row(r + 3);
        for_lanes_in_parts<T, 1>(C, reach, [&](int64_t i, int, auto tail) {
            const auto two = (load(sums + i, tail) + load(a + i, tail)) + load(b + i, tail);
            store(sums + i, tail, (two + load(c + i, tail)) + load(d + i, tail));
        });
    }
    for (; r < end; ++r) {
        const T* a = row(r);
        for_lanes_in_parts<T, 1>(C, reach, [&](int64_t i, int, auto tail) {
            store(sums + i, tail, load(sums + i, tail) + load(a + i, tail));
        });
    }
}

// The sum of sum_rows for at most three rows, in registers.
template <typename T, typename Out, typename Row>
PF_INLINE void sum_few_rows(Out* out, bool onto_out, int64_t C, int64_t count, const Row& row) {
    const T* rows[3];
    for (int64_t r = 0; r < count; ++r) rows[r] = row(r);
    for_lanes<T>(C, [&](int64_t c, auto tail) {
        VecOf<T> sum = onto_out ? load(out + c, tail) : VecOf<T>(acc_t<T>(0));
        for (int64_t r = 0; r < count; ++r) sum = sum + load(rows[r] + c, tail);
        store(out + c, tail, sum);
    });
}

// out (C) = the sum of rows [0, count) of C elements of T, row(r) the first element of each, after
// what is in out if asked. It is rounded once.
template <typename T, typename Out, typename Row>
void sum_rows(Out* out, bool onto_out, int64_t C, int64_t count, Reach reach, const Row& row) {
    using A = acc_t<T>;
    if (count < 4) return sum_few_rows<T>(out, onto_out, C, count, row);
    alignas(64) A sums[summed_columns];
    for (int64_t begin = 0; begin < C; begin += summed_columns) {
        const int64_t size = least(C - begin, summed_columns);
        for_lanes<T>(size, [&](int64_t c, auto tail) {
            store(sums + c, tail, onto_out ? load(out + begin + c, tail) : Vec<A>(A(0)));
        });
        add_rows<T>(sums, size, 0, count, reach, [&](int64_t r) { return row(r) + begin; });
        for_lanes<T>(size, [&](int64_t c, auto tail) {
            store(out + begin + c, tail, load(sums + c, tail));
        });
    }
}

// total (C) = the partial rows (count, C) added in order.
template <typename A, typename Out>
void sum_partial_rows(Out* total, const A* partial, int64_t count, int64_t C) {
    parallel_for(ceil_div(C, summed_columns), 1, [&](int64_t task) {
        const int64_t begin = task * summed_columns;
        sum_rows<A>(total + begin, false, least(C - begin, summed_columns), count, Reach::near,
                    [&](int64_t r) { return partial + r * C + begin; });
    });
}

}  // namespace plainformer::PF_ISA
