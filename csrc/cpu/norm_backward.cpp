// Layer norm and RMS norm, backward. Formulas and shapes: plainformer/norm.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// dweight and dbias are sums over rows: each block of rows makes a partial sum, and the partial
// sums are added in order. Blocks depend on shapes alone, so the bytes do not depend on threads.
#include "column_sums.h"      // sum_partial_rows
#include "isa/dropout_row.h"  // drop_row
#include "isa/rows.h"         // for_lanes_in_parts, RunningSum, fill
#include "isa/vec.h"          // Vec, load, load_or, store
#include "plainformer/norm.h"
#include "runtime/allocator.h"    // Scratch
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

namespace {

int64_t rows_per_block(int64_t N, int64_t C) {
    const int64_t by_work = task_elements / greatest(1, C) + 1;
    const int64_t by_count = ceil_div(N, most_norm_parts);
    return greatest(by_work, by_count);
}

// One row's arrays, each (C), and its saved statistics.
template <typename T, typename W>
struct BackwardRow {
    T* ds;
    const T *dy, *x, *grad_residual;
    const W* weight;
    acc_t<T> mean, rstd;
    bool centered;  // layer norm; RMS norm otherwise
};

template <typename A>
struct RowSums {
    A grad, product, delta;  // means of g and of g x_hat; what the saved mean is off by
};

// The saved mean is rounded, which counts where |mean| >> deviation: delta, the mean of x - mean,
// corrects x_hat and with it the mean of g x_hat.
template <typename T, typename W>
PF_INLINE RowSums<acc_t<T>> row_sums(const BackwardRow<T, W>& row, int64_t C, Reach reach) {
    using A = acc_t<T>;
    constexpr int parts = 2;
    RunningSum<T, parts> grad, product, shift;
    for_lanes_in_parts<T, parts>(C, reach, [&](int64_t c, int part, auto tail) {
        auto g = load(row.dy + c, tail);
        if (row.weight) g = g * load(row.weight + c, tail);
        const auto d = load_or(row.x + c, tail, row.mean) - VecOf<T>(row.mean);
        grad[part] = grad[part] + g;
        shift[part] = shift[part] + d;
        product[part] = fma(g, d, product[part]);
    });
    const A count = static_cast<A>(C);
    if (!row.centered) return {0, product.total() / count * row.rstd, 0};
    const A delta = shift.total() / count, mean_grad = grad.total() / count;
    return {mean_grad, (product.total() / count - delta * mean_grad) * row.rstd, delta};
}

// ds of the row; its share is added to dweight and dbias (C), where they are wanted.
template <typename T, typename W>
PF_INLINE void backward_row(const BackwardRow<T, W>& row, acc_t<T>* dweight, acc_t<T>* dbias,
                            int64_t C, Reach reach) {
    const RowSums<acc_t<T>> sums = row_sums(row, C, reach);
    const VecOf<T> mean(row.mean), rstd(row.rstd), shift(-sums.delta * row.rstd);
    const VecOf<T> mean_grad(sums.grad), mean_product(sums.product);
    fill(row.ds, C, reach, [&](int64_t c, auto tail) {
        const auto dy = load(row.dy + c, tail);
        const auto g = row.weight ? dy * load(row.weight + c, tail) : dy;
        const auto x_hat = fma(load(row.x + c, tail) - mean, rstd, shift);
        auto ds = rstd * fnma(x_hat, mean_product, g - mean_grad);
        if (row.grad_residual) ds = ds + load(row.grad_residual + c, tail);
        if (dweight) store(dweight + c, tail, fma(dy, x_hat, load(dweight + c, tail)));
        if (dbias) store(dbias + c, tail, load(dbias + c, tail) + dy);
        return ds;
    });
}

template <typename A>
PF_INLINE void clear(A* p, int64_t C) {
    __builtin_memset(p, 0, sizeof(A) * static_cast<size_t>(C));
}

template <typename T, typename W>
void norm_backward_rows(const NormBackwardArgs<T>& s, const W* weight, W* dweight, W* dbias) {
    using A = acc_t<T>;
    const int64_t arrays = 3 + (s.grad_residual ? 1 : 0) + (s.dx ? 1 : 0);
    const Reach reach = reach_of<T>(arrays * s.N * s.C);
    const int64_t rows = rows_per_block(s.N, s.C), blocks = ceil_div(s.N, rows);
    const Scratch<A> weight_parts(dweight ? blocks * s.C : 0), bias_parts(dbias ? blocks * s.C : 0);
    parallel_for(blocks, 1, [&](int64_t block) {
        A* const dweight_b = dweight ? weight_parts.data + block * s.C : nullptr;
        A* const dbias_b = dbias ? bias_parts.data + block * s.C : nullptr;
        if (dweight) clear(dweight_b, s.C);
        if (dbias) clear(dbias_b, s.C);
        const int64_t end = least(s.N, (block + 1) * rows);
        for (int64_t n = block * rows; n < end; ++n) {
            const BackwardRow<T, W> row{
                s.ds + n * s.C,
                s.dy + n * s.dy_stride,
                s.x + n * s.x_stride,
                s.grad_residual ? s.grad_residual + n * s.grad_residual_stride : nullptr,
                weight,
                s.mean ? s.mean[n] : A(0),
                s.rstd[n],
                s.mean != nullptr};
            backward_row(row, dweight_b, dbias_b, s.C, s.dx ? kept(reach) : reach);
            if (s.dx) drop_row(s.dx + n * s.C, row.ds, s.C, s.dropout, n, reach);
        }
        stream_fence();
    });
    if (dweight) sum_partial_rows(dweight, weight_parts.data, blocks, s.C);
    if (dbias) sum_partial_rows(dbias, bias_parts.data, blocks, s.C);
}

}  // namespace

template <typename T>
void norm_backward(const NormBackwardArgs<T>& s) {
    if (s.weight_acc || s.dbias_acc)
        norm_backward_rows(s, s.weight_acc, s.dweight_acc, s.dbias_acc);
    else
        norm_backward_rows(s, s.weight, s.dweight, s.dbias);
}
PF_INSTANTIATE(norm_backward, NormBackwardArgs)

}  // namespace plainformer::PF_ISA
