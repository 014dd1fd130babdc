// Few rows: every element of B is used a few times only, so it is read where it stands, once, in an
// order that memory likes, and nothing is packed.
//
// A tile of one row takes eight registers of columns, since eight chains of multiply-adds hide the
// latency of one another; more rows take fewer. Contiguous rows of B are walked in blocks of a few
// rows, along the columns of a task, while the next block is prefetched; the panels of a packed
// weight are walked from end to end, several at a time. Each element stays one chain in ascending
// k, so all of this gives the bytes of the register tile (gemm_tile.h).
#pragma once
#include "gemm_block.h"

namespace plainformer::PF_ISA {

// Registers of columns that a tile of so many rows takes: whole cache lines, sums for at least
// eight chains, and with B and A all within the registers there are.
constexpr int row_tile_vectors(int rows) { return rows == 1 ? 8 : rows <= 3 ? 4 : tile_vectors; }

// A register of units of neighboring columns: element k of each at p, element k + 1 at p + next.
template <typename T, typename Count>
PF_INLINE auto load_rows(const T* p, int64_t next, bool has_next, Count count) {
    if constexpr (unit_elements<T> == 1) {
        return load(p, count);
    } else {
        const VecI low = shift_right<16>(bits_of(load(p, count)));
        return has_next ? low | bits_of(load(p + next, count)) : low;
    }
}

// Contiguous rows of B where they stand.
template <typename T>
struct StoredRows {
    const T* data;
    int64_t row;

    StoredRows at(int64_t k, int64_t n) const { return {data + k * row + n, row}; }
    const T* unit(int64_t step, int v) const {
        return data + step * unit_elements<T> * row + v * lanes<T>;
    }
    // Units of step `step`; has_next: whether the last of their elements exist.
    template <typename Count>
    PF_INLINE auto load(int64_t step, int v, bool has_next, Count count) const {
        return load_rows(unit(step, v), row, has_next, count);
    }
    // Further along the same rows: a group or two, or what rows of memory take to arrive.
    template <int vectors>
    PF_INLINE void prefetch(int64_t step) const {
        constexpr int64_t line = cache_line / static_cast<int64_t>(sizeof(T));
        constexpr int64_t ahead = greatest(4, vectors) * line;
        for (int64_t i = 0; i < unit_elements<T>; ++i)
            for (int64_t n = 0; n < vectors * lanes<T>; n += line)
                __builtin_prefetch(unit(step, 0) + i * row + ahead + n);
    }
};

// Panels that pack_weight made, `panel` units apart.
template <typename T>
struct KeptRows {
    const kept_t<T>* data;
    int64_t panel;

    KeptRows at(int64_t k, int64_t n) const {
        return {data + n / panel_columns<T> * panel + n % panel_columns<T> +
                    k / unit_elements<T> * panel_columns<T>,
                panel};
    }
    const kept_t<T>* unit(int64_t step, int v) const {
        return data + step * panel_columns<T> + v / tile_vectors * panel +
               v % tile_vectors * lanes<T>;
    }
    template <typename Count>
    PF_INLINE auto load(int64_t step, int v, bool, Count) const {
        return load_units(unit(step, v));
    }
    template <int vectors>
    PF_INLINE void prefetch(int64_t step) const {
        constexpr int64_t line = cache_line / static_cast<int64_t>(sizeof(kept_t<T>));
        for (int v = 0; v < vectors; v += tile_vectors)
            for (int64_t n = 0; n < least(vectors, tile_vectors) * lanes<T>; n += line)
                __builtin_prefetch(unit(step + panel_steps_ahead, v) + n);
    }
};

// A tile: sums of `rows` rows and of a group of columns, carried on through some steps of K.
template <typename T>
struct RowTile {
    const char* a;
    int64_t a_row, a_step;  // bytes
    int64_t steps;
    bool is_odd;  // the last unit lacks its last element
    acc_t<T>* d;
    int64_t d_row;
    bool add;
};

template <typename T, int rows, int vectors, typename Last>
struct RowTileSums {
    VecOf<T> sum[rows][vectors];
    Last last;

