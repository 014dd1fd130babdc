// What stands between a raw score and the exponential: the cap, a mask and the distance as numbers
// that are added, and the range of keys that a row sees.
#pragma once
#include "gemm_tile.h"
#include "isa/extremes.h"
#include "isa/math.h"
#include "plainformer/attention_sequence.h"

namespace plainformer::PF_ISA {

constexpr double log2_e = 1.4426950408889634, ln_2 = 0.6931471805599453;

// ---- a range of a buffer of scores --------------------------------------------------------------

// Lanes [from, to) of a register take part.
struct Between {
    int from, to;
};

// a in the lanes that take part, b in the others.
template <typename A>
PF_INLINE Vec<A> select_lanes(Full, Vec<A> a, Vec<A>) {
    return a;
}
template <typename A>
PF_INLINE Vec<A> select_lanes(Between lanes, Vec<A> a, Vec<A> b) {
    return select(first_lanes<A>(lanes.to) & !first_lanes<A>(lanes.from), a, b);
}

// f(j, Full{} or Between) for every register that holds some of elements [begin, end), which is not
// empty. Registers begin where those of a whole buffer do, so that sums do not depend on the range;
// buffers may be read and written up to whole registers.
template <typename T, typename F>
PF_INLINE void for_range(KeyRange range, F&& f) {
    int64_t j = range.begin / lanes<T> * lanes<T>;
    const auto take_part = [&] {
        f(j, Between{static_cast<int>(greatest(0, range.begin - j)),
                     static_cast<int>(least(lanes<T>, range.end - j))});
    };
    if (j != range.begin) take_part(), j += lanes<T>;
    for (; j + lanes<T> <= range.end; j += lanes<T>) f(j, Full{});
    if (j < range.end) take_part();
}

// Elements [begin, end) without those of the registers of `range`.
template <typename T, typename P>
PF_INLINE void clear_around(P* p, int64_t begin, int64_t end, KeyRange range) {
    const int64_t first = range.empty() ? end : range.begin / lanes<T> * lanes<T>;
    const int64_t last = range.empty() ? end : round_up(range.end, lanes<T>);
    const VecOf<T> zero(acc_t<T>(0));
    for (int64_t j = begin; j < first; j += lanes<T>) store(p + j, Full{}, zero);
    for (int64_t j = last; j < end; j += lanes<T>) store(p + j, Full{}, zero);
}

// The part of a range of keys that lies within [key, key + count), counted from key.
PF_INLINE KeyRange within(KeyRange keys, int64_t key, int64_t count) {
    return {greatest(0, keys.begin - key), least(count, keys.end - key)};
}

// ---- masks --------------------------------------------------------------------------------------

// Additions in units of log2: what exp2 takes.
template <typename A>
void additions_of_bytes(A* to, const uint8_t* mask, int64_t stride, int64_t count) {
    const A hidden = lowest<A>;
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
    return select(hidden, VecOf<T>(lowest<T>), x * VecOf<T>(acc_t<T>(log2_e)));
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

// What is added to the scores of one head, row by row: the mask and the distance from the row to
// the key times the head's slope.
template <typename T>
class Additions {
  public:
    explicit Additions(const AttentionOptions& o) : mask_(o.mask), alibi_(o.alibi) {}

    void start(const Sequence& s, int64_t h) {
        mask_start_ = s.b * mask_.batch + h * mask_.head;
        diagonal_ = s.Lk - s.Lq;
        if (alibi_.data) slope_ = alibi_.data[s.b * alibi_.batch + h * alibi_.head];
        key_ = -1;
    }

    // For `count` keys from `key` and row i; null where nothing is added. The result stands until
    // the next call. A mask's row that is broadcast is converted once a strip.
    const acc_t<T>* row(int64_t i, int64_t key, int64_t count) {
        const acc_t<T>* of_mask = mask_row(i, key, count);
        if (!alibi_.data) return of_mask;
        const acc_t<T> slope = -slope_ * static_cast<acc_t<T>>(log2_e);
        const int32_t self = static_cast<int32_t>(i + diagonal_ - key);
        for (int32_t j = 0; j < count; ++j) {
            const int32_t distance = self < j ? j - self : self - j;
            sums_[j] = slope * static_cast<acc_t<T>>(distance);
        }
        if (of_mask)
            for (int64_t j = 0; j < count; ++j) sums_[j] += of_mask[j];
        return sums_;
    }

  private:
    const acc_t<T>* mask_row(int64_t i, int64_t key, int64_t count) {
        if (mask_.kind == MaskKind::none) return nullptr;
        if (mask_.row == 0 && key == key_ && count == count_) return converted_;
        key_ = key, count_ = count;
        const int64_t at = mask_start_ + i * mask_.row + key * mask_.column;
        if (mask_.kind == MaskKind::boolean)
            additions_of_bytes(converted_, static_cast<const uint8_t*>(mask_.data) + at,
                               mask_.column, count);
        else
            additions_of_values(converted_, static_cast<const T*>(mask_.data) + at, mask_.column,
                                count);
        return converted_;
    }

    const AttentionMask& mask_;
    const AlibiSlopes& alibi_;
    int64_t mask_start_ = 0, diagonal_ = 0;
    acc_t<T> slope_ = 0;
    int64_t key_ = -1, count_ = -1;
    alignas(64) acc_t<T> converted_[strip_keys];
    alignas(64) acc_t<T> sums_[strip_keys];
};

// ---- scores -------------------------------------------------------------------------------------

// From raw scores q k to units of log2: factor x, where x is the raw score or, with a cap, the
// hyperbolic tangent of `inner` times it.
template <typename T>
struct ScoreScale {
    explicit ScoreScale(const AttentionOptions& o)
        : capped(o.softcap != 0),
          inner(static_cast<acc_t<T>>(capped ? o.scale / o.softcap : 0)),
          factor(static_cast<acc_t<T>>((capped ? o.softcap : o.scale) * log2_e)) {}

    bool capped;
    acc_t<T> inner, factor;
};

// t = x factor + addition, -inf where the addition is: x may be NaN there.
template <typename T>
PF_INLINE VecOf<T> masked_score(VecOf<T> x, VecOf<T> factor, const acc_t<T>* additions) {
    if (!additions) return x * factor;
    const VecOf<T> hidden(lowest<T>), a = load(additions, Full{});
    return select(a == hidden, hidden, fma(x, factor, a));
}

// tanh(inner x) in place of x for the registers of a range.
template <typename T>
void cap_scores(acc_t<T>* s, KeyRange range, acc_t<T> inner) {
    for_range<T>(range, [&](int64_t j, auto) {
        store(s + j, Full{}, tanh(load(s + j, Full{}) * VecOf<T>(inner)));
    });
}

}  // namespace plainformer::PF_ISA
