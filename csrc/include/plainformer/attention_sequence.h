// One sequence of a batch: where its rows are, and which keys each of them sees.
#pragma once
#include "plainformer/arith.h"
#include "plainformer/attention.h"

namespace plainformer {

// Keys [begin, end), empty where end <= begin.
struct KeyRange {
    int64_t begin, end;
    PF_INLINE bool empty() const { return end <= begin; }
};

struct Sequence {
    int64_t b;
    int64_t q, k;  // where it begins along the batch axis of arrays of queries, of keys
    int64_t Lq, Lk;
    int64_t low, high;  // row i sees keys i + low .. i + high

    // What any of rows [i, i + count) sees.
    PF_INLINE KeyRange keys_of(int64_t i, int64_t count = 1) const {
        return {greatest(0, i + low), least(Lk, i + count + high)};
    }
    // Rows that see any of keys [j, j + count), as a range.
    PF_INLINE KeyRange rows_of(int64_t j, int64_t count = 1) const {
        return {greatest(0, j - high), least(Lq, j + count - low)};
    }
};

PF_INLINE Sequence with_window(Sequence s, const AttentionWindow& window) {
    const int64_t shift = window.bottom_right ? s.Lk - s.Lq : 0;
    const int64_t far = s.Lq + s.Lk;  // no key is farther from any row, shifted or not
    s.low = shift - (window.left < 0 ? far : least(window.left, far));
    s.high = shift + (window.right < 0 ? far : least(window.right, far));
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
