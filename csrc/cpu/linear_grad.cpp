// The elementwise half of a linear layer's backward. Formula: plainformer/gemm.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// One pass: grad_z is written while its columns are summed, block of rows by block of rows; the
// blocks' sums are then added in ascending order.
#include "column_sums.h"          // add_rows, sum_partial_rows
#include "isa/activations.h"      // with_activation
#include "isa/rows.h"             // fill, fill_outputs
#include "plainformer/gemm.h"     // LinearGradArgs
#include "runtime/allocator.h"    // Scratch
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

namespace {

// Rows [m_begin, m_end) and the columns [n_begin, n_begin + size) of them.
struct Block {
    int64_t m_begin, m_end, n_begin, size;
};

// A row of grad_z, whose registers are also added, unrounded, to the sums of its columns.
template <typename T>
struct SummedOutput {
    T* y;
    acc_t<T>* sums;

    template <typename Lanes>
    PF_INLINE void add(int64_t n, Lanes tail, VecOf<T> v) const {
        PF_ISA::store(sums + n, tail, load(sums + n, tail) + v);
    }
    template <typename Lanes>
    PF_INLINE void store(int64_t n, Lanes tail, VecOf<T> v) const {
        PF_ISA::store(y + n, tail, v);
        add(n, tail, v);
    }
    PF_INLINE void stream(int64_t n, VecOf<T> v) const {
        PF_ISA::stream(y + n, v);
        add(n, Full{}, v);
    }
};

// grad_z of a block; its columns are added to `sums` (size) where they are wanted.
template <typename T, typename F>
void activation_block(F f, const LinearGradArgs<T>& s, const Block& block, acc_t<T>* sums,
                      Reach reach) {
    for (int64_t m = block.m_begin; m < block.m_end; ++m) {
        const T* grad_y = s.grad_y + m * s.grad_y_row + block.n_begin;
        const T* z = s.z + m * s.N + block.n_begin;
        T* grad_z = s.grad_z + m * s.N + block.n_begin;
        const auto gradient = [&](int64_t n, auto tail) {
            return f.gradient(load(z + n, tail), load(grad_y + n, tail));
        };
        if (sums)
            fill_outputs<T>(SummedOutput<T>{grad_z, sums}, block.size, reach, gradient);
        else
            fill(grad_z, block.size, reach, gradient);
    }
    if (reach == Reach::past) stream_fence();
}

template <typename T>
void sum_block(const LinearGradArgs<T>& s, const Block& block, acc_t<T>* sums, Reach reach) {
    add_rows<T>(sums, block.size, block.m_begin, block.m_end, reach,
                [&](int64_t m) { return s.grad_y + m * s.grad_y_row + block.n_begin; });
}

}  // namespace

template <typename T>
void linear_grad(const LinearGradArgs<T>& s) {
    if (s.N == 0) return;
    using A = acc_t<T>;
    const Reach reach = reach_of<T>((s.grad_z ? 3 : 1) * s.M * s.N);
    const int64_t blocks = ceil_div(s.M, bias_part_rows), strips = ceil_div(s.N, summed_columns);
    const int64_t grain = rows_per_task(task_elements, bias_part_rows * least(s.N, summed_columns));
    const Scratch<A> partial(s.grad_bias ? blocks * s.N : 0);
    parallel_for(blocks * strips, grain, [&](int64_t i) {
        const int64_t m = i / strips * bias_part_rows, n = i % strips * summed_columns;
        const Block block{m, least(s.M, m + bias_part_rows), n, least(s.N - n, summed_columns)};
        A* const sums = s.grad_bias ? partial.data + i / strips * s.N + n : nullptr;
        if (sums) __builtin_memset(sums, 0, sizeof(A) * static_cast<size_t>(block.size));
        if (s.grad_z)
            with_activation(s.activation,
                            [&](auto f) { activation_block(f, s, block, sums, reach); });
        else
            sum_block(s, block, sums, reach);
    });
    if (s.grad_bias) sum_partial_rows(s.grad_bias, partial.data, blocks, s.N);
}
PF_INSTANTIATE(linear_grad, LinearGradArgs)

}  // namespace plainformer::PF_ISA
