// Copies blocks of A and B into the order in which the register tile reads them, converting
// bfloat16 to units on the way: a block at a time, never a whole array.
//
//   panel of B: (steps, panel_columns) units; columns past the matrix are zero up to a register.
//               U is how it stores them: unit_t<T>, or kept_t<T> where it waits for many calls
//   block of A, rows contiguous along K:  (rows, steps) units
//   block of A, otherwise:                (tiles, steps, a_group) units
#pragma once
#include "gemm_tile.h"
#include "isa/transpose.h"

namespace plainformer::PF_ISA {

// A matrix of elements, any strides: (rows, columns) = (M, K) for A and (K, N) for B.
template <typename T>
struct Matrix {
    const T* data;
    int64_t row, column;
    const T* at(int64_t i, int64_t j) const { return data + i * row + j * column; }
};

// ---- one unit or one register of units ----------------------------------------------------------

// The unit at p, whose elements lie `stride` apart; `count` of them exist, the rest are zero.
template <typename T>
PF_INLINE void gather_unit(T* to, const T* p, int64_t, int64_t) {
    *to = *p;
}
PF_INLINE void gather_unit(float* to, const bfloat16* p, int64_t, int64_t) { *to = to_float(*p); }
#ifdef PF_BFLOAT_PAIRS
PF_INLINE void gather_unit(BfloatPair* to, const bfloat16* p, int64_t stride, int64_t count) {
    const uint32_t high = count > 1 ? p[stride].bits : 0;
    *to = {p->bits | high << 16};
}
#endif

// Units of neighboring columns (or rows of A): element k of each at p, element k + 1 at p + next.
template <typename T, typename U, typename Count>
PF_INLINE void copy_units(U* to, const T* p, int64_t next, bool has_next, Count count) {
    if constexpr (unit_elements<T> == 1) {
        store(to, Full{}, load(p, count));
    } else {
        const VecI low = shift_right<16>(bits_of(load(p, count)));
        const VecI high = has_next ? bits_of(load(p + next, count)) : VecI(0);
        store_int(reinterpret_cast<int32_t*>(to), low | high);
    }
}

// A register of units that follow one another along K from p.
template <typename T>
PF_INLINE VecOf<T> load_along_k(const T* p) {
    if constexpr (unit_elements<T> == 1)
        return load(p, Full{});
    else
        return from_bits(load_int(reinterpret_cast<const int32_t*>(p)));
}

// ---- B ------------------------------------------------------------------------------------------

// Rows of B are contiguous: copy them.
template <typename T, typename U>
void pack_panel_rows(U* to, Matrix<T> B, int64_t K, int64_t columns) {
    for (int64_t k = 0; k < K; k += unit_elements<T>, to += panel_columns<T>)
        for_lanes<T>(columns, [&](int64_t n, auto count) {
            copy_units(to + n, B.at(k, n), B.row, k + 1 < K, count);
        });
}

// Any strides: a unit at a time.
template <typename T, typename U>
void pack_panel_units(U* to, Matrix<T> B, int64_t K, int64_t columns) {
    const int64_t width = round_up(columns, lanes<T>);
    for (int64_t k = 0; k < K; k += unit_elements<T>, to += panel_columns<T>)
        for (int64_t n = 0; n < width; ++n)
            if (n < columns)
                gather_unit(to + n, B.at(k, n), B.row, K - k);
            else
                to[n] = U{};
}

// A square of units, transposed in registers; of its columns `count` exist, the rest become zero.
template <typename T, typename U>
PF_INLINE void pack_square(U* to, const T* from, int64_t column, int64_t count) {
    VecOf<T> square[lanes<T>];
    for (int64_t i = 0; i < lanes<T>; ++i)
        square[i] = i < count ? load_along_k(from + i * column) : VecOf<T>(acc_t<T>(0));
    transpose(square);
    for (int64_t i = 0; i < lanes<T>; ++i) store_units(to + i * panel_columns<T>, square[i]);
}

// Columns of B are contiguous, as in the weight of a linear layer: transpose squares, and go a
// unit at a time along the ragged edge of K.
template <typename T, typename U>
void pack_panel_columns(U* to, Matrix<T> B, int64_t K, int64_t columns) {
    constexpr int64_t side = lanes<T>, side_k = side * unit_elements<T>;
    const int64_t whole_k = K / side_k * side_k;
    for (int64_t n = 0; n < columns; n += side)
        for (int64_t k = 0; k < whole_k; k += side_k)
            pack_square(to + k / unit_elements<T> * panel_columns<T> + n, B.at(k, n), B.column,
                        columns - n);
    const Matrix<T> below{B.at(whole_k, 0), B.row, B.column};
    pack_panel_units(to + whole_k / unit_elements<T> * panel_columns<T>, below, K - whole_k,
                     columns);
}

template <typename T, typename U>
void pack_panel(U* to, Matrix<T> B, int64_t K, int64_t columns) {
    if constexpr (steps_multiple > 1) {  // steps that fill up a tile, and columns that do
        const int64_t steps = ceil_div(K, unit_elements<T>), first = steps / steps_multiple;
        const int64_t clear = columns < panel_columns<T> ? 0 : first * steps_multiple;
        for (int64_t i = clear * panel_columns<T>; i < units_of<T>(K) * panel_columns<T>; ++i)
            to[i] = U{};
    }
    if (B.column == 1) return pack_panel_rows(to, B, K, columns);
    if (B.row == 1) return pack_panel_columns(to, B, K, columns);
    pack_panel_units(to, B, K, columns);
}

// Kept units as the tile multiplies them; `count` of them, whole registers.
PF_INLINE void widen_units(float* to, const bfloat16* from, int64_t count) {
    for (int64_t i = 0; i < count; i += lanes<float>) store(to + i, load(from + i));
}
template <typename U>
void widen_units(U*, const U*, int64_t) {}  // units that are kept as they are stay where they are

// ---- A ------------------------------------------------------------------------------------------

// A block of A as the tile reads it: `at(row)` is the first unit of a row that starts a tile.
struct ABlock {
    const char* data;
    int64_t row, step;  // bytes between rows of a tile and between steps
    int64_t tile;       // bytes between tiles
};

// Columns of A that lie together are packed tile by tile, a_group units a step: a register of units
// is stored at once, and what is beyond the group is overwritten by the next step.

template <typename T>
constexpr int64_t a_tile_units(int64_t K) {
    return units_of<T>(K) * a_group + lanes<T>;
}

template <typename T>
ABlock a_in_place(Matrix<T> A) {
    const int64_t row = A.row * static_cast<int64_t>(sizeof(T));
    return {reinterpret_cast<const char*>(A.data), row,
            A.column * unit_elements<T> * static_cast<int64_t>(sizeof(T)), row * tile_rows};
}

// Whether the tile should read A where it stands. Where columns of A lie together every step
// fetches a cache line, which only the widest tile is slow enough to hide; and where steps are
// whole pages apart all those lines share a set of L1 and are gone before the next tile wants them.
template <typename T>
bool reads_a_in_place(Matrix<T> A, int64_t K) {
    if (!stored_as_units<T>) return false;
    if (A.column == 1) return K % unit_elements<T> == 0;
    const bool shares_a_set = A.column * static_cast<int64_t>(sizeof(T)) % same_set_bytes == 0;
    return unit_elements<T> == 1 && tile_vectors == 4 && !shares_a_set;
}

template <typename T>
int64_t a_block_units(int64_t rows, int64_t K) {
    return ceil_div(rows, tile_rows) * a_tile_units<T>(K);
}

template <typename T>
PF_INLINE void pack_a_row(unit_t<T>* to, const T* row, int64_t stride, int64_t K) {
    int64_t k = 0;
    if (stride == 1)
        for (; k + lanes<T> * unit_elements<T> <= K; k += lanes<T> * unit_elements<T>)
            store_units(to + k / unit_elements<T>, load_along_k(row + k));
    for (; k < K; k += unit_elements<T>)
        gather_unit(to + k / unit_elements<T>, row + k * stride, stride, K - k);
}

// One step of one tile, from `readable` elements that lie together.
template <typename T>
PF_INLINE void pack_a_step(unit_t<T>* to, const T* from, int64_t next, bool has_next,
                           int64_t readable) {
    for (int64_t i = 0; i < a_group && i < readable; i += lanes<T>) {
        if (i + lanes<T> <= readable)
            copy_units(to + i, from + i, next, has_next, Full{});
        else
            copy_units(to + i, from + i, next, has_next, Tail{static_cast<int>(readable - i)});
    }
}

// Rows [0, rows) of A, of which `readable` exist. All tiles take a few steps in turn, so that each
// cache line of A is fetched once and each tile is written in runs.
template <typename T>
ABlock pack_a_tiles(unit_t<T>* to, Matrix<T> A, int64_t rows, int64_t readable, int64_t K) {
    constexpr int64_t run = 16;
    const int64_t tile = a_tile_units<T>(K);
    for (int64_t first = 0; first < K; first += run) {
        const int64_t last = least(K, first + run);
        for (int64_t m = 0; m < rows; m += tile_rows)
            for (int64_t k = first; k < last; k += unit_elements<T>)
                pack_a_step(to + m / tile_rows * tile + k / unit_elements<T> * a_group, A.at(m, k),
                            A.column, k + 1 < K, readable - m);
    }
    constexpr int64_t unit = sizeof(unit_t<T>);
    return {reinterpret_cast<const char*>(to), unit, a_group * unit, tile * unit};
}

template <typename T>
ABlock pack_a(unit_t<T>* to, Matrix<T> A, int64_t rows, int64_t readable, int64_t K) {
    if (A.row == 1 && A.column != 1) return pack_a_tiles(to, A, rows, readable, K);
    constexpr int64_t unit = sizeof(unit_t<T>);
    const int64_t steps = units_of<T>(K);
    for (int64_t m = 0; m < rows; ++m) pack_a_row(to + m * steps, A.at(m, 0), A.column, K);
    return {reinterpret_cast<const char*>(to), steps * unit, unit, steps * unit * tile_rows};
}

}  // namespace plainformer::PF_ISA
