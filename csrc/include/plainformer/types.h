// Element types of the kernels, and what holds for every header in this folder: they say what both
// backends share, and nothing of either.
//
// An operation takes one argument struct, which it only reads. Its pointers are to the memory of
// the device that computes, and aligned to their elements; strides count elements. What else a
// backend needs (a stream, memory to work in) it takes beside the struct, never in it.
#pragma once
#include <cstddef>
#include <cstdint>

// What kernels call. Always inlined, because each ISA level compiles its own copy: if one was
// emitted, the linker could keep that of another level.
#ifdef __CUDACC__
#define PF_INLINE __host__ __device__ __forceinline__
#else
#define PF_INLINE inline __attribute__((always_inline))
#endif

namespace plainformer {

// Upper half of a float32. A struct, so that no arithmetic happens on the bits by accident.
struct bfloat16 {
    uint16_t bits;
};

// IEEE binary16. Device kernels compute in it; the CPU reads it from checkpoints only.
struct float16 {
    uint16_t bits;
};

// The type in which sums, statistics and losses of T are kept.
template <typename T>
struct Accumulator {
    using type = float;
};
template <>
struct Accumulator<double> {
    using type = double;
};
template <typename T>
using acc_t = typename Accumulator<T>::type;

enum class DType : int { unsupported, float32, bfloat16, float16, float64, int32, int64, boolean };

template <typename T>
inline constexpr DType dtype_of = DType::unsupported;
template <>
inline constexpr DType dtype_of<float> = DType::float32;
template <>
inline constexpr DType dtype_of<bfloat16> = DType::bfloat16;
template <>
inline constexpr DType dtype_of<float16> = DType::float16;
template <>
inline constexpr DType dtype_of<double> = DType::float64;

}  // namespace plainformer
