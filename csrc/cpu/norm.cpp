// Layer norm and RMS norm, forward. Formulas and shapes: plainformer/norm.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// Rows stay in L1 between the passes, so that a row costs one read and one write of memory.
#include "plainformer/norm.h"

#include "isa/dropout_row.h"    // drop_row
#include "isa/rows.h"           // for_row_blocks, RunningSum, fill, fill_two
#include "isa/vec.h"            // Vec, load, load_or
#include "runtime/allocator.h"  // Scratch

namespace plainformer::PF_ISA {

namespace {

template <typename A>
struct RowStats {
    A mean, delta, rstd;  // true mean = mean + delta
};

template <typename A>
PF_INLINE A sqrt_of(A x) {
    if constexpr (sizeof(A) == sizeof(float)) return __builtin_sqrtf(x);
    return __builtin_sqrt(x);
}

// Squares of numbers above 1e19 overflow float32; rows with such numbers are measured in this unit.
constexpr float large_unit = 0x1p96f;

// x is (C), taken in units of `unit`. The second pass finds the row in L1. delta is the first
// pass's rounding error; kept apart, it holds the error near 1e-6 even when |mean| >> deviation.
template <bool in_units, typename T>
PF_INLINE RowStats<acc_t<T>> measure_row(const T* x, int64_t C, bool rms, acc_t<T> eps,
                                         Reach reach) {
    using A = acc_t<T>;
    constexpr int parts = 4;
    const A unit = in_units ? A(large_unit) : A(1), inverse = 1 / unit;
    A mean = 0;
    if (!rms) {
        RunningSum<T, parts> sum;
        for_lanes_in_parts<T, parts>(C, reach, [&](int64_t c, int part, auto tail) {
            const auto v = load(x + c, tail);
            sum[part] = sum[part] + (in_units ? v * VecOf<T>(inverse) : v);
        });
        mean = sum.total() / static_cast<A>(C) * unit;
    }
    RunningSum<T, parts> shift, squares;
    for_lanes_in_parts<T, parts>(C, reach, [&](int64_t c, int part, auto tail) {
        const auto centered = load_or(x + c, tail, mean) - VecOf<T>(mean);  // 0 past the end
        const auto d = in_units ? centered * VecOf<T>(inverse) : centered;
        if (!rms) shift[part] = shift[part] + d;
        squares[part] = fma(d, d, squares[part]);
    });
    const A delta = rms ? A(0) : shift.total() / static_cast<A>(C);
    const A variance = squares.total() / static_cast<A>(C) - delta * delta;
    return {mean, delta * unit, inverse / sqrt_of(variance + eps * inverse * inverse)};
}

template <typename T>
PF_INLINE RowStats<acc_t<T>> row_stats(const T* x, int64_t C, bool rms, acc_t<T> eps, Reach reach) {
    const RowStats<acc_t<T>> stats = measure_row<false>(x, C, rms, eps, reach);
    if (stats.rstd > 0) return stats;
    return measure_row<true>(x, C, rms, eps, reach);
}

// Elements of y from those of a row s, in registers.
template <typename T, typename W>
struct Normalized {
    const T* row;
    const W *weight, *bias;
    VecOf<T> mean, rstd, shift;

    PF_INLINE Normalized(const T* row, const W* weight, const W* bias, RowStats<acc_t<T>> stats)
        : row(row),
          weight(weight),
          bias(bias),
          mean(stats.mean),
          rstd(stats.rstd),
          shift(-stats.delta * stats.rstd) {}

    template <typename Lanes>
    PF_INLINE VecOf<T> at(int64_t c, Lanes tail) const {
        const auto v = fma(load(row + c, tail) - mean, rstd, shift);
        if (weight && bias) return fma(v, load(weight + c, tail), load(bias + c, tail));
        if (weight) return v * load(weight + c, tail);
        return bias ? v + load(bias + c, tail) : v;
    }
};

// sum (C) = row n of x, or what dropout leaves of it, plus its residual.
template <typename T>
PF_INLINE void add_residual(T* sum, const NormArgs<T>& s, int64_t n, Reach reach) {
    const T* x = s.x + n * s.x_stride;
    if (s.dropout.threshold > 0) {
        drop_row(sum, x, s.C, s.dropout, n, reach);
        x = sum;
    }
    const T* residual = s.residual + n * s.residual_stride;
    fill(sum, s.C, reach,
         [&](int64_t c, auto tail) { return load(x + c, tail) + load(residual + c, tail); });
}

// Row n. A sum that goes past the caches is made in `room` (C), where the statistics find it.
template <typename T, typename W>
PF_INLINE void norm_row(const NormArgs<T>& s, const W* weight, const W* bias, int64_t n, T* room,
                        Reach reach) {
    const T* x = s.x + n * s.x_stride;
    T *const y = s.y + n * s.C, *const sum = s.residual ? s.sum + n * s.C : nullptr;
    if (s.residual) {
        T* const made = reach == Reach::past ? room : sum;
        add_residual(made, s, n, kept(reach));
        x = made;
    }
    const RowStats<acc_t<T>> stats =
        row_stats(x, s.C, s.rms, s.eps, s.residual ? Reach::near : reach);
    const Normalized<T, W> normalized(x, weight, bias, stats);
    if (s.residual && reach == Reach::past)
        fill_two(y, sum, s.C, reach, [&](int64_t c, auto tail) -> TwoRegisters<T> {
            return {normalized.at(c, tail), load(x + c, tail)};
        });
    else
        fill(y, s.C, reach, [&](int64_t c, auto tail) { return normalized.at(c, tail); });
    if (s.mean) s.mean[n] = stats.mean + stats.delta;
    if (s.rstd) s.rstd[n] = stats.rstd;
}

template <typename T, typename W>
void norm_rows(const NormArgs<T>& s, const W* weight, const W* bias) {
    const Reach reach = reach_of<T>((s.residual ? 4 : 2) * s.N * s.C);
    for_row_blocks(s.N, s.C, reach, [&](int64_t begin, int64_t end) {
        const Scratch<T> room(s.residual && reach == Reach::past ? s.C : 0);
        for (int64_t n = begin; n < end; ++n) norm_row(s, weight, bias, n, room.data, reach);
    });
}

}  // namespace

template <typename T>
void norm(const NormArgs<T>& s) {
    if (s.weight_acc || s.bias_acc)
        norm_rows(s, s.weight_acc, s.bias_acc);
    else
        norm_rows(s, s.weight, s.bias);
}
PF_INSTANTIATE(norm, NormArgs)

}  // namespace plainformer::PF_ISA
