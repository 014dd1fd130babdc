// The vector interface that every CPU kernel is written in: Vec<A>, a register of lanes of A
// (float at every level, double at the generic one), and about forty operations on it.
//
// A kernel file is compiled once an ISA level into namespace plainformer::PF_ISA. Lane counts
// differ between levels; elementwise results do not, except that the generic level has no fused
// multiply-add. No standard header with out-of-line code may be included here: its AVX-512 copy
// could win at link time and crash an older processor.
#pragma once
#include "plainformer/types.h"

#ifndef PF_ISA
#error "compile kernel units through CMake: PF_ISA names the ISA level's namespace"
#endif

namespace plainformer::PF_ISA {

template <typename A>
struct Vec;

// How many of a register's lanes take part: all of them, or the first n.
struct Full {};
struct Tail {
    int n;
};

}  // namespace plainformer::PF_ISA

#if defined(__AVX512F__)
#include "isa/vec_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "isa/vec_avx2.h"
#elif defined(__aarch64__) && !defined(PF_ISA_IS_GENERIC)
#define PF_NEON
#include "isa/vec_neon.h"
#else
#include "isa/vec_generic.h"
#endif

namespace plainformer::PF_ISA {

template <typename T>
using VecOf = Vec<acc_t<T>>;

template <typename T>
inline constexpr int64_t lanes = VecOf<T>::width;

// f(i, Full{}) for every whole register of n elements of T, then f(i, Tail{rest}) if any are left.
template <typename T, typename F>
PF_INLINE void for_lanes(int64_t n, F&& f) {
    int64_t i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) f(i, Full{});
    if (i < n) f(i, Tail{static_cast<int>(n - i)});
}

template <typename T>
PF_INLINE VecOf<T> load(const T* p) {
    return load(p, Full{});
}

template <typename T>
PF_INLINE void store(T* p, VecOf<T> v) {
    store(p, Full{}, v);
}

// Lanes past the tail read `fill`, which is no memory access.
template <typename T>
PF_INLINE VecOf<T> load_or(const T* p, Full, acc_t<T>) {
    return load(p, Full{});
}
template <typename T>
PF_INLINE VecOf<T> load_or(const T* p, Tail tail, acc_t<T> fill) {
    return select(first_lanes<acc_t<T>>(tail.n), load(p, tail), VecOf<T>(fill));
}

// One element, widened to or rounded from its accumulator type.
PF_INLINE float to_float(float x) { return x; }
PF_INLINE double to_float(double x) { return x; }
PF_INLINE float to_float(bfloat16 x) {
    const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float f;
    __builtin_memcpy(&f, &bits, sizeof f);
    return f;
}

template <typename T>
PF_INLINE T from_float(acc_t<T> x) {
    return x;
}
template <>
PF_INLINE bfloat16 from_float<bfloat16>(float x) {  // to nearest, ties to even; NaN stays NaN
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    if (x != x) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
    return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

}  // namespace plainformer::PF_ISA

// Instantiates a kernel for the types this level serves: float64 only at the generic level,
// bfloat16 alone at AMX's, which takes all else from the level below.
#define PF_INSTANTIATE_FLOATS(op, Args)          \
    template void op<float>(const Args<float>&); \
    template void op<bfloat16>(const Args<bfloat16>&);
#if defined(PF_AMX)
#define PF_INSTANTIATE(op, Args) template void op<bfloat16>(const Args<bfloat16>&);
#elif defined(PF_ISA_IS_GENERIC)
#define PF_INSTANTIATE(op, Args)    \
    PF_INSTANTIATE_FLOATS(op, Args) \
    template void op<double>(const Args<double>&);
#else
#define PF_INSTANTIATE(op, Args) PF_INSTANTIATE_FLOATS(op, Args)
#endif
