// Whole-number arithmetic on sizes.
#pragma once
#include "plainformer/types.h"

namespace plainformer {

PF_INLINE constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
PF_INLINE constexpr int64_t greatest(int64_t a, int64_t b) { return a > b ? a : b; }

// How many pieces of size b hold a, which is not negative.
PF_INLINE constexpr int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

// a, or the next multiple of b.
PF_INLINE constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

}  // namespace plainformer
