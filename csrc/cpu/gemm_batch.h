// A product for every matrix of a batch.
#pragma once
#include "packed_gemm.h"
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

// The matrices at one index of the batch.
template <typename T>
PackedGemmArgs<T> matrix_of(const PackedGemmArgs<T>& s, int64_t index) {
    PackedGemmArgs<T> one = s;
    one.batch_ndim = 0;
    const int64_t out = index * s.M * s.C_row;
    if (s.C) one.C += out;
    if (s.C_acc) one.C_acc += out;
    if (s.preactivation) one.preactivation += out;
    for (int i = s.batch_ndim - 1; i >= 0; --i) {
        one.A += index % s.batch[i] * s.A_batch[i];
        one.B += index % s.batch[i] * s.B_batch[i];
        index /= s.batch[i];
    }
    return one;
}

// multiply(matrix) for each of them.
template <typename T, typename F>
void for_each_matrix(const PackedGemmArgs<T>& s, F multiply) {
    if (s.M == 0 || s.N == 0) return;  // however long the batch of nothing is
    const auto one = [&](int64_t i) { multiply(matrix_of(s, i)); };
    int64_t count = 1;
    for (int i = 0; i < s.batch_ndim; ++i) count *= s.batch[i];
    if (count == 1) return one(0);
    // Loops inside a chunk run inline: small matrices go to the threads whole.
    const int64_t flops = 2 * s.M * s.N * greatest(1, s.K);
    if (count >= 64 || flops < 4 * gemm_task_flops)
        return parallel_for(count, gemm_task_flops / greatest(1, flops), one);
    for (int64_t i = 0; i < count; ++i) one(i);
}

}  // namespace plainformer::PF_ISA
