// One sequence of a batch on the device: where its rows are, which tiles of keys its rows see, and
// which of these tiles need no look at the single pairs.
#pragma once
#include "device.cuh"
#include "plainformer/attention_sequence.h"

namespace plainformer::cuda {

PF_INLINE int64_t clamped(int64_t x, int64_t low, int64_t high) {
    return least(greatest(x, low), high);
}

// Rows [begin, begin + length).
struct RowSpan {
    int64_t begin, length;
};

// Rows of sequence b. The starts are read where they lie, and a wrong one, which `check_starts`
// reports, becomes one that stays within the rows there are.
__device__ __forceinline__ RowSpan rows_of_sequence(const SequenceRows& rows, int64_t b) {
    if (!rows.starts) return {b, rows.length};
    const int64_t begin = clamped(rows.starts[b], 0, rows.rows);
    const int64_t most = least(rows.length, rows.rows - begin);
    return {begin, clamped(rows.starts[b + 1] - begin, 0, most)};
}

__device__ __forceinline__ Sequence sequence_at(const AttentionOptions& o, int64_t b) {
    const RowSpan q = rows_of_sequence(o.q_rows, b), k = rows_of_sequence(o.k_rows, b);
    return with_window({b, q.begin, k.begin, q.length, k.length, 0, 0}, o.window);
}

// Row l of head h of the sequence that begins at `start`.
template <typename T>
PF_INLINE T* row_at(const HeadsView<T>& x, int64_t start, int64_t h, int64_t l) {
    return x.data + start * x.batch + h * x.head + l * x.row;
}

// ---- tiles --------------------------------------------------------------------------------------

// Pieces [begin, end) of a range that is cut at multiples of `size`: those that hold some of it.
PF_INLINE KeyRange tiles_of(KeyRange range, int64_t size) {
    if (range.empty()) return {0, 0};
    return {range.begin / size, ceil_div(range.end, size)};
}

// Whether each of rows [i, i + rows) sees each of keys [key, key + keys), so that nothing in the
// tile has to be hidden. Rows beyond the last count: what they compute is dropped anyway.
PF_INLINE bool sees_all(const Sequence& s, int64_t i, int64_t rows, int64_t key, int64_t keys) {
    return i + rows - 1 + s.low <= key && key + keys - 1 <= i + s.high && key + keys <= s.Lk;
}

// Keys [begin, end) of a tile, counted from its first: small numbers, which cost little to compare.
struct TileRange {
    int begin, end;
    PF_INLINE bool has(int j) const { return j >= begin && j < end; }
};

// What row i sees of keys [key, key + keys).
PF_INLINE TileRange seen_in_tile(const Sequence& s, int64_t i, int64_t key, int keys) {
    const KeyRange seen = s.keys_of(i);
    return {static_cast<int>(clamped(seen.begin - key, 0, keys)),
            static_cast<int>(clamped(seen.end - key, 0, keys))};
}

// Which of rows [i, i + rows) see key j; for tiles that walk along the queries.
PF_INLINE TileRange seeing_in_tile(const Sequence& s, int64_t j, int64_t i, int rows) {
    if (j >= s.Lk) return {0, 0};
    const KeyRange seeing = s.rows_of(j);
    return {static_cast<int>(clamped(seeing.begin - i, 0, rows)),
            static_cast<int>(clamped(seeing.end - i, 0, rows))};
}

}  // namespace plainformer::cuda
