// One sequence of a batch on the device: where its rows are, which tiles of keys its rows see, and
// which of these tiles need no look at the single pairs.
#pragma once
#include "device.cuh"
#include "plainformer/attention_sequence.h"

namespace plainformer::cuda {

// Places within a sequence are 32-bit numbers, which leaves registers to the sums. Sums of three
// such lengths fit; launchers refuse more.
constexpr int64_t longest_sequence = int64_t{1} << 29;

using Sequence = SequenceOf<int32_t>;
using KeyRange = KeyRangeOf<int32_t>;

// Sequence b. The starts of packed ones are checked copies (check_values.h), and so are `lengths`,
// the keys of each sequence in a cache, or null.
__device__ __forceinline__ Sequence sequence_at(const AttentionOptions& o, int64_t b,
                                                const int32_t* lengths = nullptr) {
    Sequence s{b, b, b, static_cast<int>(o.q_rows.length), static_cast<int>(o.k_rows.length), 0, 0};
    if (o.q_rows.starts) {
        const int32_t *q = o.q_rows.starts + b, *k = o.k_rows.starts + b;
        s.q = q[0], s.Lq = q[1] - q[0];
        s.k = k[0], s.Lk = k[1] - k[0];
    }
    if (lengths) s.Lk = lengths[b];
    return with_window(s, o.window);
}

// Row l of head h of the sequence that begins at `start`.
template <typename T>
PF_INLINE T* row_at(const HeadsView<T>& x, int64_t start, int64_t h, int64_t l) {
    return x.data + start * x.batch + h * x.head + l * x.row;
}

// ---- blocks -------------------------------------------------------------------------------------

// How the blocks of a launch divide the queries: tiles of the longest sequence, of every head, of
// the sequences from the first of this launch on.
struct QueryTiles {
    unsigned tiles;
    int64_t first_sequence;
    const int32_t* lengths;  // of cached keys; null where there is no cache
};

// Where a block works.
struct QueryPlace {
    Sequence sequence;
    int64_t h;
    int first;  // query

    // Of a sequence that is shorter than the longest.
    PF_INLINE bool is_empty() const { return first >= sequence.Lq; }
};

// Blocks of one head are neighbours, since they read the same keys, and go from the last queries to
// the first, since under a triangle the last take longest.
__device__ __forceinline__ QueryPlace query_place(const AttentionOptions& o,
                                                  const QueryTiles& division, int queries) {
    const unsigned tile = division.tiles - 1 - blockIdx.x % division.tiles;
    const unsigned head = blockIdx.x / division.tiles, H = static_cast<unsigned>(o.H);
    return {sequence_at(o, division.first_sequence + head / H, division.lengths), head % H,
            static_cast<int>(tile) * queries};
}

// ---- tiles --------------------------------------------------------------------------------------

// The pieces that hold some of a range which is cut at multiples of `size`.
PF_INLINE KeyRange tiles_of(KeyRange range, int size) {
    if (range.empty()) return {0, 0};
    return {range.begin / size, (range.end - 1) / size + 1};
}

// Whether each of rows [i, i + rows) sees each of keys [key, key + keys), so that nothing in the
// tile has to be hidden. Rows beyond the last count: what they compute is dropped anyway.
PF_INLINE bool sees_all(const Sequence& s, int i, int rows, int key, int keys) {
    return i + rows - 1 + s.low <= key && key + keys - 1 <= i + s.high && key + keys <= s.Lk;
}

// Whether row i sees key j; either may lie beyond the sequence, where nothing sees or is seen.
PF_INLINE bool sees(const Sequence& s, int i, int j) {
    return j >= i + s.low && j <= i + s.high && j < s.Lk && i < s.Lq;
}

// Keys [begin, end) of a tile, counted from its first.
struct TileRange {
    int begin, end;
    PF_INLINE bool has(int j) const { return j >= begin && j < end; }
};

// What row i sees of a tile of keys from `key`; of the other end of a pair nothing is asked.
PF_INLINE TileRange seen_in_tile(const Sequence& s, int i, int key) {
    const KeyRange seen = s.keys_of(i);
    return {seen.begin - key, seen.end - key};
}

// Which rows of a tile from row i see key j, for tiles that walk along the queries.
PF_INLINE TileRange seeing_in_tile(const Sequence& s, int j, int i) {
    if (j >= s.Lk) return {0, 0};
    const KeyRange seeing = s.rows_of(j);
    return {seeing.begin - i, seeing.end - i};
}

}  // namespace plainformer::cuda
