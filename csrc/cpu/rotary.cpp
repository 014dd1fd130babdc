// Rotary position embedding. Formula and shapes: plainformer/rotary.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// The row's cosines and sines are laid out once, as the registers of a head meet them, and then
// serve all heads of the row. Both layouts compute y = x cos + (partner of x) (+-sin) with the same
// two roundings, so that they agree bit for bit.
#include "plainformer/rotary.h"

#include "isa/rows.h"           // for_row_blocks, fill, fill_two
#include "runtime/allocator.h"  // Scratch

namespace plainformer::PF_ISA {

namespace {

// What element a of each pair is multiplied by (cos) and adds of its partner (-sin); element b
// adds +sin. Interleaved, the two elements of a pair lie side by side, sines with their signs.
template <typename T>
void lay_out_angles(const RotaryArgs<T>& s, int64_t position, acc_t<T>* cos, acc_t<T>* sin) {
    const float* cos_p = s.cos + position * s.cos_row;
    const float* sin_p = s.sin + position * s.sin_row;
    const float sign = s.inverse ? -1.0f : 1.0f;
    if (s.interleaved) {
        for (int64_t i = 0; i < s.R / 2; ++i) {
            cos[2 * i] = cos[2 * i + 1] = cos_p[i];
            sin[2 * i] = -sign * sin_p[i];
            sin[2 * i + 1] = sign * sin_p[i];
        }
    } else {
        for (int64_t i = 0; i < s.R / 2; ++i) cos[i] = cos_p[i];
        for (int64_t i = 0; i < s.R / 2; ++i) sin[i] = sign * sin_p[i];
    }
}

template <typename T>
PF_INLINE void turn_halves(T* y, const T* x, const acc_t<T>* cos, const acc_t<T>* sin, int64_t half,
                           Reach reach) {
    fill_two(y, y + half, half, reach, [&](int64_t i, auto tail) -> TwoRegisters<T> {
        const VecOf<T> a = load(x + i, tail), b = load(x + half + i, tail);
        const VecOf<T> c = load(cos + i, tail), t = load(sin + i, tail);
        return {fma(a, c, b * -t), fma(b, c, a * t)};
    });
}

template <typename T>
PF_INLINE void turn_neighbors(T* y, const T* x, const acc_t<T>* cos, const acc_t<T>* sin, int64_t R,
                              Reach reach) {
    fill(y, R, reach, [&](int64_t i, auto tail) {
        const VecOf<T> a = load(x + i, tail);
        return fma(a, load(cos + i, tail), swap_pairs(a) * load(sin + i, tail));
    });
}

// The first element of row n of x.
template <typename T>
const T* row_of(const RotaryArgs<T>& s, int64_t n) {
    const T* x = s.x;
    for (int i = s.row_ndim - 1; i >= 0; n /= s.rows[i--]) x += n % s.rows[i] * s.x_row[i];
    return x;
}

}  // namespace

template <typename T>
void rotary(const RotaryArgs<T>& s) {
    const Reach reach = reach_of<T>(2 * s.N * s.H * s.D);
    for_row_blocks(s.N, s.H * s.D, reach, [&](int64_t begin, int64_t end) {
        Scratch<acc_t<T>> angles(2 * s.R);
        acc_t<T>*const cos = angles.data, *const sin = angles.data + s.R;
        for (int64_t n = begin; n < end; ++n) {
            lay_out_angles(s, s.positions[n], cos, sin);
            const T* x = row_of(s, n);
            T* y = s.y + n * s.H * s.D;
            for (int64_t h = 0; h < s.H; ++h, x += s.x_head, y += s.D) {
                if (s.interleaved)
                    turn_neighbors(y, x, cos, sin, s.R, reach);
                else
                    turn_halves(y, x, cos, sin, s.R / 2, reach);
                for (int64_t d = s.R; d < s.D; ++d) y[d] = x[d];
            }
        }
    });
}
PF_INSTANTIATE(rotary, RotaryArgs)

}  // namespace plainformer::PF_ISA
