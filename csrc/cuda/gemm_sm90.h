// The matrix products of sm_90a, which gemm.cu chooses where they fit. Host code.
#pragma once
#include "context.h"
#include "gemm.cuh"

namespace plainformer::cuda {

// Whether this product suits gemm_sm90 on `context`'s device: 16-bit elements that TMA can address
// (one axis of A and of B without gaps; bases and all other strides multiples of 16 bytes), and
// not so few rows that gemm_gemv reads B just as fast.
template <typename T>
bool gemm_sm90_takes(const GemmArgs<T>& s, const Context& context);

// statistics: null, or those of gemm_statistics.h.
template <typename T>
void gemm_sm90(const GemmArgs<T>& s, float4* statistics, Context& context);

}  // namespace plainformer::cuda
