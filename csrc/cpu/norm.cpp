// Layer norm and RMS norm, forward. Formulas and shapes: plainformer/norm.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// Rows stay in L1 between the passes, so that a row costs one read and one write of memory.
#include "plainformer/norm.h"

#include "isa/dropout_row.h"  // drop_row
#include "isa/rows.h"         // for_rows, RunningSum, put
#include "isa/vec.h"          // Vec, load, load_or, store, for_lanes

namespace plainformer::PF_ISA {

namespace {

template <typename A>
struct RowStats {
    A mean, delta, rstd;  // true mean = mean + delta
};

PF_INLINE float sqrt_of(float x) { return __builtin_sqrtf(x); }
PF_INLINE double sqrt_of(double x) { return __builtin_sqrt(x); }

// Squares of numbers above 1e19 overflow float32; rows with such numbers are measured in this unit.
constexpr float large_unit = 0x1p96f;

// x is (C), taken in units of `unit`. The second pass finds the row in L1. delta is the first
// pass's rounding error; kept apart, it holds the error near 1e-6 even when |mean| >> deviation.
template <bool in_units, typename T>
PF_INLINE RowStats<acc_t<T>> measure_row(const T* x, int64_t C, bool rms, acc_t<T> eps) {
    using A = acc_t<T>;
    constexpr int parts = 4;
    const A unit = in_units ? A(large_unit) : A(1), inverse = 1 / unit;
    A mean = 0;
    if (!rms) {
        RunningSum<T, parts> sum;
        for_lanes_in_parts<T, parts>(C, [&](int64_t c, int part, auto tail) {
            const auto v = load(x + c, tail);
            sum[part] = sum[part] + (in_units ? v * VecOf<T>(inverse) : v);
        });
        mean = sum.total() / static_cast<A>(C) * unit;
    }
    RunningSum<T, parts> shift, squares;
    for_lanes_in_parts<T, parts>(C, [&](int64_t c, int part, auto tail) {
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
PF_INLINE RowStats<acc_t<T>> row_stats(const T* x, int64_t C, bool rms, acc_t<T> eps) {
    const RowStats<acc_t<T>> stats = measure_row<false>(x, C, rms, eps);
    if (stats.rstd > 0) return stats;
    return measure_row<true>(x, C, rms, eps);
}

template <typename T>
PF_INLINE void add_rows(T* sum, const T* a, const T* b, int64_t C) {
    for_lanes_to(sum, a, C, false, [&](int64_t c, auto tail) {
        store(sum + c, tail, load(a + c, tail) + load(b + c, tail));
    });
}

// y (C) from x (C)
template <typename T, typename W>
PF_INLINE void apply_row(T* y, const T* x, const W* weight, const W* bias, RowStats<acc_t<T>> stats,
                         int64_t C, bool past_caches) {
    const VecOf<T> mean(stats.mean), rstd(stats.rstd), shift(-stats.delta * stats.rstd);
    for_lanes_to(y, x, C, past_caches, [&](int64_t c, auto tail) {
        auto v = fma(load(x + c, tail) - mean, rstd, shift);
        if (weight && bias)
            v = fma(v, load(weight + c, tail), load(bias + c, tail));
        else if (weight)
            v = v * load(weight + c, tail);
        else if (bias)
            v = v + load(bias + c, tail);
        put(y + c, tail, v, past_caches);
    });
}

template <typename T, typename W>
void norm_rows(const NormArgs<T>& s, const W* weight, const W* bias) {
    const bool past_caches = goes_past_caches<T>(s.N * s.C);
    for_rows(s.N, s.C, past_caches, [&](int64_t n) {
        const T* x_n = s.x + n * s.x_stride;
        if (s.residual) {
            T* sum_n = s.sum + n * s.C;
            if (s.dropout.threshold > 0) {
                drop_row(sum_n, x_n, s.C, s.dropout, n, false);
                x_n = sum_n;
            }
            add_rows(sum_n, x_n, s.residual + n * s.residual_stride, s.C);
            x_n = sum_n;
        }
        const RowStats<acc_t<T>> stats = row_stats(x_n, s.C, s.rms, s.eps);
        apply_row(s.y + n * s.C, x_n, weight, bias, stats, s.C, past_caches);
        if (s.mean) s.mean[n] = stats.mean + stats.delta;
        if (s.rstd) s.rstd[n] = stats.rstd;
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
