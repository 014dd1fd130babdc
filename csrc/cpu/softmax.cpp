// softmax and log_softmax, forward and backward. Formulas and shapes: plainformer/softmax.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// Along the last axis (M = 1) lanes run along the axis; along any other they run across it, so that
// no array is transposed. A row, or a block of columns, stays in L1 or L2 between the passes.
#include "plainformer/softmax.h"

#include "isa/extremes.h"       // lowest, largest_of, log_of_sum
#include "isa/math.h"           // exp, log
#include "isa/rows.h"           // for_rows, for_column_blocks, RunningSum, put
#include "isa/vec.h"            // Vec, load, load_or, store, for_lanes
#include "runtime/allocator.h"  // Scratch

namespace plainformer::PF_ISA {

namespace {

// The place in a 4096 bytes larger room where stores keep 2048 bytes, modulo 4096, from the loads
// from x: see loads_meet_stores.
template <typename A>
PF_INLINE A* apart_from(A* room, const void* x) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(room);
    const uintptr_t gap = (reinterpret_cast<uintptr_t>(x) + 2048 - begin) % 4096;
    return room + gap / 64 * 64 / sizeof(A);
}

// y, x (L). e (L) is room for the exponentials, null where they are computed twice.
template <typename T>
void softmax_row(T* y, const T* x, acc_t<T>* e, int64_t L, bool past_caches) {
    const VecOf<T> shift(largest_of(x, L));
    RunningSum<T, 2> sum;
    for_lanes_in_parts<T, 2>(L, [&](int64_t i, int part, auto tail) {
        const auto v = exp(load_or(x + i, tail, lowest<T>) - shift);
        sum[part] = sum[part] + v;
        if (e) store(e + i, tail, v);
    });
    const VecOf<T> inverse(1 / sum.total());
    for_lanes_to(y, e ? static_cast<const void*>(e) : x, L, past_caches, [&](int64_t i, auto tail) {
        const auto v = e ? load(e + i, tail) : exp(load(x + i, tail) - shift);
        put(y + i, tail, v * inverse, past_caches);
    });
}

template <typename T>
void log_softmax_row(T* y, const T* x, int64_t L, bool past_caches) {
    const VecOf<T> shift(largest_of(x, L));
    RunningSum<T, 2> sum;
    for_lanes_in_parts<T, 2>(L, [&](int64_t i, int part, auto tail) {
        sum[part] = sum[part] + exp(load_or(x + i, tail, lowest<T>) - shift);
    });
    const VecOf<T> log_sum(log_of_sum(sum.total()));
    for_lanes_to(y, x, L, past_caches, [&](int64_t i, auto tail) {
        put(y + i, tail, (load(x + i, tail) - shift) - log_sum, past_caches);
    });
}

// y, x (L, M); the columns 0 .. count - 1, at most column_parts registers of them.
template <typename T>
void softmax_columns(T* y, const T* x, int64_t L, int64_t M, int64_t count, bool log_form) {
    constexpr int parts = column_parts;
    VecOf<T> largest[parts];
    for (auto& v : largest) v = VecOf<T>(lowest<T>);
    for (int64_t l = 0; l < L; ++l)
        for_lanes_in_parts<T, parts>(count, [&](int64_t c, int part, auto tail) {
            largest[part] = max(load(x + l * M + c, tail), largest[part]);
        });
    RunningSum<T, parts> sum;
    for (int64_t l = 0; l < L; ++l)
        for_lanes_in_parts<T, parts>(count, [&](int64_t c, int part, auto tail) {
            sum[part] = sum[part] + exp(load(x + l * M + c, tail) - largest[part]);
        });
    VecOf<T> last[parts];
    for (int part = 0; part < parts; ++part)
        last[part] = log_form ? log(sum[part]) : VecOf<T>(acc_t<T>(1)) / sum[part];
    for (int64_t l = 0; l < L; ++l)
        for_lanes_in_parts<T, parts>(count, [&](int64_t c, int part, auto tail) {
            const auto d = load(x + l * M + c, tail) - largest[part];
            store(y + l * M + c, tail, log_form ? d - last[part] : exp(d) * last[part]);
        });
}

template <typename T>
void softmax_last_axis(const SoftmaxArgs<T>& s) {
    const bool past_caches = goes_past_caches<T>(s.N * s.L);
    for_row_blocks(s.N, s.L, past_caches, [&](int64_t begin, int64_t end) {
        const bool keep = !s.log && s.L <= kept_exponentials;
        const Scratch<acc_t<T>> room(keep ? s.L + 4096 / sizeof(acc_t<T>) : 0);
        for (int64_t n = begin; n < end; ++n) {
            const T* x_n = s.x + n * s.x_stride;
            T* y_n = s.y + n * s.L;
            if (s.log)
                log_softmax_row(y_n, x_n, s.L, past_caches);
            else
                softmax_row(y_n, x_n, keep ? apart_from(room.data, x_n) : nullptr, s.L,
                            past_caches);
        }
    });
}

}  // namespace

