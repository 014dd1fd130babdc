// Few rows against a B whose columns are contiguous, as the weight of a linear layer is stored:
// squares of B are transposed in registers and multiplied there, never stored. Lanes are columns,
// so each element is one chain in ascending k, and plain and packed weights give the same bytes.
#pragma once
#include "gemm_rows.h"
#include "isa/load_square.h"

namespace plainformer::PF_ISA {

// Registers of columns that are summed side by side: 32 columns hide the latency of one row's
// chains; more rows bring chains of their own.
template <typename T>
constexpr int column_groups(int rows) {
    return static_cast<int>(greatest(1, 32 / lanes<T> / rows));
}

// Narrow elements that are multiplied one by one are transposed as pairs, at half the cost.
template <typename T>
inline constexpr bool transposed_as_pairs = unit_elements<T> == 1 && sizeof(T) < sizeof(acc_t<T>);

template <typename T>
using unit_vector = decltype(load_units(static_cast<const unit_t<T>*>(nullptr)));

// Units, and elements, along K of a square.
template <typename T>
inline constexpr int64_t square_units = transposed_as_pairs<T> ? 2 * lanes<T> : lanes<T>;
template <typename T>
inline constexpr int64_t square_elements = square_units<T> * unit_elements<T>;

// Columns past the last one read it again: nothing is stored of them.
PF_INLINE int64_t column_within(int64_t i, Full) { return i; }
PF_INLINE int64_t column_within(int64_t i, Tail count) { return least(i, count.n - 1); }

// Elements along K that are taken of one register of columns before the next: whole cache lines,
// since columns a multiple of 4096 bytes apart push one another out of L1.
template <typename T>
inline constexpr int64_t column_run =
    greatest(square_elements<T>, cache_line / static_cast<int64_t>(sizeof(T)));

// f(unit, a register of that unit of all columns)
template <typename T, typename F>
PF_INLINE void for_square_units(const VecOf<T> (&square)[lanes<T>], const F& f) {
    for (int i = 0; i < lanes<T>; ++i) {
        if constexpr (transposed_as_pairs<T>) {
            const VecI bits = bits_of(square[i]);
            f(2 * i, from_bits(shift_left<16>(bits)));
            f(2 * i + 1, from_bits(bits & VecI(static_cast<int32_t>(0xffff0000))));
        } else if constexpr (unit_elements<T> == 2) {
            f(i, bits_of(square[i]));
        } else {
            f(i, square[i]);
        }
    }
}

template <typename T, int rows, int groups>
struct ColumnSums {
    VecOf<T> sum[rows][groups];

    PF_INLINE void add(const RowTile<T>& t, const char* a, int group, unit_vector<T> column) {
        for (int r = 0; r < rows; ++r)
            sum[r][group] =
                multiply_add(broadcast_unit(a + r * t.a_row, static_cast<unit_t<T>*>(nullptr)),
                             column, sum[r][group]);
    }

    // Elements [k, k + square_elements) of `count` columns, or of all.
    template <typename Count>
    PF_INLINE void square(const RowTile<T>& t, int group, const T* p, int64_t column, int64_t k,
                          Count count) {
        VecOf<T> square[lanes<T>];
        load_square(square, reinterpret_cast<const char*>(p + k),
                    column * static_cast<int64_t>(sizeof(T)),
                    [&](int i) { return column_within(i, count); });
        const char* const a = t.a + k / unit_elements<T> * t.a_step;
        for_square_units<T>(square,
                            [&](int u, auto units) { add(t, a + u * t.a_step, group, units); });
    }

