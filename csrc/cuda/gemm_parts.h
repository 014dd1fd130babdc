// The sum over parts of K, as a launch. Its kernel stands in gemm.cu alone, which is compiled for
// every architecture. Host code.
#pragma once
#include "context.h"
#include "gemm.cuh"

namespace plainformer::cuda {

// Adds the `parts` of each of `matrices` matrices in the order of K and finishes them.
template <typename T>
void sum_parts(const GemmTask<T>& task, int64_t matrices, int64_t parts, Context& context);

}  // namespace plainformer::cuda
