// The register tile: D = A B (or D += A B) for at most tile_rows rows and one panel of columns,
// with every sum in a register for the whole of K.
//
// Each element of D is one chain of multiply-adds in ascending k, whatever the tile's size, and a
// sum that is stored and taken up again goes on unchanged: so blocks never show in the result.
#pragma once
#include "gemm_unit.h"
#include "tuning.h"

namespace plainformer::PF_ISA {

// 6 x 4 sums, 4 columns of B and a broadcast fill the 32 registers of AVX-512 and of NEON to 29;
// 6 x 2 the 16 of the other levels. Six rows of A never fight for one L1 set, whatever their stride
// (8 ways).
constexpr int tile_rows = 6;
#if defined(__AVX512F__) || defined(PF_NEON)
constexpr int tile_vectors = 4;
#else
constexpr int tile_vectors = 2;
#endif

template <typename T>
inline constexpr int64_t panel_columns = tile_vectors * lanes<T>;

// U is how B stores its units: unit_t<T> or kept_t<T>.
template <typename T, typename U = unit_t<T>>
struct Tile {
    const char* a;  // first unit; rows a_row bytes apart, steps a_step bytes apart
    int64_t a_row, a_step;
    const U* b;  // (steps, panel), b_step units apart
    int64_t b_step;
    int64_t steps;
    acc_t<T>* d;  // (rows, columns), d_row apart
    int64_t d_row;
    int rows, columns;
    bool add;
    // Cache lines that each step prefetches; null: A itself, since a transposed one needs a new
    // line at every step, which no hardware prefetcher foresees.
    const char* ahead = nullptr;
    int64_t ahead_step = 0;  // bytes
    int ahead_lines = 1;
};

template <typename T, typename U, int rows, int vectors>
struct TileSums {
    VecOf<T> sum[rows][vectors];

    // f(row, vector, Full or Tail): the last vector may be partial.
    template <typename F>
    PF_INLINE static void for_each(int columns, F f) {
        const Tail tail{columns - (vectors - 1) * static_cast<int>(lanes<T>)};
        for (int r = 0; r < rows; ++r) {
            for (int v = 0; v < vectors - 1; ++v) f(r, v, Full{});
            if (tail.n == lanes<T>)
                f(r, vectors - 1, Full{});
            else
                f(r, vectors - 1, tail);
        }
    }

    PF_INLINE void start(const Tile<T, U>& t) {
        for (auto& row : sum)
            for (auto& s : row) s = VecOf<T>(acc_t<T>(0));
        if (t.add)
            for_each(t.columns, [&](int r, int v, auto tail) {
                sum[r][v] = load(t.d + r * t.d_row + v * lanes<T>, tail);
            });
    }

    PF_INLINE void step(const char* a, int64_t a_row, const U* b) {
        decltype(load_units(b)) columns[vectors];
        for (int v = 0; v < vectors; ++v) columns[v] = load_units(b + v * lanes<T>);
        for (int r = 0; r < rows; ++r) {
            const auto a_r = broadcast_unit(a + r * a_row, static_cast<unit_t<T>*>(nullptr));
            for (int v = 0; v < vectors; ++v) sum[r][v] = multiply_add(a_r, columns[v], sum[r][v]);
        }
    }

    PF_INLINE void finish(const Tile<T, U>& t) const {
        for_each(t.columns, [&](int r, int v, auto tail) {
            store(t.d + r * t.d_row + v * lanes<T>, tail, sum[r][v]);
        });
    }
};

template <typename T, typename U, int rows, int vectors>
void multiply_tile_of(const Tile<T, U>& t) {
    TileSums<T, U, rows, vectors> sums;
    sums.start(t);
    const char* a = t.a;
    const U* b = t.b;
    const char* ahead = t.ahead ? t.ahead : a + a_steps_ahead * t.a_step;
    const int64_t ahead_step = t.ahead ? t.ahead_step : t.a_step;
    for (int64_t k = 0; k < t.steps; ++k, a += t.a_step, b += t.b_step, ahead += ahead_step) {
        for (int i = 0; i < t.ahead_lines; ++i) __builtin_prefetch(ahead + cache_line * i);
        sums.step(a, t.a_row, b);
    }
    sums.finish(t);
}

template <int rows, typename T, typename U>
void multiply_rows(const Tile<T, U>& t) {
    const int vectors = static_cast<int>(ceil_div(t.columns, lanes<T>));
    if constexpr (tile_vectors == 4) {
        if (vectors == 4) return multiply_tile_of<T, U, rows, 4>(t);
        if (vectors == 3) return multiply_tile_of<T, U, rows, 3>(t);
    }
    if (vectors == 2) return multiply_tile_of<T, U, rows, 2>(t);
    multiply_tile_of<T, U, rows, 1>(t);
}

template <typename T, typename U>
void multiply_tile(const Tile<T, U>& t) {
    switch (t.rows) {
        case 6:
            return multiply_rows<6>(t);
        case 5:
            return multiply_rows<5>(t);
        case 4:
            return multiply_rows<4>(t);
        case 3:
            return multiply_rows<3>(t);
        case 2:
            return multiply_rows<2>(t);
        default:
            return multiply_rows<1>(t);
    }
}

}  // namespace plainformer::PF_ISA
