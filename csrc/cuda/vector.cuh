// Elements by 16 bytes, which a thread moves at a time (chunk.cuh), or one by one.
#pragma once
#include "plainformer/types.h"

namespace plainformer::cuda {

// How many elements 16 bytes hold.
template <typename T>
inline constexpr int vector_width = 16 / static_cast<int>(sizeof(T));

// Whether 16-byte accesses may be used at p and every `stride` elements from it.
template <typename T>
__host__ __device__ __forceinline__ bool is_vector_aligned(const T* p, int64_t stride = 0) {
    return reinterpret_cast<uintptr_t>(p) % 16 == 0 && stride % vector_width<T> == 0;
}

// One element, wherever it lies.
template <typename T>
__device__ __forceinline__ float load(const T* p) {
    return to_float(*p);
}
template <typename T>
__device__ __forceinline__ void store(T* p, float v) {
    *p = from_float<T>(v);
}

}  // namespace plainformer::cuda
