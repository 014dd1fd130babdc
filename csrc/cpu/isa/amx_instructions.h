// The eight functions of amx.h as instructions. The compiler's own intrinsics take a register's
// number as text, which no template can give them.
#pragma once

namespace plainformer::PF_ISA {

// Before the first use of a tile on a thread; all tiles become zero.
PF_INLINE void tile_configure() { __asm__ volatile("ldtilecfg %0" ::"m"(whole_tiles)); }
// After the last: the thread's switches need not save 8 KB any more.
PF_INLINE void tile_release() { __asm__ volatile("tilerelease" ::: "memory"); }

template <int t>
PF_INLINE void tile_zero() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(t));
}

// 16 rows of 64 bytes, `stride` bytes apart.
template <int t>
PF_INLINE void tile_load(const void* rows, int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(rows), "r"(stride), "i"(t) : "memory");
}
// The same of memory that is read once.
template <int t>
PF_INLINE void tile_load_once(const void* rows, int64_t stride) {
    __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" ::"r"(rows), "r"(stride), "i"(t) : "memory");
}
template <int t>
PF_INLINE void tile_store(void* rows, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(rows), "r"(stride), "i"(t) : "memory");
}

// d (16 x 16 float32) += a (16 rows x 32 bfloat16) b (16 pairs of rows x 16 columns).
template <int d, int a, int b>
PF_INLINE void tile_dot_bf16() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(d), "i"(a), "i"(b));
}
// d (16 x 16 int32) += a (16 rows x 64 uint8) b (16 fours of rows x 16 columns int8).
template <int d, int a, int b>
PF_INLINE void tile_dot_u8s8() {
    __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(d), "i"(a), "i"(b));
}

}  // namespace plainformer::PF_ISA
