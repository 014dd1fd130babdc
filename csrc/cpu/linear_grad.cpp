// The elementwise half of a linear layer's backward. Formula: plainformer/gemm.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// One pass: grad_z is written while its columns are summed, block of rows by block of rows; the
// blocks' sums are then added in ascending order.
#include "gemm_epilogue.h"        // with_activation_or_none
#include "runtime/allocator.h"    // Scratch
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

namespace {

// Columns n of rows [begin, end): grad_z and their sum.
template <typename T, typename F, typename Count>
PF_INLINE VecOf<T> column_sums(F f, const LinearGradArgs<T>& s, int64_t begin, int64_t end,
                               int64_t n, Count count) {
    VecOf<T> sum(acc_t<T>(0));
    for (int64_t m = begin; m < end; ++m) {
        VecOf<T> grad = load(s.grad_y + m * s.grad_y_row + n, count);
        if (s.grad_z) {
            grad = f.gradient(load(s.z + m * s.N + n, count), grad);
            store(s.grad_z + m * s.N + n, count, grad);
        }
        sum = sum + grad;
    }
    return sum;
}

template <typename T>
void add_partial_sums(const LinearGradArgs<T>& s, const acc_t<T>* partial, int64_t blocks) {
    for_lanes<acc_t<T>>(s.N, [&](int64_t n, auto count) {
        VecOf<T> sum(acc_t<T>(0));
        for (int64_t i = 0; i < blocks; ++i) sum = sum + load(partial + i * s.N + n, count);
        store(s.grad_bias + n, count, sum);
    });
}

}  // namespace

template <typename T>
void linear_grad(const LinearGradArgs<T>& s) {
    if (s.N == 0) return;
    const int64_t blocks = ceil_div(s.M, bias_part_rows);
    Scratch<acc_t<T>> partial(s.grad_bias ? blocks * s.N : 0);
    with_activation_or_none(s.activation, [&](auto f) {
        parallel_for(blocks, 1, [&](int64_t i) {
            const int64_t begin = i * bias_part_rows;
            const int64_t end = least(s.M, begin + bias_part_rows);
            for_lanes<acc_t<T>>(s.N, [&](int64_t n, auto count) {
                const auto sum = column_sums(f, s, begin, end, n, count);
                if (s.grad_bias) store(partial.data + i * s.N + n, count, sum);
            });
        });
    });
    if (s.grad_bias) add_partial_sums(s, partial.data, blocks);
}
PF_INSTANTIATE(linear_grad, LinearGradArgs)

}  // namespace plainformer::PF_ISA
