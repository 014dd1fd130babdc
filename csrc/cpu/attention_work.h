// Into what the work on a key/value head can be shared out: blocks of queries in the forward, parts
// of the keys in the backward. Functions of a head's own sequence alone.
#pragma once
#include "plainformer/attention_sequence.h"
#include "tuning.h"

namespace plainformer {

// What a kernel says of its heads.
struct HeadWork {
    int64_t flops;  // of one key/value head, for a pair of query and key
    // Into how many pieces a head can be shared out, how many pairs one of them has (of one query
    // head, on average), and what memory a head takes while it is.
    int64_t (*pieces)(const AttentionOptions&, const Sequence&);
    int64_t (*pairs)(const AttentionOptions&, const Sequence&, int64_t piece);
    int64_t (*bytes)(const AttentionOptions&, const Sequence&);
};

HeadWork attention_work(const AttentionOptions& o);
HeadWork attention_backward_work(const AttentionOptions& o);

// Queries of one of the query heads of a key/value head. Long rows come first where the triangle
// makes rows unequal.
struct QueryBlock {
    int64_t head, first, count;
};
int64_t query_blocks(const AttentionOptions& o, const Sequence& s);
QueryBlock query_block_of(const AttentionOptions& o, const Sequence& s, int64_t n);

// dQ is the sum of what parts of the keys add to it, part after part: so parts may be summed up
// at the same time, and the bytes are those of one after the other.
struct KeyParts {
    int64_t width, count;
    int64_t first(int64_t part) const { return part * width; }
    int64_t keys(int64_t part, const Sequence& s) const {
        return least(width, s.Lk - part * width);
    }
};
KeyParts parts_of(const AttentionOptions& o, const Sequence& s);

constexpr int64_t dq_tile = 6;  // rows of the register tile, at every level

// Rows of queries, whole tiles, to whose dQ a part may add.
KeyRange rows_of_part(const Sequence& s, const KeyParts& parts, int64_t part);
// What dQ of a head takes in all parts, in numbers.
int64_t part_sums(const AttentionOptions& o, const Sequence& s);

}  // namespace plainformer
