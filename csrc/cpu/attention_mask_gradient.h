// The gradient of an additive mask: dS, summed over the axes along which the mask is broadcast.
//
// A pass of its own, because those sums cross the heads that are tasks elsewhere: here a task owns
// a block of keys of the mask, or of keys and queries, and visits all that adds to it, in order.
#pragma once
#include "attention_block.h"

namespace plainformer::PF_ISA {

template <typename T>
class MaskGradient {
  public:
    // Keys [key, key + keys) of the mask of batch row mb and head mh.
    MaskGradient(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms, int64_t mb,
                 int64_t mh)
        : s_(s), o_(s.options), block_(s, terms, 1.0, Differential::after_cap), mb_(mb), mh_(mh) {}

    // Queries [first, end) of keys [key, key + keys); all queries where the mask has one row.
    void run(int64_t key, int64_t keys, int64_t first, int64_t end) {
        const int64_t rows = s_.mask_shape[2] == 1 ? 1 : end - first;
        const int64_t columns = s_.mask_shape[3] == 1 ? 1 : keys;
        Scratch<acc_t<T>> sums(rows * columns);
        __builtin_memset(sums.data, 0, sizeof(acc_t<T>) * rows * columns);
        first_ = first, end_ = end;
        for (int64_t b = 0; b < o_.B; ++b)
            for (int64_t h = 0; h < o_.H; ++h)
                if (belongs(b, h)) add_head(b, h, key, keys, sums.data, columns);
        const int64_t head = mb_ * s_.mask_shape[1] + mh_;
        const int64_t row = s_.mask_shape[2] == 1 ? 0 : first;
        T* to = s_.dmask + (head * s_.mask_shape[2] + row) * s_.mask_shape[3];
        for (int64_t i = 0; i < rows; ++i)
            for_lanes<T>(columns, [&](int64_t j, auto tail) {
                store(to + i * s_.mask_shape[3] + key + j, tail,
                      load(sums.data + i * columns + j, tail));
            });
    }

  private:
    bool belongs(int64_t b, int64_t h) const {
        return (s_.mask_shape[0] == 1 || b == mb_) && (s_.mask_shape[1] == 1 || h == mh_);
    }

    void add_head(int64_t b, int64_t h, int64_t key, int64_t keys, acc_t<T>* sums,
                  int64_t columns) {
        const Sequence sequence = sequence_of(o_, b);
        const int64_t end = s_.mask_shape[3] == 1 ? sequence.Lk : least(sequence.Lk, key + keys);
        for (int64_t j = key; j < end; j += block_keys) {
            const int64_t count = least(block_keys, end - j);
            const KeyRange seen = sequence.rows_of(j, count);
            const KeyRange rows{greatest(first_, seen.begin), least(end_, seen.end)};
            if (rows.empty()) continue;
            block_.set_keys(sequence, h / (o_.H / o_.KV), j, count);
            for (int64_t i = rows.begin / block_queries * block_queries; i < rows.end;
                 i += block_queries)
                add_block(h, i, least(block_queries, sequence.Lq - i), sums, columns);
        }
    }

    void add_block(int64_t h, int64_t i, int64_t count, acc_t<T>* sums, int64_t columns) {
        block_.compute(h, i, count, [&](int64_t m, int rows, KeyRange seen) {
            for (int r = 0; r < rows; ++r) {
                const int64_t row = s_.mask_shape[2] == 1 ? 0 : i + m + r - first_;
                add_row(sums + row * columns, block_.ds(m + r), seen.end, columns);
            }
        });
    }

    static void add_row(acc_t<T>* sums, const prob_t<T>* ds, int64_t seen, int64_t columns) {
        if (columns == 1) {
            for (int64_t j = 0; j < seen; ++j) *sums += to_float(ds[j]);
            return;
        }
        for_lanes<T>(seen, [&](int64_t j, auto tail) {
            store(sums + j, tail, load(sums + j, tail) + load(ds + j, tail));
        });
    }

    const AttentionBackwardArgs<T>& s_;
    const AttentionOptions& o_;
    ScoreBlock<T> block_;
    const int64_t mb_, mh_;
    int64_t first_ = 0, end_ = 0;  // queries
};

template <typename T>
void mask_gradient(const AttentionBackwardArgs<T>& s, const RowTerms<T>& terms) {
    const int64_t heads = s.mask_shape[0] * s.mask_shape[1], columns = s.mask_shape[3];
    const int64_t blocks = ceil_div(columns, block_keys), queries = s.options.q_rows.length;
    // Keys are packed again for each block of queries, so only where threads would go without.
    const bool by_queries = s.mask_shape[2] != 1 && heads * blocks < 2 * threads_of_loops();
    const int64_t rows = by_queries ? 2 * block_queries : greatest(1, queries);
    const int64_t row_blocks = greatest(1, ceil_div(queries, rows));
    parallel_for(heads * blocks * row_blocks, 1, [&](int64_t task) {
        const int64_t head = task / row_blocks / blocks;
        const int64_t key = task / row_blocks % blocks * block_keys;
        const int64_t first = task % row_blocks * rows;
        MaskGradient<T>(s, terms, head / s.mask_shape[1], head % s.mask_shape[1])
            .run(key, least(block_keys, columns - key), first, least(queries, first + rows));
    });
}

}  // namespace plainformer::PF_ISA
