// Registers whose memory lies beyond L2.
//
// AVX-512 moves float32 there by halves: Zen 5 has lines from beyond L2 up to 1.4 times sooner for
// 32-byte loads and stores than for 64-byte ones, and those from arrays of NumPy, 16 bytes past a
// line, would all cross two. docs/notes/pointwise.md
#pragma once
#include "isa/vec.h"

namespace plainformer::PF_ISA {

// All lanes take part, as with Full.
struct Far {};

// Whether Far makes a difference.
template <typename T>
inline constexpr bool has_far = false;

template <typename T>
PF_INLINE VecOf<T> load(const T* p, Far) {
    return load(p, Full{});
}
template <typename T>
PF_INLINE void store(T* p, Far, VecOf<T> v) {
    store(p, Full{}, v);
}

#ifdef __AVX512F__
template <>
inline constexpr bool has_far<float> = true;

PF_INLINE Vec<float> load(const float* p, Far) {
    const __m512 low = _mm512_castps256_ps512(_mm256_loadu_ps(p));
    return _mm512_insertf32x8(low, _mm256_loadu_ps(p + 8), 1);
}
PF_INLINE void store(float* p, Far, Vec<float> v) {
    _mm256_storeu_ps(p, _mm512_castps512_ps256(v.v));
    _mm256_storeu_ps(p + 8, _mm512_extractf32x8_ps(v.v, 1));
}
#endif

template <typename T>
PF_INLINE VecOf<T> load_or(const T* p, Far, acc_t<T>) {
    return load(p, Far{});
}

}  // namespace plainformer::PF_ISA
