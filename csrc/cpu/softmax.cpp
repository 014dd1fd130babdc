// softmax and log_softmax, forward and backward. Formulas and shapes: plainformer/softmax.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// Along the last axis (M = 1) lanes run along the axis; along any other they run across it, so that
// no array is transposed. A row, or a block of columns, stays in L1 or L2 between the passes.
#include "plainformer/softmax.h"

#include "isa/extremes.h"       // lowest, log_of_sum
#include "isa/largest.h"        // largest_of
#include "isa/math.h"           // exp, log
#include "isa/rows.h"           // fill, for_rows, for_column_blocks, RunningSum
#include "isa/vec.h"            // Vec, load, load_or, store, for_lanes
#include "runtime/allocator.h"  // Scratch

namespace plainformer::PF_ISA {

namespace {

// The place in a 4096 bytes larger room where stores keep 2048 bytes, modulo 4096, from the loads
// from x, which would wait for them: see stored_together.
template <typename A>
PF_INLINE A* apart_from(A* room, const void* x) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(room);
    const uintptr_t gap = (reinterpret_cast<uintptr_t>(x) + 2048 - begin) % 4096;
    return room + gap / 64 * 64 / sizeof(A);
}

// y, x (L). e (L) is room for the exponentials, null where they are computed twice.
template <typename T>
void softmax_row(T* y, const T* x, acc_t<T>* e, int64_t L, Reach reach) {
    const VecOf<T> shift(largest_of(x, L, reach));
    RunningSum<T, 2> sum;
    for_lanes_in_parts<T, 2>(L, [&](int64_t i, int part, auto tail) {
        const auto v = exp(load_or(x + i, tail, lowest<T>) - shift);
        sum[part] = sum[part] + v;
        if (e) store(e + i, tail, v);
    });
    const VecOf<T> inverse(1 / sum.total());
    if (e)
        fill(y, L, reach, [&](int64_t i, auto tail) { return load(e + i, tail) * inverse; });
    else
        fill(y, L, reach,
             [&](int64_t i, auto tail) { return exp(load(x + i, tail) - shift) * inverse; });
}

template <typename T>
void log_softmax_row(T* y, const T* x, int64_t L, Reach reach) {
    const VecOf<T> shift(largest_of(x, L, reach));
    RunningSum<T, 2> sum;
    for_lanes_in_parts<T, 2>(L, [&](int64_t i, int part, auto tail) {
        sum[part] = sum[part] + exp(load_or(x + i, tail, lowest<T>) - shift);
    });
    const VecOf<T> log_sum(log_of_sum(sum.total()));
    fill(y, L, reach, [&](int64_t i, auto tail) { return (load(x + i, tail) - shift) - log_sum; });
}

// y, x (L, M); the columns 0 .. count - 1, at most column_block. What is known of each column stays
// in L1 while rows go by.
template <typename T>
void softmax_columns(T* y, const T* x, int64_t L, int64_t M, int64_t count, bool log_form,
                     Reach reach) {
    using A = acc_t<T>;
    alignas(64) A largest[column_block], sum[column_block];
    for (int64_t c = 0; c < count; ++c) largest[c] = lowest<T>, sum[c] = 0;
    for (int64_t l = 0; l < L; ++l, x += M)
        for_lanes<T>(count, [&](int64_t c, auto tail) {
            store(largest + c, tail, max(load(x + c, tail), load(largest + c, tail)));
        });
    x -= L * M;
    for (int64_t l = 0; l < L; ++l, x += M)
        for_lanes<T>(count, [&](int64_t c, auto tail) {
            const auto e = exp(load(x + c, tail) - load(largest + c, tail));
            store(sum + c, tail, load(sum + c, tail) + e);
        });
    x -= L * M;
    for_lanes<T>(count, [&](int64_t c, auto tail) {
        const auto total = load(sum + c, tail);
        store(sum + c, tail, log_form ? log(total) : VecOf<T>(A(1)) / total);
    });
    for (int64_t l = 0; l < L; ++l, x += M, y += M)
        fill(y, count, reach, [&](int64_t c, auto tail) {
            const auto d = load(x + c, tail) - load(largest + c, tail), last = load(sum + c, tail);
            return log_form ? d - last : exp(d) * last;
        });
}

template <typename T>
void softmax_last_axis(const SoftmaxArgs<T>& s) {
    const Reach reach = reach_of<T>(2 * s.N * s.L);
    for_row_blocks(s.N, s.L, reach, [&](int64_t begin, int64_t end) {
        const bool keep = !s.log && s.L <= kept_exponentials;
        const Scratch<acc_t<T>> room(keep ? s.L + 4096 / sizeof(acc_t<T>) : 0);
        for (int64_t n = begin; n < end; ++n) {
            const T* x_n = s.x + n * s.x_stride;
            T* y_n = s.y + n * s.L;
            if (s.log)
                log_softmax_row(y_n, x_n, s.L, reach);
            else
                softmax_row(y_n, x_n, keep ? apart_from(room.data, x_n) : nullptr, s.L, reach);
        }
    });
}

}  // namespace

