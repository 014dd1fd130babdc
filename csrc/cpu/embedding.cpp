// Embedding lookup and its gradient. Formula and shapes: plainformer/embedding.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "plainformer/embedding.h"

#include "isa/vec.h"              // Vec, load, store, for_lanes
#include "runtime/allocator.h"    // Scratch
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

template <typename T>
void embedding(const EmbeddingArgs<T>& s) {
    parallel_for(s.N, rows_per_task(task_elements, s.C), [&](int64_t n) {
        __builtin_memcpy(s.y + n * s.C, s.weight + s.ids[n] * s.weight_stride,
                         sizeof(T) * static_cast<size_t>(s.C));
    });
}
PF_INSTANTIATE(embedding, EmbeddingArgs)

namespace {

// Positions grouped by id, each group in rising order: those of id v are
// order[first[v]] ... order[first[v + 1] - 1]. A counting sort, O(N + V).
void group_by_id(Ids ids, int64_t N, int64_t V, int64_t* first, int64_t* order) {
    for (int64_t v = 0; v <= V; ++v) first[v] = 0;
    for (int64_t n = 0; n < N; ++n) ++first[ids[n] + 1];
    for (int64_t v = 0; v < V; ++v) first[v + 1] += first[v];
    for (int64_t n = 0; n < N; ++n) order[first[ids[n]]++] = n;
    for (int64_t v = V; v > 0; --v) first[v] = first[v - 1];  // each start had moved to its end
    first[0] = 0;
}

// out (C) = the sum of `count` rows of dy, plus out itself if asked. Each register's lanes are
// summed over all rows before they are rounded once.
template <typename T, typename Out>
void sum_rows(Out* out, bool add_to_out, const EmbeddingBackwardArgs<T>& s, const int64_t* rows,
              int64_t count) {
    for_lanes<T>(s.C, [&](int64_t c, auto tail) {
        VecOf<T> sum = add_to_out ? load(out + c, tail) : VecOf<T>(acc_t<T>(0));
        for (int64_t r = 0; r < count; ++r)
            sum = sum + load(s.dy + rows[r] * s.dy_stride + c, tail);
        store(out + c, tail, sum);
    });
}

}  // namespace

template <typename T>
void embedding_backward(const EmbeddingBackwardArgs<T>& s) {
    Scratch<int64_t> first(s.V + 1), order(s.N);
    group_by_id(s.ids, s.N, s.V, first.data, order.data);
    parallel_for(s.V, rows_per_task(task_elements, s.C), [&](int64_t v) {
        const int64_t count = first.data[v + 1] - first.data[v];
        if (s.accumulate && count == 0) return;
        const int64_t* rows = order.data + first.data[v];
        if (s.dweight_acc)
            sum_rows(s.dweight_acc + v * s.C, s.accumulate, s, rows, count);
        else
            sum_rows(s.dweight + v * s.C, s.accumulate, s, rows, count);
    });
}
PF_INSTANTIATE(embedding_backward, EmbeddingBackwardArgs)

}  // namespace plainformer::PF_ISA
