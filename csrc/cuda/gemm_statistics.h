// A matrix product whose rows' log-sum-exps are wanted, with its results or instead of them. Host
// code.
#pragma once
#include "context.h"
#include "gemm.cuh"

namespace plainformer::cuda {

// gemm of one matrix, and the statistics of its rows, (M, statistics_across(N)); the sums are
// written where C or C_acc is given. A bias counts in the statistics, also with C_acc.
template <typename T>
void gemm_with_statistics(const GemmArgs<T>& s, float4* statistics, Context& context);

}  // namespace plainformer::cuda
