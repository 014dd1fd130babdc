// Elements by 16 bytes: what a thread loads and stores at a time, as floats.
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

// vector_width<T> elements from p, which is aligned to 16 bytes.
template <typename T>
__device__ __forceinline__ void load_vector(const T* p, float (&v)[vector_width<T>]) {
    const uint4 words = *reinterpret_cast<const uint4*>(p);
    if constexpr (sizeof(T) == 4) {
        v[0] = __uint_as_float(words.x), v[1] = __uint_as_float(words.y);
        v[2] = __uint_as_float(words.z), v[3] = __uint_as_float(words.w);
    } else {
        const uint32_t pairs[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const float2 pair = unpack<T>(pairs[i]);
            v[2 * i] = pair.x, v[2 * i + 1] = pair.y;
        }
    }
}

// Rounds to T and writes to p, which is aligned to 16 bytes.
template <typename T>
__device__ __forceinline__ void store_vector(T* p, const float (&v)[vector_width<T>]) {
    uint4 words;
    if constexpr (sizeof(T) == 4) {
        words = make_uint4(__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]),
                           __float_as_uint(v[3]));
    } else {
        words = make_uint4(pack<T>(v[0], v[1]), pack<T>(v[2], v[3]), pack<T>(v[4], v[5]),
                           pack<T>(v[6], v[7]));
    }
    *reinterpret_cast<uint4*>(p) = words;
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
