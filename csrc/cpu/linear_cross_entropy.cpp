// Linear + cross entropy. Formulas: plainformer/linear_cross_entropy.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// Without gradients no logit outlives its block (logit_blocks.h). With them a chunk of rows keeps
// its logits from one product to the next: at most 32 MB, or as much as the gradient of the weight
// takes. Chunks depend on shapes alone, so sums over them have one fixed order.
#include "plainformer/linear_cross_entropy.h"

#include "column_sums.h"         // sum_rows
#include "cross_entropy_rows.h"  // row_gradient
#include "isa/rows.h"            // fill_blocks
#include "logit_blocks.h"

namespace plainformer::PF_ISA {

namespace {

// Rows whose logits are kept at once; chunks of nearly equal size.
template <typename T>
int64_t rows_per_chunk(const LinearCrossEntropyArgs<T>& s) {
    if (!s.dx) return s.N;
    const int64_t most = greatest(1, greatest(chunk_logits / s.V, s.C) / chunk_rows_step);
    const int64_t chunks = ceil_div(s.N, most * chunk_rows_step);
    return least(s.N, round_up(ceil_div(s.N, chunks), chunk_rows_step));
}

// One chunk of rows, from its first row on.
template <typename T>
struct Chunk {
    using A = acc_t<T>;
    const LinearCrossEntropyArgs<T>& s;
    int64_t first, rows;
    A* logits;   // (rows, V), or null without gradients
    T* dlogits;  // (rows, V): the logits' own memory where the types agree
    const RowLogits<A>* of_rows;

    // Row r's loss and, if gradients are asked for, its logits' gradient in their place.
    void finish_row(int64_t r) const {
        const int64_t n = first + r, target = s.target[n];
        const bool counts = target != s.ignore_index;
        s.label_weight[n] = counts;
        s.loss[n] = counts ? loss_of(of_rows[r]) : 0;
        if (!s.dx) return;
        T* dx_r = dlogits + r * s.V;
        const A* no_class_weights = nullptr;
        if (counts)
            row_gradient(dx_r, logits + r * s.V, no_class_weights, target,
                         of_rows[r].sums.log_sum_exp(), s.grad, s.V, s.smoothing,
                         static_cast<A>(s.V));
        else
            __builtin_memset(dx_r, 0, sizeof(T) * static_cast<size_t>(s.V));
    }

    A loss_of(const RowLogits<A>& row) const {
        const A lse = row.sums.log_sum_exp(), loss = (1 - s.smoothing) * (lse - row.label);
        if (s.smoothing == 0) return loss;
        return loss + s.smoothing / static_cast<A>(s.V) * row.sums.distances_to(lse);
    }

    // dx = dlogits weight, a part of V at a time: its rows of the weight are packed once for all
    // rows, and the sums go on where the last part left them.
    void add_to_input() const {
        constexpr bool in_place = sizeof(T) == sizeof(A);
        Scratch<A> own(in_place ? 0 : rows * s.C);
        T* const dx = s.dx + first * s.C;
        A* const sums = same_type<A>(dx, own.data);
        const int64_t row_bytes = greatest(1, s.C) * static_cast<int64_t>(sizeof(A));
        const int64_t fit = shared_panels_bytes / row_bytes / gradient_steps * gradient_steps;
        const int64_t steps = greatest(gradient_steps, fit);
        for (int64_t v = 0; v < s.V; v += steps) {
            GemmArgs<T> g{};
            g.M = rows, g.N = s.C, g.K = least(steps, s.V - v);
            g.A = dlogits + v, g.A_row = s.V, g.A_column = 1;
            g.B = s.weight + v * s.weight_row, g.B_row = s.weight_row, g.B_column = s.weight_column;
            g.C_acc = sums, g.C_row = s.C;
            g.accumulate = v > 0;
            gemm(g);
        }
        if constexpr (!in_place)
            fill_blocks(dx, rows * s.C, Reach::near,
                        [&](int64_t i, auto tail) { return load(sums + i, tail); });
    }

    void add_to_weight() const {
        GemmArgs<T> g{};  // dweight += dlogits^T x
        g.M = s.V, g.N = s.C, g.K = rows;
        g.A = dlogits, g.A_row = 1, g.A_column = s.V;
        g.B = s.x + first * s.x_stride, g.B_row = s.x_stride, g.B_column = 1;
        g.C_acc = s.dweight, g.C_row = s.C;
        g.accumulate = first > 0;
        gemm(g);
        if (s.dbias) add_column_sums();
    }

    void add_column_sums() const {
        const Reach reach = reach_of<T>(rows * s.V);
        parallel_for(ceil_div(s.V, summed_columns), 1, [&](int64_t task) {
            const int64_t v = task * summed_columns;
            sum_rows<T>(s.dbias + v, first > 0, least(s.V - v, summed_columns), rows, reach,
                        [&](int64_t r) { return dlogits + r * s.V + v; });
        });
    }

    // `array` as To if that is its type, else `other`.
    template <typename To, typename From>
    static To* same_type(From* array, To* other) {
        if constexpr (sizeof(From) == sizeof(To))
            return array;
        else
            return other;
    }
};

}  // namespace

template <typename T>
void packed_linear_cross_entropy(const PackedLinearCrossEntropyArgs<T>& s) {
    using A = acc_t<T>;
    if (s.N == 0) return;
    const int64_t rows = rows_per_chunk(s);
    constexpr bool in_place = sizeof(T) == sizeof(A);
    Scratch<RowLogits<A>> of_rows(rows);
    Scratch<A> logits(s.dx ? rows * s.V : 0);
    Scratch<T> gradients(s.dx && !in_place ? rows * s.V : 0);
    A* const kept = s.dx ? logits.data : nullptr;
    T* const dlogits = Chunk<T>::template same_type<T>(kept, gradients.data);
    for (int64_t first = 0; first < s.N; first += rows) {
        const Chunk<T> chunk{s, first, least(rows, s.N - first), kept, dlogits, of_rows.data};
        LogitBlocks<T>(s, first, chunk.rows, kept, of_rows.data).make();
        parallel_for(chunk.rows, rows_per_task(exponential_task_elements, s.dx ? s.V : 1),
                     [&](int64_t r) { chunk.finish_row(r); });
        if (s.dx) chunk.add_to_input(), chunk.add_to_weight();
    }
}
PF_INSTANTIATE(packed_linear_cross_entropy, PackedLinearCrossEntropyArgs)

template <typename T>
void linear_cross_entropy(const LinearCrossEntropyArgs<T>& s) {
    packed_linear_cross_entropy(PackedLinearCrossEntropyArgs<T>{s, nullptr});
}
PF_INSTANTIATE(linear_cross_entropy, LinearCrossEntropyArgs)

}  // namespace plainformer::PF_ISA
