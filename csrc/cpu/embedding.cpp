// Embedding lookup and its gradient. Formula and shapes: plainformer/embedding.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "plainformer/embedding.h"

#include "column_sums.h"          // sum_rows
#include "isa/rows.h"             // for_rows, fill
#include "isa/vec.h"              // Vec, load
#include "runtime/allocator.h"    // Scratch
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

template <typename T>
void embedding(const EmbeddingArgs<T>& s) {
    const Reach reach = reach_of<T>(2 * s.N * s.C);
    const auto bytes = static_cast<int64_t>(sizeof(T)) * s.C;
    constexpr auto word = static_cast<int64_t>(sizeof(float));
    const bool streams = reach == Reach::past && bytes % word == 0;
    for_rows(s.N, s.C, reach, [&](int64_t n) {
        T* y = s.y + n * s.C;
        const T* row = s.weight + s.ids[n] * s.weight_stride;
        if (!streams) return void(__builtin_memcpy(y, row, static_cast<size_t>(bytes)));
        // By words, whatever T: registers of T would quiet a NaN.
        const float* words = reinterpret_cast<const float*>(row);
        fill(reinterpret_cast<float*>(y), bytes / word, reach,
             [&](int64_t i, auto tail) { return load(words + i, tail); });
    });
}
PF_INSTANTIATE(embedding, EmbeddingArgs)

namespace {

// Positions grouped by id, each group in rising order: those of id v are
// order[first[v]] ... order[first[v + 1] - 1]. A counting sort, O(N + V); first has V + 2 numbers.
void group_by_id(Ids ids, int64_t N, int64_t V, int64_t* first, int64_t* order) {
    for (int64_t v = 0; v < V + 2; ++v) first[v] = 0;
    for (int64_t n = 0; n < N; ++n) ++first[ids[n] + 2];
    for (int64_t v = 0; v < V; ++v) first[v + 2] += first[v + 1];
    for (int64_t n = 0; n < N; ++n) order[first[ids[n] + 1]++] = n;  // to the start of the next id
}

constexpr int64_t rows_ahead = 4;

// The gradient of the ids, from their grouped positions.
template <typename T, typename Out>
struct Gradient {
    const EmbeddingBackwardArgs<T>& s;
    Out* dweight;  // (V, C)
    const int64_t *first, *order;
    Reach read, written;

    bool is_absent(int64_t v) const { return first[v] == first[v + 1]; }

    // Columns [begin, begin + size) of id v. Its rows lie anywhere: nothing but this fetches those
    // ahead.
    void sum(int64_t v, int64_t begin, int64_t size) const {
        const int64_t *rows = order + first[v], count = first[v + 1] - first[v];
        sum_rows<T>(dweight + v * s.C + begin, s.accumulate, size, count, kept(read),
                    [&](int64_t r) {
                        if (read != Reach::near && r + rows_ahead < count)
                            prefetch(s.dy + rows[r + rows_ahead] * s.dy_stride + begin, size);
                        return s.dy + rows[r] * s.dy_stride + begin;
                    });
    }

    static void prefetch(const T* row, int64_t size) {
        constexpr int64_t line = cache_line / static_cast<int64_t>(sizeof(T));
        for (int64_t c = 0; c < size; c += line) __builtin_prefetch(row + c);
    }

    // Ids [v, end). Those absent side by side are cleared at once: most of a large vocabulary.
    void sum_ids(int64_t v, int64_t end) const {
        while (v < end) {
            const int64_t absent = v;
            while (v < end && is_absent(v)) ++v;
            if (!s.accumulate)
                fill(dweight + absent * s.C, (v - absent) * s.C, written,
                     [](int64_t, auto) { return VecOf<T>(acc_t<T>(0)); });
            if (v < end) sum(v++, 0, s.C);
        }
    }
};

template <typename T, typename Out>
void sum_by_id(const EmbeddingBackwardArgs<T>& s, Out* dweight, const int64_t* first,
               const int64_t* order) {
    const Reach read = reach_of<T>(s.N * s.C), written = reach_of<Out>(s.V * s.C);
    const Gradient<T, Out> gradient{s, dweight, first, order, read, written};
    if (s.N < few_ids_rows * s.V)
        return for_row_blocks(s.V, s.C, written,
                              [&](int64_t begin, int64_t end) { gradient.sum_ids(begin, end); });
    const int64_t strips = ceil_div(s.C, summed_columns);
    parallel_for(s.V * strips, 1, [&](int64_t i) {
        const int64_t c = i % strips * summed_columns;
        gradient.sum(i / strips, c, least(s.C - c, summed_columns));
    });
}

}  // namespace

template <typename T>
void embedding_backward(const EmbeddingBackwardArgs<T>& s) {
    const Scratch<int64_t> first(s.V + 2), order(s.N);
    group_by_id(s.ids, s.N, s.V, first.data, order.data);
    if (s.dweight_acc)
        sum_by_id(s, s.dweight_acc, first.data, order.data);
    else
        sum_by_id(s, s.dweight, first.data, order.data);
}
PF_INSTANTIATE(embedding_backward, EmbeddingBackwardArgs)

}  // namespace plainformer::PF_ISA
