// Cross entropy, forward and backward. Formulas and shapes: plainformer/cross_entropy.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// A row of 50257 float32 logits is 201 KB: the second pass finds it in L2, so a row is read from
// memory once, which is what the kernel costs.
#include "plainformer/cross_entropy.h"

#include "cross_entropy_rows.h"   // row_lse, row_loss, row_gradient
#include "isa/rows.h"             // for_rows, reach_of
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

template <typename T>
void cross_entropy(const CrossEntropyArgs<T>& s) {
    const Reach reach = reach_of<T>(s.N * s.V);
    parallel_for(s.N, rows_per_task(exponential_task_elements, s.V), [&](int64_t n) {
        const int64_t target = s.target[n];
        if (target == s.ignore_index) {
            s.loss[n] = s.label_weight[n] = s.lse[n] = 0;
            return;
        }
        const T* x_n = s.x + n * s.x_stride;
        s.lse[n] = row_lse(x_n, s.V, reach);
        s.loss[n] = row_loss(x_n, s.weight, target, s.lse[n], s.V, s.smoothing);
        s.label_weight[n] = s.weight ? s.weight[target] : 1;
    });
}
PF_INSTANTIATE(cross_entropy, CrossEntropyArgs)

template <typename T>
void cross_entropy_backward(const CrossEntropyBackwardArgs<T>& s) {
    const acc_t<T> weight_sum = sum_of_weights<T>(s.weight, s.V);
    const Reach reach = reach_of<T>(2 * s.N * s.V);
    for_rows(s.N, s.V, reach, [&](int64_t n) {
        T* dx_n = s.dx + n * s.V;
        const int64_t target = s.target[n];
        if (target == s.ignore_index)
            __builtin_memset(dx_n, 0, sizeof(T) * static_cast<size_t>(s.V));
        else
            row_gradient(dx_n, s.x + n * s.x_stride, s.weight, target, s.lse[n], s.grad[n], s.V,
                         s.smoothing, weight_sum, reach);
    });
}
PF_INSTANTIATE(cross_entropy_backward, CrossEntropyBackwardArgs)

}  // namespace plainformer::PF_ISA
