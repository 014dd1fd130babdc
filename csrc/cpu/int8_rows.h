// The rows of x as `linear_int8` multiplies them: float32 padded to whole units, or quantized.
#pragma once
#include "int8_tile.h"

namespace plainformer::PF_ISA {

// Where a row's steps would be no float32 that can be inverted, the row counts as zeros.
constexpr float least_int8_step = 0x1p-120f;
constexpr float largest_float = 0x1.fffffep127f;

template <typename T>
PF_INLINE void widen_row(float* to, const T* x, int64_t K, int64_t padded) {
    for_lanes<float>(K, [&](int64_t k, auto tail) { store(to + k, tail, load(x + k, tail)); });
    for (int64_t k = K; k < padded; ++k) to[k] = 0;
}

// A panel of so many units, column by column the same, to (K, int8_columns).
PF_INLINE void widen_panel(float* to, const int8_t* values, int64_t units) {
    constexpr int64_t register_bytes = lanes<float> * int8_elements;
    for (int64_t u = 0; u < units; ++u, to += int8_step, values += int8_step)
        for (int v = 0; v < int8_vectors; ++v) {
            const VecI columns = load_int8(values + v * register_bytes);
            float* const at = to + v * lanes<float>;
            store(at, widened<0>(columns));
            store(at + int8_columns, widened<1>(columns));
            if constexpr (int8_elements == 4) {
                store(at + 2 * int8_columns, widened<2>(columns));
                store(at + 3 * int8_columns, widened<3>(columns));
            }
        }
}

struct RowRange {
    float least, most;
    bool is_finite;
};

// Least and most of the row and 0.
template <typename T>
RowRange range_of(const T* x, int64_t K) {
    Vec<float> low(0.0f), high(0.0f);  // low is negated
    Mask fine = Vec<float>(0.0f) == Vec<float>(0.0f);
    for_lanes<float>(K, [&](int64_t k, auto tail) {
        const Vec<float> v = load(x + k, tail);
        fine = fine & (abs(v) <= Vec<float>(largest_float));
        low = max(-v, low), high = max(v, high);
    });
    return {-reduce_max(low), reduce_max(high), !any(!fine)};
}

// u = round(x / step) + zero, between 0 and 255; ties to even, so that 0 is exact.
template <typename T>
RowScale quantize_row(Int8Row* to, const T* x, int64_t K, int64_t padded) {
    const RowRange range = range_of(x, K);
    const float step = range.most / 255 - range.least / 255;
    if (!range.is_finite || step < least_int8_step) {
        __builtin_memset(to, 0, static_cast<size_t>(padded) * sizeof(Int8Row));
        return {range.is_finite ? 0.0f : __builtin_nanf(""), 0};
    }
    const float inverse = 1 / step;
    const float zero = __builtin_rintf(-range.least * inverse);
    for_lanes<float>(K, [&](int64_t k, auto tail) {
        const Vec<float> u = round(load(x + k, tail) * Vec<float>(inverse)) + Vec<float>(zero);
        const Vec<float> kept = min(max(u, Vec<float>(0.0f)), Vec<float>(255.0f));
        store_row(to + k, tail, to_int(kept));
    });
    for (int64_t k = K; k < padded; ++k) to[k] = 0;
    return {step, static_cast<int32_t>(zero)};
}

}  // namespace plainformer::PF_ISA