template <typename T>
void softmax(const SoftmaxArgs<T>& s) {
    if (s.M == 1) return softmax_last_axis(s);
    for_column_blocks<T>(s.N, s.L, s.M, [&](int64_t n, int64_t c, int64_t count) {
        softmax_columns(s.y + n * s.L * s.M + c, s.x + n * s.x_stride + c, s.L, s.M, count, s.log);
    });
}
PF_INSTANTIATE(softmax, SoftmaxArgs)

namespace {

// dx, dy, y (L)
template <typename T>
void softmax_backward_row(T* dx, const T* dy, const T* y, int64_t L, bool log_form,
                          bool past_caches) {
    RunningSum<T, 4> sum;
    for_lanes_in_parts<T, 4>(L, [&](int64_t i, int part, auto tail) {
        const auto d = load(dy + i, tail);
        sum[part] = log_form ? sum[part] + d : fma(d, load(y + i, tail), sum[part]);
    });
    const VecOf<T> total(sum.total());
    for_lanes_to(dx, y, L, past_caches, [&](int64_t i, auto tail) {
        const auto d = load(dy + i, tail), v = load(y + i, tail);
        put(dx + i, tail, log_form ? fnma(exp(v), total, d) : v * (d - total), past_caches);
    });
}

// dx, dy, y (L, M); the columns 0 .. count - 1
template <typename T>
void softmax_backward_columns(T* dx, const T* dy, const T* y, int64_t L, int64_t M, int64_t count,
                              bool log_form) {
    RunningSum<T, column_parts> sum;
    for (int64_t l = 0; l < L; ++l)
        for_lanes_in_parts<T, column_parts>(count, [&](int64_t c, int part, auto tail) {
            const auto d = load(dy + l * M + c, tail);
            sum[part] = log_form ? sum[part] + d : fma(d, load(y + l * M + c, tail), sum[part]);
        });
    for (int64_t l = 0; l < L; ++l)
        for_lanes_in_parts<T, column_parts>(count, [&](int64_t c, int part, auto tail) {
            const auto d = load(dy + l * M + c, tail), v = load(y + l * M + c, tail);
            store(dx + l * M + c, tail,
                  log_form ? fnma(exp(v), sum[part], d) : v * (d - sum[part]));
        });
}

}  // namespace

template <typename T>
void softmax_backward(const SoftmaxBackwardArgs<T>& s) {
    if (s.M == 1) {
        const bool past_caches = goes_past_caches<T>(s.N * s.L);
        return for_rows(s.N, s.L, past_caches, [&](int64_t n) {
            softmax_backward_row(s.dx + n * s.L, s.dy + n * s.dy_stride, s.y + n * s.y_stride, s.L,
                                 s.log, past_caches);
        });
    }
    for_column_blocks<T>(s.N, s.L, s.M, [&](int64_t n, int64_t c, int64_t count) {
        softmax_backward_columns(s.dx + n * s.L * s.M + c, s.dy + n * s.dy_stride + c,
                                 s.y + n * s.y_stride + c, s.L, s.M, count, s.log);
    });
}
PF_INSTANTIATE(softmax_backward, SoftmaxBackwardArgs)

}  // namespace plainformer::PF_ISA
