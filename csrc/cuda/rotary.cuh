// Rotary position embedding. Formula and shapes: plainformer/rotary.h
//
// A thread has W pairs of several heads of a row: the angles, twice as wide as the elements in half
// precision, are read once for all of them. Both layouts compute y = x cos + (partner of x) (+-sin)
// with the CPU's two roundings.
#pragma once
#include "checks/values.h"  // is_id
#include "chunk.cuh"
#include "divisor.h"
#include "plainformer/rotary.h"

namespace plainformer::cuda {

constexpr int rotary_threads = 128, rotary_heads = 4;

// Where a row's pairs lie: W from `first`, W from `second`, their angles from `angle`. Elements
// that are only copied are taken as pairs without an angle; the second W may be beyond the head.
struct PairPlace {
    int64_t first, second, angle;
    bool turns, has_second;
};

template <int W, typename T>
__device__ __forceinline__ PairPlace pair_place(const RotaryArgs<T>& s, int64_t unit) {
    const int64_t turning = s.R / 2 / W;
    if (unit >= turning) {
        const int64_t first = s.R + (unit - turning) * 2 * W;
        return {first, first + W, 0, false, first + W < s.D};
    }
    if (s.interleaved) return {2 * unit * W, 2 * unit * W + W, unit * W, true, true};
    return {unit * W, unit * W + s.R / 2, unit * W, true, true};
}

// The axes of the rows but the first, from the last on: their lengths and strides. Neighbouring
// axes that lie as one are one.
struct RowAxes {
    int count = 0;
    Divisor lengths[5] = {Divisor(1), Divisor(1), Divisor(1), Divisor(1), Divisor(1)};
    int64_t strides[5], first_stride = 0;

    // Elements between the first row and row n.
    __device__ __forceinline__ int64_t offset(int64_t n) const {
        int64_t sum = 0;
        for (int i = 0; i < count; ++i) sum += lengths[i].split(n) * strides[i];
        return sum + n * first_stride;
    }
};

// cos and +-sin of W pairs; a position that the tables do not have turns nothing.
template <int W>
struct Angles {
    float cos[W], sin[W];
};

template <int W>
inline constexpr int angles_at_once = W < 4 ? W : 4;

template <int W, typename T>
__device__ __forceinline__ Angles<W> load_angles(const RotaryArgs<T>& s, int64_t position,
                                                 int64_t angle, bool known) {
    constexpr int step = angles_at_once<W>;
    const float sign = s.inverse ? -1.0f : 1.0f;
    Angles<W> angles;
#pragma unroll
    for (int j = 0; j < W; j += step) {
        Chunk<float, step> cos{}, sin{};
        if (known) cos = load_chunk<step>(s.cos + position * s.cos_row + angle + j);
        if (known) sin = load_chunk<step>(s.sin + position * s.sin_row + angle + j);
#pragma unroll
        for (int k = 0; k < step; ++k)
            angles.cos[j + k] = known ? cos[k] : 1.0f, angles.sin[j + k] = sign * sin[k];
    }
    return angles;
}

// One element of a pair with its partner.
__device__ __forceinline__ float turned(float x, float partner, float cos, float sin) {
    return fmaf(x, cos, partner * sin);
}

// first, second (W each) become the turned ones: pair j is element j of both.
template <typename T, int W>
__device__ __forceinline__ void turn_halves(Chunk<T, W>& first, Chunk<T, W>& second,
                                            const Angles<W>& angles) {
    const Chunk<T, W> a = first, b = second;
    first =
        make_chunk<T, W>([&](int j) { return turned(a[j], b[j], angles.cos[j], -angles.sin[j]); });
    second =
        make_chunk<T, W>([&](int j) { return turned(b[j], a[j], angles.cos[j], angles.sin[j]); });
}

// The same where pair j is elements 2 j and 2 j + 1 of the two in a row.
template <typename T, int W>
__device__ __forceinline__ void turn_neighbours(Chunk<T, W>& first, Chunk<T, W>& second,
                                                const Angles<W>& angles) {
    float x[2 * W], y[2 * W];
#pragma unroll
    for (int j = 0; j < W; ++j) x[j] = first[j], x[W + j] = second[j];
#pragma unroll
    for (int j = 0; j < W; ++j) {
        y[2 * j] = turned(x[2 * j], x[2 * j + 1], angles.cos[j], -angles.sin[j]);
        y[2 * j + 1] = turned(x[2 * j + 1], x[2 * j], angles.cos[j], angles.sin[j]);
    }
    first = make_chunk<T, W>([&](int j) { return y[j]; });
    second = make_chunk<T, W>([&](int j) { return y[W + j]; });
}

// The position of row n; a wrong one is reported by one of the row's threads.
template <typename T>
__device__ __forceinline__ int64_t checked_position(const RotaryArgs<T>& s, int64_t n, bool tells,
                                                    bool* known, ErrorRecord* errors) {
    const int64_t position = s.positions[n];
    *known = is_id(position, s.table_rows);
    if (!*known && tells) report(errors, Argument::positions, n, position, s.table_rows);
    return position;
}

// `units` of 2 W elements a head, `groups` of rotary_heads heads a row.
template <typename T, int W>
__global__ void __launch_bounds__(rotary_threads)
    rotary_rows(RotaryArgs<T> s, RowAxes axes, Divisor units, Divisor groups, ErrorRecord* errors) {
    int64_t n = int64_t{blockIdx.x} * rotary_threads + threadIdx.x;
    const int64_t unit = units.split(n), group = groups.split(n), head = group * rotary_heads;
    if (n >= s.N) return;
    const PairPlace at = pair_place<W>(s, unit);
    bool known;
    const int64_t position = checked_position(s, n, unit == 0 && group == 0, &known, errors);
    const T* x = s.x + axes.offset(n) + head * s.x_head;
    T* y = s.y + (n * s.H + head) * s.D;

    Chunk<T, W> first[rotary_heads]{}, second[rotary_heads]{};
#pragma unroll
    for (int h = 0; h < rotary_heads; ++h) {
        if (head + h >= s.H) continue;
        first[h] = load_chunk<W>(x + h * s.x_head + at.first);
        if (at.has_second) second[h] = load_chunk<W>(x + h * s.x_head + at.second);
    }
    if (at.turns) {
        const Angles<W> angles = load_angles<W>(s, position, at.angle, known);
        if (s.interleaved) {
#pragma unroll
            for (int h = 0; h < rotary_heads; ++h) turn_neighbours(first[h], second[h], angles);
        } else {
#pragma unroll
            for (int h = 0; h < rotary_heads; ++h) turn_halves(first[h], second[h], angles);
        }
    }
#pragma unroll
    for (int h = 0; h < rotary_heads; ++h) {
        if (head + h >= s.H) continue;
        store_chunk(y + h * s.D + at.first, first[h]);
        if (at.has_second) store_chunk(y + h * s.D + at.second, second[h]);
    }
}

}  // namespace plainformer::cuda