    // The rest of K: unit by unit.
    template <typename Count>
    PF_INLINE void rest(const RowTile<T>& t, int group, const T* p, int64_t column, int64_t k,
                        int64_t K, Count count) {
        for (; k < K; k += unit_elements<T>) {
            unit_t<T> units[lanes<T>];
            for (int64_t i = 0; i < lanes<T>; ++i)
                gather_unit(units + i, p + column_within(i, count) * column + k, 1, K - k);
            add(t, t.a + k / unit_elements<T> * t.a_step, group, load_units(units));
        }
    }
};

// Columns of B from p on, `column` elements apart, in groups of registers: [0, columns), the last
// register of which may be partial.
template <typename T, int rows, int groups, typename Count>
__attribute__((noinline)) void multiply_column_groups(const RowTile<T>& tile, const T* p,
                                                      int64_t column, int64_t K, int64_t n,
                                                      int64_t columns, Count count) {
    const RowTile<T> t = tile;
    constexpr int64_t width = groups * lanes<T>;
    constexpr int64_t ahead = columns_ahead_bytes / static_cast<int64_t>(sizeof(T));
    const int64_t whole = K / column_run<T> * column_run<T>;
    for (; n < columns; n += width) {
        const T* const first = p + n * column;
        ColumnSums<T, rows, groups> sums;
        for (auto& row : sums.sum)
            for (auto& sum : row) sum = VecOf<T>(acc_t<T>(0));
        for (int r = 0; t.add && r < rows; ++r)
            for (int g = 0; g < groups; ++g)
                sums.sum[r][g] = load(t.d + r * t.d_row + n + g * lanes<T>, count);
        for (int64_t k = 0; k < whole; k += column_run<T>) {
            // Past the end of these columns: the start of the next ones.
            const T* const next = first + k + ahead + (k + ahead < K ? 0 : width * column - K);
            for (int g = 0; g < groups; ++g) {
                const int64_t offset = g * lanes<T> * column;
                for (int64_t i = 0; i < lanes<T>; ++i)
                    __builtin_prefetch(next + offset + i * column);
                for (int64_t i = 0; i < column_run<T>; i += square_elements<T>)
                    sums.square(t, g, first + offset, column, k + i, count);
            }
        }
        for (int g = 0; g < groups; ++g)
            sums.rest(t, g, first + g * lanes<T> * column, column, whole, K, count);
        for (int r = 0; r < rows; ++r)
            for (int g = 0; g < groups; ++g)
                store(t.d + r * t.d_row + n + g * lanes<T>, count, sums.sum[r][g]);
    }
}

template <int rows, typename T>
void multiply_tile_columns(const RowTile<T>& t, const T* p, int64_t column, int64_t K,
                           int64_t columns) {
    constexpr int groups = column_groups<T>(rows);
    constexpr int64_t width = groups * lanes<T>;
    const int64_t wide = columns / width * width, whole = columns / lanes<T> * lanes<T>;
    if (wide > 0) multiply_column_groups<T, rows, groups>(t, p, column, K, 0, wide, Full{});
    if constexpr (groups > 1)
        if (whole > wide) multiply_column_groups<T, rows, 1>(t, p, column, K, wide, whole, Full{});
    if (columns > whole)
        multiply_column_groups<T, rows, 1>(t, p, column, K, whole, columns,
                                           Tail{static_cast<int>(columns - whole)});
}

// Columns [n, n + columns) of the result of at most `transposed_rows` rows.
template <typename T>
void multiply_stored_columns(const GemmArgs<T>& s, const RowsOfA<T>& a, int64_t n,
                             int64_t columns) {
    ResultSums<T> sums(s, n, columns);
    const RowTile<T> t{a.at(0, 0, 0), a.block().row, a.block().step, units_of<T>(s.K),
                       false,         sums.data,     sums.row,       s.accumulate};
    const T* const p = s.B + n * s.B_column;
    static_assert(transposed_rows == 3);
    if (s.M == 1)
        multiply_tile_columns<1>(t, p, s.B_column, s.K, columns);
    else if (s.M == 2)
        multiply_tile_columns<2>(t, p, s.B_column, s.K, columns);
    else
        multiply_tile_columns<3>(t, p, s.B_column, s.K, columns);
    sums.finish(s, n, columns);
}

}  // namespace plainformer::PF_ISA
