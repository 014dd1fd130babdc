// Neighbouring elements as they are stored: 16 bytes or more that are moved 16 at a time, or a
// single one. A thread keeps them so between passes; half the registers of their floats.
#pragma once
#include "device.cuh"

namespace plainformer::cuda {

// W elements, a whole number of words.
template <typename T, int W>
struct alignas(16) Chunk {
    uint32_t words[W * sizeof(T) / 4];

    __device__ __forceinline__ float operator[](int j) const {
        if constexpr (sizeof(T) == 4) {
            return __uint_as_float(words[j]);
        } else {
            const float2 pair = unpack<T>(words[j / 2]);
            return j % 2 ? pair.y : pair.x;
        }
    }
    // The j-th element as it is stored. Those of a new chunk are put in order, each once.
    __device__ __forceinline__ T get(int j) const {
        if constexpr (sizeof(T) == 4)
            return __uint_as_float(words[j]);
        else
            return T{static_cast<uint16_t>(words[j / 2] >> j % 2 * 16)};
    }
    __device__ __forceinline__ void put(int j, T element) {
        if constexpr (sizeof(T) == 4)
            words[j] = __float_as_uint(element);
        else
            words[j / 2] = j % 2 ? words[j / 2] | uint32_t{element.bits} << 16 : element.bits;
    }
};

template <typename T>
struct Chunk<T, 1> {
    T element;

    __device__ __forceinline__ float operator[](int) const { return to_float(element); }
};

// p is aligned to 16 bytes, or W is 1.
template <int W, typename T>
__device__ __forceinline__ Chunk<T, W> load_chunk(const T* p) {
    return *reinterpret_cast<const Chunk<T, W>*>(p);
}

template <typename T, int W>
__device__ __forceinline__ void store_chunk(T* p, const Chunk<T, W>& chunk) {
    *reinterpret_cast<Chunk<T, W>*>(p) = chunk;
}

// x, rounded to T.
template <typename T, int W>
__device__ __forceinline__ Chunk<T, W> to_chunk(const float (&x)[W]) {
    Chunk<T, W> chunk;
    if constexpr (W == 1) {
        chunk.element = from_float<T>(x[0]);
    } else if constexpr (sizeof(T) == 4) {
#pragma unroll
        for (int j = 0; j < W; ++j) chunk.words[j] = __float_as_uint(x[j]);
    } else {
#pragma unroll
        for (int j = 0; j < W; j += 2) chunk.words[j / 2] = pack<T>(x[j], x[j + 1]);
    }
    return chunk;
}

// Element j is f(j), rounded to T.
template <typename T, int W, typename F>
__device__ __forceinline__ Chunk<T, W> make_chunk(F f) {
    float x[W];
#pragma unroll
    for (int j = 0; j < W; ++j) x[j] = f(j);
    return to_chunk<T>(x);
}

// The elements as floats.
template <typename T, int W>
__device__ __forceinline__ void to_floats(float (&x)[W], const Chunk<T, W>& chunk) {
#pragma unroll
    for (int j = 0; j < W; ++j) x[j] = chunk[j];
}

}  // namespace plainformer::cuda
