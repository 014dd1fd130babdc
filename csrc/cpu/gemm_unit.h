// What one lane of a GEMM multiplies in one step along K.
//
// float and double: one value. bfloat16: a pair of neighbors along K where the level has the
// pairwise dot product (PF_BFLOAT_PAIRS), else one value widened to float when it is packed. All
// layouts and loops below are written in units, so there is one of each.
#pragma once
#include "isa/vec.h"
#include "plainformer/arith.h"

namespace plainformer::PF_ISA {

#if defined(PF_AMX) && !defined(PF_BFLOAT_PAIRS)
#define PF_BFLOAT_PAIRS  // tiles hold pairs, whatever registers do
#endif
#ifdef PF_BFLOAT_PAIRS
// Elements k (low half) and k + 1 of a row of A or of a column of B.
struct BfloatPair {
    uint32_t bits;
};
#endif

template <typename T>
struct GemmUnit {
    using type = acc_t<T>;
    static constexpr int elements = 1;  // along K
};
#ifdef PF_BFLOAT_PAIRS
template <>
struct GemmUnit<bfloat16> {
    using type = BfloatPair;
    static constexpr int elements = 2;
};
#endif

template <typename T>
using unit_t = typename GemmUnit<T>::type;

template <typename T>
inline constexpr int64_t unit_elements = GemmUnit<T>::elements;

// A unit as panels keep it from call to call: bfloat16 that is widened one by one stays narrow,
// half the memory to stream, and is widened when it is read.
template <typename T, int64_t elements = unit_elements<T>>
struct KeptUnit {
    using type = unit_t<T>;
};
template <>
struct KeptUnit<bfloat16, 1> {
    using type = bfloat16;
};
template <typename T>
using kept_t = typename KeptUnit<T>::type;

template <typename T>
inline constexpr bool kept_as_units = sizeof(kept_t<T>) == sizeof(unit_t<T>);

// A is read where it stands if its elements are units already.
template <typename T>
inline constexpr bool stored_as_units = sizeof(T) * unit_elements<T> == sizeof(unit_t<T>);

// Steps of a panel for K: as many as hold it, or whole tiles of AMX, the rest of them zero.
#ifdef PF_AMX
constexpr int64_t steps_multiple = 16;
#else
constexpr int64_t steps_multiple = 1;
#endif
template <typename T>
constexpr int64_t units_of(int64_t K) {
    return round_up(ceil_div(K, unit_elements<T>), steps_multiple);
}

// Registers of units and the step of the sum: acc + a b.
template <typename A>
PF_INLINE Vec<A> load_units(const A* p) {
    return load(p, Full{});
}
PF_INLINE Vec<float> load_units(const bfloat16* p) { return load(p, Full{}); }
template <typename A>
PF_INLINE void store_units(A* p, Vec<A> units) {
    store(p, Full{}, units);
}
PF_INLINE void store_units(bfloat16* p, Vec<float> units) { store(p, Full{}, units); }
template <typename A>
PF_INLINE Vec<A> broadcast_unit(const void* p, const A*) {
    A value;
    __builtin_memcpy(&value, p, sizeof value);
    return Vec<A>(value);
}
template <typename A>
PF_INLINE Vec<A> multiply_add(Vec<A> a, Vec<A> b, Vec<A> acc) {
    return fma(a, b, acc);
}
// sum = a b + sum.
#if defined(__AVX2__) && defined(__FMA__) && !defined(__AVX512F__)
// In the register where the sum is: left to itself GCC 12 puts the result over a factor where that
// is free, and of twelve sums in sixteen registers it then moves some to the stack.
PF_INLINE void add_product(Vec<float>& sum, Vec<float> a, Vec<float> b) {
    asm("vfmadd231ps %2, %1, %0" : "+x"(sum.v) : "x"(a.v), "x"(b.v));
}
#else
template <typename A>
PF_INLINE void add_product(Vec<A>& sum, Vec<A> a, Vec<A> b) {
    sum = fma(a, b, sum);
}
#endif
#ifdef PF_BFLOAT_PAIRS
PF_INLINE void store_units(BfloatPair* p, Vec<float> units) {
    store(reinterpret_cast<float*>(p), Full{}, units);
}
#endif
#if defined(PF_BFLOAT_PAIRS) && !defined(PF_AMX)
PF_INLINE VecI load_units(const BfloatPair* p) {
    return load_int(reinterpret_cast<const int32_t*>(p));
}
PF_INLINE VecI broadcast_unit(const void* p, const BfloatPair*) {
    int32_t bits;
    __builtin_memcpy(&bits, p, sizeof bits);
    return VecI(bits);
}
PF_INLINE Vec<float> multiply_add(VecI a, VecI b, Vec<float> acc) { return dot_pairs(a, b, acc); }
PF_INLINE void add_product(Vec<float>& sum, VecI a, VecI b) { sum = dot_pairs(a, b, sum); }
#endif

}  // namespace plainformer::PF_ISA
