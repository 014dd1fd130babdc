// The register tile of `linear_int8`: a few rows of x times one or several panels, a group of K at
// a time: its sums stay in registers, then are scaled and added to float32 totals in L1.
//
// Each sum is one chain in ascending k whatever the tile's size, so that a row does not depend on
// those beside it.
#pragma once
#include "int8.h"
#include "int8_unit.h"
#include "tuning.h"

namespace plainformer::PF_ISA {

constexpr int int8_tile_rows = 6;

// Registers of columns that one row takes at once, so that its sums fill the pipes.
#if defined(__AVX512F__) || defined(PF_NEON)
constexpr int int8_chains = 8;
#else
constexpr int int8_chains = 4;  // of 16 registers
#endif

// How x is quantized: x = step (u - zero).
struct RowScale {
    float step;
    int32_t zero;
};

// x as it is: float32 products.
struct FloatRows {
    using Element = float;
    using Value = int8_t;  // of a panel
    using Sum = Vec<float>;

    PF_INLINE static Vec<float> first(const RowScale*, int, const int32_t*) {
        return Vec<float>(0.0f);
    }
    PF_INLINE static Vec<float> total(Vec<float> sum) { return sum; }

    // Element i of units of columns times that of each row.
    template <int i, int rows, int vectors>
    PF_INLINE static void add_element(Sum (&sum)[rows][vectors], const VecI (&units)[vectors],
                                      const float* x, int64_t x_row) {
        Vec<float> w[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) w[v] = widened<i>(units[v]);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            const Vec<float> x_r(x[r * x_row + i]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) sum[r][v] = fma(x_r, w[v], sum[r][v]);
        }
    }
    template <int rows, int vectors>
    PF_INLINE static void step(Sum (&sum)[rows][vectors], const VecI (&units)[vectors],
                               const float* x, int64_t x_row) {
        add_element<0>(sum, units, x, x_row);
        add_element<1>(sum, units, x, x_row);
        if constexpr (int8_elements == 4) {
            add_element<2>(sum, units, x, x_row);
            add_element<3>(sum, units, x, x_row);
        }
    }
};

// The same with a panel that was widened before: (K, int8_columns).
struct WideRows : FloatRows {
    using Value = float;

    template <int rows>
    PF_INLINE static void step(Sum (&sum)[rows][int8_vectors], const float* values, const float* x,
                               int64_t x_row) {
#pragma GCC unroll 4
        for (int i = 0; i < int8_elements; ++i) {
            Vec<float> w[int8_vectors];
#pragma GCC unroll 8
            for (int v = 0; v < int8_vectors; ++v)
                w[v] = load(values + i * int8_columns + v * lanes<float>);
#pragma GCC unroll 8
            for (int r = 0; r < rows; ++r) {
                const Vec<float> x_r(x[r * x_row + i]);
#pragma GCC unroll 8
                for (int v = 0; v < int8_vectors; ++v) sum[r][v] = fma(x_r, w[v], sum[r][v]);
            }
        }
    }
};

// x quantized: integer products.
struct QuantizedRows {
    using Element = Int8Row;
    using Value = int8_t;
    using Sum = VecI;

    PF_INLINE static VecI first(const RowScale* scale, int r, const int32_t* sums) {
        return VecI(0) - multiply(VecI(scale[r].zero), load_int(sums));
    }
    PF_INLINE static Vec<float> total(VecI sum) { return to_float(sum); }

    template <int rows, int vectors>
    PF_INLINE static void step(Sum (&sum)[rows][vectors], const VecI (&units)[vectors],
                               const Int8Row* x, int64_t x_row) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            const VecI x_r = broadcast_unit(x + r * x_row);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) sum[r][v] = dot(sum[r][v], x_r, units[v]);
        }
    }
};

template <typename Rows>
struct Int8Tile {
    const Int8Panels& weight;
    const typename Rows::Element* x;  // rows x_row apart, padded with 0 to whole units
    int64_t x_row;
    const RowScale* row_scale;           // of quantized rows
    const typename Rows::Value* values;  // of the first panel
    int64_t panel;                       // its number
    float* totals;                       // (rows, panels * int8_columns)
};

// panels side by side, whose registers of columns are numbered through.
template <typename Rows, int rows, int panels>
struct Int8Sums {
    static constexpr int vectors = panels * int8_vectors;