template <typename T>
void softmax(const SoftmaxArgs<T>& s) {
    if (s.M == 1) return softmax_last_axis(s);
    const Reach reach = kept(reach_of<T>(2 * s.N * s.L * s.M));  // runs are short
    for_column_blocks<T>(s.N, s.L, s.M, reach, [&](int64_t n, int64_t c, int64_t count) {
        softmax_columns(s.y + n * s.L * s.M + c, s.x + n * s.x_stride + c, s.L, s.M, count, s.log,
                        reach);
    });
}
PF_INSTANTIATE(softmax, SoftmaxArgs)

namespace {

// dx, dy, y (L)
template <typename T>
void softmax_backward_row(T* dx, const T* dy, const T* y, int64_t L, bool log_form, Reach reach) {
    RunningSum<T, 4> sum;
    for_lanes_in_parts<T, 4>(L, reach, [&](int64_t i, int part, auto tail) {
        const auto d = load(dy + i, tail);
        sum[part] = log_form ? sum[part] + d : fma(d, load(y + i, tail), sum[part]);
    });
    const VecOf<T> total(sum.total());
    fill(dx, L, reach, [&](int64_t i, auto tail) {
        const auto d = load(dy + i, tail), v = load(y + i, tail);
        return log_form ? fnma(exp(v), total, d) : v * (d - total);
    });
}

// dx, dy, y (L, M); the columns 0 .. count - 1, at most column_block
template <typename T>
void softmax_backward_columns(T* dx, const T* dy, const T* y, int64_t L, int64_t M, int64_t count,
                              bool log_form, Reach reach) {
    alignas(64) acc_t<T> sum[column_block] = {};
    for (int64_t l = 0; l < L; ++l)
        for_lanes<T>(count, [&](int64_t c, auto tail) {
            const auto d = load(dy + l * M + c, tail), before = load(sum + c, tail);
            store(sum + c, tail, log_form ? before + d : fma(d, load(y + l * M + c, tail), before));
        });
    for (int64_t l = 0; l < L; ++l)
        fill(dx + l * M, count, reach, [&](int64_t c, auto tail) {
            const auto d = load(dy + l * M + c, tail), v = load(y + l * M + c, tail);
            const auto total = load(sum + c, tail);
            return log_form ? fnma(exp(v), total, d) : v * (d - total);
        });
}

}  // namespace

template <typename T>
void softmax_backward(const SoftmaxBackwardArgs<T>& s) {
    const Reach reach = reach_of<T>(3 * s.N * s.L * s.M);
    if (s.M == 1)
        return for_rows(s.N, s.L, reach, [&](int64_t n) {
            softmax_backward_row(s.dx + n * s.L, s.dy + n * s.dy_stride, s.y + n * s.y_stride, s.L,
                                 s.log, reach);
        });
    const Reach columns = kept(reach);
    for_column_blocks<T>(s.N, s.L, s.M, columns, [&](int64_t n, int64_t c, int64_t count) {
        softmax_backward_columns(s.dx + n * s.L * s.M + c, s.dy + n * s.dy_stride + c,
                                 s.y + n * s.y_stride + c, s.L, s.M, count, s.log, columns);
    });
}
PF_INSTANTIATE(softmax_backward, SoftmaxBackwardArgs)

}  // namespace plainformer::PF_ISA
