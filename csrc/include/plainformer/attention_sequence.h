// One sequence of a batch: where its rows are, and which keys each of them sees.
#pragma once
#include "plainformer/arith.h"
#include "plainformer/attention.h"

namespace plainformer {

// Keys [begin, end), empty where end <= begin.
template <typename Int>
struct KeyRangeOf {
    Int begin, end;
    PF_INLINE bool empty() const { return end <= begin; }
};

// Int: of places within the sequence. Kernels on a GPU, whose sequences are short enough for it,
// spend half the registers with int32_t.
template <typename Int>
struct SequenceOf {
    int64_t b;
    int64_t q, k;  // where it begins along the batch axis of arrays of queries, of keys
    Int Lq, Lk;
    Int low, high;  // row i sees keys i + low .. i + high

    // What any of rows [i, i + count) sees.
    PF_INLINE KeyRangeOf<Int> keys_of(Int i, Int count = 1) const {
        return {i + low > 0 ? i + low : 0, i + count + high < Lk ? i + count + high : Lk};
    }
    // Rows that see any of keys [j, j + count), as a range.
    PF_INLINE KeyRangeOf<Int> rows_of(Int j, Int count = 1) const {
        return {j - high > 0 ? j - high : 0, j + count - low < Lq ? j + count - low : Lq};
    }
};

using KeyRange = KeyRangeOf<int64_t>;
using Sequence = SequenceOf<int64_t>;

template <typename Int>
PF_INLINE SequenceOf<Int> with_window(SequenceOf<Int> s, const AttentionWindow& window) {
    const Int shift = window.bottom_right ? s.Lk - s.Lq : 0;
    const Int far = s.Lq + s.Lk;  // no key is farther from any row, shifted or not
    s.low = shift - (window.left < 0 ? far : static_cast<Int>(least(window.left, far)));
    s.high = shift + (window.right < 0 ? far : static_cast<Int>(least(window.right, far)));
    return s;
}

PF_INLINE Sequence sequence_of(const AttentionOptions& o, int64_t b) {
    Sequence s{b, b, b, o.q_rows.length, o.k_rows.length, 0, 0};
    if (o.q_rows.starts) {
        s.q = o.q_rows.starts[b], s.k = o.k_rows.starts[b];
        s.Lq = o.q_rows.starts[b + 1] - s.q, s.Lk = o.k_rows.starts[b + 1] - s.k;
    }
    return with_window(s, o.window);
}

// Products of a query and a key of one head that have to be formed; the triangle counts as a
// square.
PF_INLINE int64_t pairs_of(const Sequence& s) {
    const KeyRange keys = s.keys_of(0, s.Lq);
    return s.Lq * greatest(0, least(keys.end - keys.begin, s.high - s.low + 1));
}

}  // namespace plainformer
