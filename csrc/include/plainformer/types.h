// Element types of the kernels, shared by both backends.
#pragma once
#include <cstddef>
#include <cstdint>

// Inline members of what all ISA levels share cannot be static. So that no level's copy is emitted,
// which the linker could keep for all of them, they are always inlined.
#define PF_INLINE inline __attribute__((always_inline))

namespace plainformer {

// Upper half of a float32. A struct, so that no arithmetic happens on the bits by accident.
struct bfloat16 {
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

enum class DType : int { unsupported, float32, bfloat16, float64, int32, int64, boolean };

template <typename T>
inline constexpr DType dtype_of = DType::unsupported;
template <>
inline constexpr DType dtype_of<float> = DType::float32;
template <>
inline constexpr DType dtype_of<bfloat16> = DType::bfloat16;
template <>
inline constexpr DType dtype_of<double> = DType::float64;

}  // namespace plainformer