    template <typename F>
    PF_INLINE void for_each(F f) {
        for (int r = 0; r < rows; ++r)
            for (int v = 0; v < vectors - 1; ++v) f(r, v, Full{});
        for (int r = 0; r < rows; ++r) f(r, vectors - 1, last);
    }

    // Whichever of A and B there is less of stays in registers through the step.
    template <typename B>
    PF_INLINE void step(const char* a, int64_t a_row, const B& b, int64_t k, bool has_next) {
        const auto a_unit = [&](int r) {
            return broadcast_unit(a + r * a_row, static_cast<unit_t<T>*>(nullptr));
        };
        const auto b_unit = [&](int v) {
            return v < vectors - 1 ? b.load(k, v, has_next, Full{}) : b.load(k, v, has_next, last);
        };
        if constexpr (rows < vectors) {
            decltype(a_unit(0)) row[rows];
            for (int r = 0; r < rows; ++r) row[r] = a_unit(r);
            for (int v = 0; v < vectors; ++v) {
                const auto column = b_unit(v);
                for (int r = 0; r < rows; ++r) sum[r][v] = multiply_add(row[r], column, sum[r][v]);
            }
        } else {
            decltype(b_unit(0)) column[vectors];
            for (int v = 0; v < vectors; ++v) column[v] = b_unit(v);
            for (int r = 0; r < rows; ++r) {
                const auto row = a_unit(r);
                for (int v = 0; v < vectors; ++v)
                    sum[r][v] = multiply_add(row, column[v], sum[r][v]);
            }
        }
    }

    template <typename B>
    PF_INLINE void multiply(const RowTile<T>& t, const B& b) {
        constexpr int at_once = rows == 1 ? 8 : 4;
        const char* a = t.a;
        int64_t k = 0;
        const int64_t whole = t.steps - t.is_odd;
        for (; k + at_once <= whole; k += at_once, a += at_once * t.a_step)
#pragma GCC unroll 8
            for (int i = 0; i < at_once; ++i) {
                b.template prefetch<vectors>(k + i);
                step(a + i * t.a_step, t.a_row, b, k + i, true);
            }
        for (; k < t.steps; ++k, a += t.a_step) {
            b.template prefetch<vectors>(k);
            step(a, t.a_row, b, k, k < whole);
        }
    }
};

// Groups of `vectors` registers of columns, one after another: [0, columns), all whole but the
// last.
template <typename T, int rows, int vectors, typename B, typename Last>
__attribute__((noinline)) void multiply_groups(const RowTile<T>& tile, const B& b, int64_t n,
                                               int64_t columns, Last last) {
    const RowTile<T> t = tile;  // a copy, which no store can change
    for (; n < columns; n += vectors * lanes<T>) {
        acc_t<T>* const d = t.d + n;
        RowTileSums<T, rows, vectors, Last> sums;
        sums.last = last;
        sums.for_each([&](int r, int v, auto count) {
            sums.sum[r][v] =
                t.add ? load(d + r * t.d_row + v * lanes<T>, count) : VecOf<T>(acc_t<T>(0));
        });
        sums.multiply(t, b.at(0, n));
        sums.for_each([&](int r, int v, auto count) {
            store(d + r * t.d_row + v * lanes<T>, count, sums.sum[r][v]);
        });
    }
}

// All columns of a tile: in groups as wide as may be, then of two registers, then of one.
template <int rows, typename T, typename B>
void multiply_tile_rows(const RowTile<T>& t, const B& b, int64_t columns) {
    constexpr int widest = row_tile_vectors(rows);
    const int64_t wide = columns / (widest * lanes<T>)*(widest * lanes<T>);
    const int64_t pairs = columns / (2 * lanes<T>)*(2 * lanes<T>);
    const int64_t whole = columns / lanes<T> * lanes<T>;
    if (wide > 0) multiply_groups<T, rows, widest>(t, b, 0, wide, Full{});
    if constexpr (widest > 2)
        if (pairs > wide) multiply_groups<T, rows, 2>(t, b, wide, pairs, Full{});
    if (whole > pairs) multiply_groups<T, rows, 1>(t, b, pairs, whole, Full{});
    if (columns > whole)
        multiply_groups<T, rows, 1>(t, b, whole, columns, Tail{static_cast<int>(columns - whole)});
}

template <typename T, typename B>
void multiply_row_tile(int rows, const RowTile<T>& t, const B& b, int64_t columns) {
    switch (rows) {
        case 6:
            return multiply_tile_rows<6>(t, b, columns);
        case 5:
            return multiply_tile_rows<5>(t, b, columns);
        case 4:
            return multiply_tile_rows<4>(t, b, columns);
        case 3:
            return multiply_tile_rows<3>(t, b, columns);
        case 2:
            return multiply_tile_rows<2>(t, b, columns);
        default:
            return multiply_tile_rows<1>(t, b, columns);
    }
}

// All of A, as tiles read it: where it stands, or packed once for all tasks.
template <typename T>
class RowsOfA {
  public:
    explicit RowsOfA(const GemmArgs<T>& s) : packed_(in_place(s) ? 0 : a_block_units<T>(s.M, s.K)) {
        const Matrix<T> A{s.A, s.A_row, s.A_column};
        block_ = in_place(s) ? a_in_place(A) : pack_a(packed_.data, A, s.M, s.M, s.K);
    }
    // Step k of the rows from m on, the first of tile `tile`.
    const char* at(int64_t m, int64_t tile, int64_t step) const {
        return block_.data + (any_height() ? m * block_.row : tile * block_.tile) +
               step * block_.step;
    }
    const ABlock& block() const { return block_; }
    bool any_height() const { return block_.tile == tile_rows * block_.row; }