    explicit Int8Sums(const Int8Tile<Rows>& tile) : t(tile) {}

    const Int8Tile<Rows>& t;
    const int64_t panel_bytes = int8_units(t.weight.K) * int8_step;
    const int64_t groups = ceil_div(t.weight.K, t.weight.group), numbers = groups * int8_columns;
    typename Rows::Sum sum[rows][vectors];

    // The place of a register among the numbers of a group.
    PF_INLINE int64_t place(int v) const {
        return v / int8_vectors * numbers + v % int8_vectors * lanes<float>;
    }

    // Loops are unrolled: what is indexed by a variable has to lie in memory.
    PF_INLINE void start(const int32_t* sums) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v)
                sum[r][v] = Rows::first(t.row_scale, r, sums + place(v));
    }

    PF_INLINE void step(const float* values, const float* x, int64_t) {
        Rows::step(sum, values, x, t.x_row);
    }
    // `ahead` bytes on is what is read soon.
    PF_INLINE void step(const int8_t* values, const typename Rows::Element* x, int64_t ahead) {
        constexpr int64_t register_bytes = lanes<float> * int8_elements;
        VecI columns[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            const int64_t offset = v % int8_vectors * register_bytes;
            const int8_t* const at = values + v / int8_vectors * panel_bytes + offset;
            if (offset % cache_line == 0) __builtin_prefetch(at + ahead);
            columns[v] = load_int8(at);
        }
        Rows::step(sum, columns, x, t.x_row);
    }

    PF_INLINE void finish(const float* scale, bool is_first) const {
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                float* const total = t.totals + (r * vectors + v) * lanes<float>;
                const Vec<float> product = Rows::total(sum[r][v]) * load(scale + place(v));
                store(total, is_first ? product : load(total) + product);
            }
    }
};

template <typename Rows, int rows, int panels>
void multiply_int8_tile(const Int8Tile<Rows>& t) {
    Int8Sums<Rows, rows, panels> s(t);
    const Int8Panels& w = t.weight;
    const typename Rows::Value* values = t.values;
    const float* scale = w.scale + t.panel * s.numbers;
    const int32_t* sums = w.sums + t.panel * s.numbers;
    const typename Rows::Element* x = t.x;
    // Near the end of a panel the one after those that are read now comes next.
    const typename Rows::Value* const near_end = values + s.panel_bytes - int8_bytes_ahead;
    const int64_t skipped = (panels - 1) * s.panel_bytes;
    for (int64_t k = 0; k < w.K; k += w.group, scale += int8_columns, sums += int8_columns) {
        s.start(sums);
        const int64_t units = int8_units(least(w.group, w.K - k));
        for (int64_t u = 0; u < units; ++u, values += int8_step, x += int8_elements)
            s.step(values, x, int8_bytes_ahead + (values < near_end ? 0 : skipped));
        s.finish(scale, k == 0);
    }
}

// Panels at once where one leaves too few chains of sums to fill the pipes.
PF_INLINE constexpr int64_t int8_panels_at_once(int64_t rows) {
    return rows == 1 ? int8_chains / int8_vectors : 1;
}

template <typename Rows, int rows>
void multiply_int8_rows(const Int8Tile<Rows>& t, int64_t panels) {
    constexpr int64_t most = int8_panels_at_once(rows);
    if constexpr (most == 2 && sizeof(typename Rows::Value) == 1)
        if (panels == 2) return multiply_int8_tile<Rows, rows, 2>(t);
    multiply_int8_tile<Rows, rows, 1>(t);
}

// At most int8_tile_rows rows, and int8_panels_at_once(rows) panels.
template <typename Rows>
void multiply_int8(const Int8Tile<Rows>& t, int64_t rows, int64_t panels) {
    switch (rows) {
        case 6:
            return multiply_int8_rows<Rows, 6>(t, panels);
        case 5:
            return multiply_int8_rows<Rows, 5>(t, panels);
        case 4:
            return multiply_int8_rows<Rows, 4>(t, panels);
        case 3:
            return multiply_int8_rows<Rows, 3>(t, panels);
        case 2:
            return multiply_int8_rows<Rows, 2>(t, panels);
        default:
            return multiply_int8_rows<Rows, 1>(t, panels);
    }
}

}  // namespace plainformer::PF_ISA
