// Linear + cross entropy by chunks of rows. Formulas: plainformer/linear_cross_entropy.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// A chunk's logits live from one GEMM to the next: 128 x 50257 float32 is 26 MB where 1024 rows
// would be 206 MB. Its rows depend on N and V alone, so sums over chunks have one fixed order.
#include "plainformer/linear_cross_entropy.h"

#include "cross_entropy_rows.h"   // row_lse, row_loss, row_gradient
#include "plainformer/gemm.h"     // GemmArgs
#include "runtime/allocator.h"    // Scratch
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

template <typename T>
void gemm(const GemmArgs<T>& s);

namespace {

// Enough rows to keep the GEMMs compute bound, few enough for about 32 MB of logits.
int64_t rows_per_chunk(int64_t N, int64_t V) {
    const int64_t rows = V > 0 ? chunk_logits / V / chunk_rows_step * chunk_rows_step : N;
    return least(greatest(chunk_rows_step, rows), N);
}

// One chunk of rows, from its first row on.
template <typename T>
struct Chunk {
    const LinearCrossEntropyArgs<T>& s;
    int64_t first, rows;
    acc_t<T>* logits;  // (rows, V)
    T* dlogits;        // (rows, V): the logits' own memory where the types agree

    bool ignored(int64_t r) const { return s.target[first + r] == s.ignore_index; }

    void make_logits() const {
        GemmArgs<T> g{};
        g.M = rows, g.N = s.V, g.K = s.C;
        g.A = s.x + first * s.x_stride, g.A_row = s.x_stride, g.A_column = 1;
        g.B = s.weight, g.B_row = s.weight_column, g.B_column = s.weight_row;
        g.C_acc = logits, g.C_row = s.V;
        gemm(g);
    }

    // Row r's loss and, if gradients are asked for, its logits' gradient in their place.
    void finish_row(int64_t r) const {
        acc_t<T>* x_r = logits + r * s.V;
        T* dx_r = dlogits + r * s.V;
        const int64_t n = first + r, target = s.target[n];
        if (ignored(r)) {
            s.loss[n] = s.label_weight[n] = 0;
            if (s.dx) __builtin_memset(dx_r, 0, sizeof(T) * static_cast<size_t>(s.V));
            return;
        }
        if (s.bias)
            for_lanes<T>(s.V, [&](int64_t v, auto tail) {
                store(x_r + v, tail, load(x_r + v, tail) + load(s.bias + v, tail));
            });
        using A = acc_t<T>;
        const A* no_class_weights = nullptr;
        const A lse = row_lse(x_r, s.V);
        s.loss[n] = row_loss(x_r, no_class_weights, target, lse, s.V, s.smoothing);
        s.label_weight[n] = 1;
        if (s.dx)
            row_gradient(dx_r, x_r, no_class_weights, target, lse, s.grad, s.V, s.smoothing,
                         static_cast<A>(s.V));
    }

    void add_gradients() const {
        GemmArgs<T> g{};  // dx = dlogits weight
        g.M = rows, g.N = s.C, g.K = s.V;
        g.A = dlogits, g.A_row = s.V, g.A_column = 1;
        g.B = s.weight, g.B_row = s.weight_row, g.B_column = s.weight_column;
        g.C = s.dx + first * s.C, g.C_row = s.C;
        gemm(g);
        g = GemmArgs<T>{};  // dweight += dlogits^T x
        g.M = s.V, g.N = s.C, g.K = rows;
        g.A = dlogits, g.A_row = 1, g.A_column = s.V;
        g.B = s.x + first * s.x_stride, g.B_row = s.x_stride, g.B_column = 1;
        g.C_acc = s.dweight, g.C_row = s.C;
        g.accumulate = first > 0;
        gemm(g);
        if (s.dbias) add_column_sums();
    }

    void add_column_sums() const {
        parallel_for(ceil_div(s.V, logit_columns), 1, [&](int64_t task) {
            const int64_t v0 = task * logit_columns;
            for_lanes<T>(least(s.V - v0, logit_columns), [&](int64_t v, auto tail) {
                using A = acc_t<T>;
                auto sum = first > 0 ? load(s.dbias + v0 + v, tail) : VecOf<T>(A(0));
                for (int64_t r = 0; r < rows; ++r)
                    sum = sum + load(dlogits + r * s.V + v0 + v, tail);
                store(s.dbias + v0 + v, tail, sum);
            });
        });
    }
};

// Where the logits' gradients go: their own place if the types agree, else (bfloat16) the scratch.
template <typename T>
T* gradients_of(acc_t<T>* logits, T* scratch) {
    if constexpr (sizeof(T) == sizeof(acc_t<T>))
        return logits;
    else
        return scratch;
}

}  // namespace

template <typename T>
void linear_cross_entropy(const LinearCrossEntropyArgs<T>& s) {
    const int64_t rows = rows_per_chunk(s.N, s.V);
    Scratch<acc_t<T>> logits(rows * s.V);
    const bool in_place = sizeof(T) == sizeof(acc_t<T>);
    Scratch<T> gradients(s.dx && !in_place ? rows * s.V : 0);
    T* dlogits = gradients_of<T>(logits.data, gradients.data);
    for (int64_t first = 0; first < s.N; first += rows) {
        const int64_t rest = s.N - first;
        const Chunk<T> chunk{s, first, least(rest, rows), logits.data, dlogits};
        chunk.make_logits();
        parallel_for(chunk.rows, rows_per_task(exponential_task_elements, s.V),
                     [&](int64_t r) { chunk.finish_row(r); });
        if (s.dx) chunk.add_gradients();
    }
}
PF_INSTANTIATE(linear_cross_entropy, LinearCrossEntropyArgs)

}  // namespace plainformer::PF_ISA
