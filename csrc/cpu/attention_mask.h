// Which keys a row of attention sees: the causal triangle as a count of keys, a mask as numbers
// that are added to the row's scores.
#pragma once
#include "gemm_tile.h"
#include "isa/math.h"
#include "plainformer/attention.h"

namespace plainformer::PF_ISA {

constexpr double log2_e = 1.4426950408889634, ln_2 = 0.6931471805599453;

// Keys that a tile of rows takes at a time: scores of 6 rows are 6 KB and stay in L1.
constexpr int64_t strip_keys = 256;

constexpr int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }
constexpr int64_t round_up_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <typename T>
inline constexpr acc_t<T> minus_inf = -static_cast<acc_t<T>>(__builtin_inff());

// How many of the keys [key, key + count) row i sees, which are the first ones.
PF_INLINE int64_t visible_keys(const AttentionOptions& o, int64_t i, int64_t key, int64_t count) {
    return o.causal ? greater(0, lesser(count, i + 1 - key)) : count;
}

// a in the lanes that take part, b in the others.
template <typename A>
PF_INLINE Vec<A> select_lanes(Full, Vec<A> a, Vec<A>) {
    return a;
}
template <typename A>
PF_INLINE Vec<A> select_lanes(Tail tail, Vec<A> a, Vec<A> b) {
    return select(first_lanes<A>(tail.n), a, b);
}

// ---- masks --------------------------------------------------------------------------------------

// Additions in units of log2: what exp2 takes.
template <typename A>
void additions_of_bytes(A* to, const uint8_t* mask, int64_t stride, int64_t count) {
    const A hidden = minus_inf<A>;
    if (stride == 1) {  // a loop of its own, which the compiler turns into vectors
        for (int64_t j = 0; j < count; ++j) to[j] = mask[j] ? A(0) : hidden;
    } else {
        for (int64_t j = 0; j < count; ++j) to[j] = mask[j * stride] ? A(0) : hidden;
    }
}

template <typename T>
PF_INLINE VecOf<T> addition(VecOf<T> x) {
    const acc_t<T> half_lowest = to_float(from_float<T>(-65504));  // in the mask's own precision
    const auto hidden = (x <= VecOf<T>(acc_t<T>(-1e30))) | (x == VecOf<T>(half_lowest));
    return select(hidden, VecOf<T>(minus_inf<T>), x * VecOf<T>(acc_t<T>(log2_e)));
}

template <typename T>
void additions_of_values(acc_t<T>* to, const T* mask, int64_t stride, int64_t count) {
    if (stride != 1)
        for (int64_t j = 0; j < count; ++j) to[j] = to_float(mask[j * stride]);
    for_lanes<T>(count, [&](int64_t j, auto tail) {
        const VecOf<T> x = stride == 1 ? load(mask + j, tail) : load(to + j, tail);
        store(to + j, tail, addition<T>(x));
    });
}

// The mask of one head, row by row.
template <typename T>
class MaskRows {
  public:
    MaskRows(const AttentionMask& mask, int64_t b, int64_t h)
        : mask_(mask), start_(b * mask.batch + h * mask.head) {}

    // What is added to the scores of row i for `count` keys from `key`; null where nothing is.
    // The result stands until the next call. A row that is broadcast is converted once a strip.
    const acc_t<T>* row(int64_t i, int64_t key, int64_t count) {
        if (mask_.kind == MaskKind::none) return nullptr;
        if (mask_.row == 0 && key == key_ && count == count_) return additions_;
        key_ = key, count_ = count;
        const int64_t at = start_ + i * mask_.row + key * mask_.column;
        if (mask_.kind == MaskKind::boolean)
            additions_of_bytes(additions_, static_cast<const uint8_t*>(mask_.data) + at,
                               mask_.column, count);
        else
            additions_of_values(additions_, static_cast<const T*>(mask_.data) + at, mask_.column,
                                count);
        return additions_;
    }

  private:
    const AttentionMask& mask_;
    const int64_t start_;
    int64_t key_ = -1, count_ = -1;
    acc_t<T> additions_[strip_keys];
};

// t = s scale + addition, -inf where the addition is: s may be NaN there.
template <typename T, typename Lanes>
PF_INLINE VecOf<T> masked_score(VecOf<T> s, acc_t<T> scale, const acc_t<T>* additions,
                                Lanes lanes) {
    if (!additions) return s * VecOf<T>(scale);
    const VecOf<T> hidden(minus_inf<T>), a = load(additions, lanes);
    return select(a == hidden, hidden, fma(s, VecOf<T>(scale), a));
}

}  // namespace plainformer::PF_ISA
