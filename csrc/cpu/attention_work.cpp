#include "attention_work.h"

namespace plainformer {

namespace {

int64_t group_of(const AttentionOptions& o) { return o.H / greatest(1, o.KV); }

// Of a range of rows whose number of pairs rises or falls steadily.
int64_t pairs_between(const KeyRange& first, const KeyRange& last, int64_t count) {
    const int64_t sum = greatest(0, first.end - first.begin) + greatest(0, last.end - last.begin);
    return count * sum / 2;
}

int64_t pairs_of_block(const AttentionOptions& o, const Sequence& s, int64_t n) {
    const QueryBlock block = query_block_of(o, s, n);
    return pairs_between(s.keys_of(block.first), s.keys_of(block.first + block.count - 1),
                         block.count) /
           group_of(o);
}

int64_t packed_bytes(const AttentionOptions& o, const Sequence& s) {
    return s.Lk * (o.D + o.Dv) * static_cast<int64_t>(sizeof(float));
}

int64_t pairs_of_part(const AttentionOptions& o, const Sequence& s, int64_t part) {
    const KeyParts parts = parts_of(o, s);
    const int64_t first = parts.first(part), keys = parts.keys(part, s);
    return pairs_between(s.rows_of(first), s.rows_of(first + keys - 1), keys);
}

int64_t count_parts(const AttentionOptions& o, const Sequence& s) { return parts_of(o, s).count; }

int64_t part_bytes(const AttentionOptions& o, const Sequence& s) {
    return part_sums(o, s) * static_cast<int64_t>(sizeof(float));
}

// Blocks of keys, or several of them: what the products of a block are good at.
int64_t part_width(int64_t keys) {
    constexpr int64_t whole = 192;
    if (keys <= whole / 4) return whole / 4;
    if (keys <= whole / 2) return whole / 2;
    return round_up(keys, whole);
}

}  // namespace

HeadWork attention_work(const AttentionOptions& o) {
    return {2 * group_of(o) * (o.D + o.Dv), query_blocks, pairs_of_block, packed_bytes};
}

HeadWork attention_backward_work(const AttentionOptions& o) {
    return {4 * group_of(o) * (o.D + o.Dv), count_parts, pairs_of_part, part_bytes};
}

int64_t query_blocks(const AttentionOptions& o, const Sequence& s) {
    return group_of(o) * ceil_div(s.Lq, query_block);
}

QueryBlock query_block_of(const AttentionOptions& o, const Sequence& s, int64_t n) {
    const int64_t group = group_of(o), blocks = ceil_div(s.Lq, query_block);
    const int64_t first = (blocks - 1 - n / group) * query_block;
    return {n % group, first, least(query_block, s.Lq - first)};
}

KeyParts parts_of(const AttentionOptions& o, const Sequence& s) {
    const int64_t flops = attention_backward_work(o).flops * pairs_of(s);
    if (flops < shared_head_flops) return {greatest(1, s.Lk), 1};
    const int64_t bytes = group_of(o) * s.Lq * o.D * static_cast<int64_t>(sizeof(float));
    const int64_t fitting = greatest(few_head_parts, head_parts_bytes / greatest(1, bytes));
    const int64_t wanted = least(ceil_div(sequence_parts, o.KV), flops / head_part_flops);
    const int64_t width = part_width(ceil_div(s.Lk, greatest(1, least(fitting, wanted))));
    return {width, ceil_div(s.Lk, width)};
}

KeyRange rows_of_part(const Sequence& s, const KeyParts& parts, int64_t part) {
    const KeyRange rows = s.rows_of(parts.first(part), parts.keys(part, s));
    if (rows.empty()) return {0, 0};
    return {rows.begin / dq_tile * dq_tile, least(s.Lq, round_up(rows.end, dq_tile))};
}

int64_t part_sums(const AttentionOptions& o, const Sequence& s) {
    const KeyParts parts = parts_of(o, s);
    int64_t rows = 0;
    for (int64_t part = 0; part < parts.count; ++part) {
        const KeyRange range = rows_of_part(s, parts, part);
        rows += range.end - range.begin;
    }
    return group_of(o) * rows * o.D;
}

}  // namespace plainformer