  private:
    static bool in_place(const GemmArgs<T>& s) {
        return stored_as_units<T> &&
               (unit_elements<T> == 1 || (s.A_column == 1 && s.K % unit_elements<T> == 0));
    }
    Scratch<unit_t<T>> packed_;
    ABlock block_;
};

// Where the sums of columns [n, n + columns) of all rows are kept: in the result, or beside it.
template <typename T>
struct ResultSums {
    Scratch<acc_t<T>> scratch;
    acc_t<T>* data;
    int64_t row;

    ResultSums(const GemmArgs<T>& s, int64_t n, int64_t columns)
        : scratch(sums_in_result(s) ? 0 : s.M * columns),
          data(sums_in_result(s) ? result_sums(s, 0, n) : scratch.data),
          row(sums_in_result(s) ? s.C_row : columns) {}

    void finish(const GemmArgs<T>& s, int64_t n, int64_t columns) const {
        const Rectangle all{0, n, static_cast<int>(s.M), static_cast<int>(columns)};
        if (!is_plain(s)) finish_tile(s, data, row, all);
    }
};

// Columns [n, n + columns) of the result, of which K is walked in blocks of so many elements.
template <typename T, typename B>
void multiply_columns(const GemmArgs<T>& s, const RowsOfA<T>& a, const B& b, int64_t n,
                      int64_t columns, int64_t k_block) {
    const ResultSums<T> sums(s, n, columns);
    int64_t k = 0;
    do {  // once also where K is 0
        const int64_t K = least(k_block, s.K - k);
        for_tiles(s.M, a.any_height(), [&](int64_t m, int rows, int64_t tile, int64_t) {
            const RowTile<T> t{a.at(m, tile, k / unit_elements<T>),
                               a.block().row,
                               a.block().step,
                               units_of<T>(K),
                               K % unit_elements<T> != 0,
                               sums.data + m * sums.row,
                               sums.row,
                               k > 0 || s.accumulate};
            multiply_row_tile(rows, t, b.at(k, n), columns);
        });
        k += k_block;
    } while (k < s.K);
    sums.finish(s, n, columns);
}

}  // namespace plainformer::PF_ISA
