// The arrays of attention as operands of the GEMM's register tile: rows that are broadcast where
// they stand, panels that are packed a block at a time, and what keeps NaN out of sums it is not
// part of.
#pragma once
#include "attention_softmax.h"
#include "gemm_pack.h"
#include "runtime/allocator.h"

namespace plainformer::PF_ISA {

// Row l of head h of the sequence that begins at `start`.
template <typename T>
PF_INLINE T* row_at(const HeadsView<T>& x, int64_t start, int64_t h, int64_t l) {
    return x.data + start * x.batch + h * x.head + l * x.row;
}

// ---- values that are not finite -----------------------------------------------------------------

// Rows of one head: `count` of them, `width` elements each, `stride` apart.
template <typename T>
struct HeadRows {
    const T* data;
    int64_t stride, count, width;

    PF_INLINE HeadRows part(int64_t first, int64_t n) const {
        return {data + first * stride, stride, n, width};
    }
};

template <typename T>
PF_INLINE HeadRows<T> rows_of(const HeadsView<const T>& x, int64_t start, int64_t h, int64_t count,
                              int64_t width) {
    return {row_at(x, start, h, 0), x.row, count, width};
}

// 0, or NaN if any element is NaN or infinite. Four sums, so that none waits for its last addition.
template <typename T>
acc_t<T> zero_or_nan(const HeadRows<T>& x) {
    const VecOf<T> zero(acc_t<T>(0));
    VecOf<T> sums[4] = {zero, zero, zero, zero};
    const auto add = [&](VecOf<T>& sum, int64_t i, int64_t c, auto tail) {
        sum = fma(load(x.data + i * x.stride + c, tail), zero, sum);
    };
    int64_t i = 0;
    for (; i + 4 <= x.count; i += 4)
        for_lanes<T>(x.width, [&](int64_t c, auto tail) {
            for (int r = 0; r < 4; ++r) add(sums[r], i + r, c, tail);
        });
    for (; i < x.count; ++i)
        for_lanes<T>(x.width, [&](int64_t c, auto tail) { add(sums[0], i, c, tail); });
    return reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

template <typename T>
bool all_finite(const HeadRows<T>& x) {
    return zero_or_nan(x) == 0;
}

// Writes the rows without gaps, and 0 for what is not finite.
template <typename T>
void copy_finite(T* to, const HeadRows<T>& x) {
    const VecOf<T> zero(acc_t<T>(0));
    for (int64_t i = 0; i < x.count; ++i)
        for_lanes<T>(x.width, [&](int64_t c, auto tail) {
            const VecOf<T> v = load(x.data + i * x.stride + c, tail);
            store(to + i * x.width + c, tail, select(v - v == zero, v, zero));
        });
}

// ---- the right operand, in panels ---------------------------------------------------------------

// (steps, columns) in panels of panel_columns; a step is one unit along the summed axis.
template <typename T>
struct Panels {
    unit_t<T>* data;
    int64_t steps, columns;

    static int64_t units(int64_t summed, int64_t columns) {
        return units_of<T>(summed) * round_up(columns, panel_columns<T>);
    }
    int64_t count() const { return ceil_div(columns, panel_columns<T>); }
    PF_INLINE int width(int64_t p) const {
        return static_cast<int>(least(panel_columns<T>, columns - p * panel_columns<T>));
    }
    PF_INLINE unit_t<T>* panel(int64_t p) const { return data + p * steps * panel_columns<T>; }
};

// B from step `first` of the panels on.
template <typename T>
void pack_panels(const Panels<T>& to, int64_t first, const Matrix<T>& B, int64_t summed) {
    for (int64_t p = 0; p < to.count(); ++p) {
        const Matrix<T> columns{B.at(0, p * panel_columns<T>), B.row, B.column};
        pack_panel(to.panel(p) + first * panel_columns<T>, columns, summed, to.width(p));
    }
}

// X^T: the sum runs along the width of the rows, as in Q K^T.
template <typename T>
Panels<T> pack_transposed(unit_t<T>* to, const HeadRows<T>& x) {
    const Panels<T> panels{to, units_of<T>(x.width), x.count};
    pack_panels(panels, 0, Matrix<T>{x.data, 1, x.stride}, x.width);
    return panels;
}

// X: the sum runs over the rows, as in P V. What is not finite becomes 0, because the row it is in
// may be masked, and 0 NaN is NaN. The rows go to the panels' steps from `first` on; returns
// whether all were finite.
template <typename T>
bool pack_finite(const Panels<T>& to, int64_t first, const HeadRows<T>& x) {
    if (all_finite(x)) {
        pack_panels(to, first, Matrix<T>{x.data, x.stride, 1}, x.count);
        return true;
    }
    Scratch<T> clean(x.count * x.width);
    copy_finite(clean.data, x);
    pack_panels(to, first, Matrix<T>{clean.data, x.width, 1}, x.count);
    return false;
}

template <typename T>
Panels<T> pack_finite(unit_t<T>* to, const HeadRows<T>& x) {
    const Panels<T> panels{to, units_of<T>(x.count), x.width};
    pack_finite(panels, 0, x);
    return panels;
}

// ---- products -----------------------------------------------------------------------------------

// Rows of a head as the left operand, broadcast along their width: where they stand or packed.
template <typename T>
int64_t left_units(const HeadRows<T>& x) {
    return reads_a_in_place(Matrix<T>{x.data, x.stride, 1}, x.width)
               ? 0
               : a_block_units<T>(x.count, x.width);
}

template <typename T>
ABlock left_rows(unit_t<T>* scratch, const HeadRows<T>& x) {
    const Matrix<T> A{x.data, x.stride, 1};
    return reads_a_in_place(A, x.width) ? a_in_place(A)
                                        : pack_a(scratch, A, x.count, x.count, x.width);
}

// At most tile_rows rows of a left operand and a range of the summed axis.
struct LeftTile {
    const char* data;
    int64_t row, step;  // in bytes
    int rows;
};

// d (rows, columns of B) = or += A B, where A's sums run over `steps` of B from `first`.
template <typename T>
PF_INLINE void multiply_panels(const LeftTile& a, const Panels<T>& B, int64_t first, int64_t steps,
                               acc_t<T>* d, int64_t d_row, bool add) {
    for (int64_t p = 0; p < B.count(); ++p)
        multiply_tile(Tile<T>{a.data, a.row, a.step, B.panel(p) + first * panel_columns<T>,
                              panel_columns<T>, steps, d + p * panel_columns<T>, d_row, a.rows,
                              B.width(p), add});
}

}  // namespace plainformer::PF_ISA
