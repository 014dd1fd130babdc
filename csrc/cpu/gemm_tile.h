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
#ifdef PF_AMX  // 16 rows, and panels four tiles wide
constexpr int tile_rows = 16, tile_vectors = 64 / Vec<float>::width;
#else
constexpr int tile_rows = 6;
#if defined(__AVX512F__) || defined(PF_NEON)
constexpr int tile_vectors = 4;
#else
constexpr int tile_vectors = 2;
#endif
#endif

template <typename T>
inline constexpr int64_t panel_columns = tile_vectors * lanes<T>;

// Rows of A that a packed block holds side by side at each step (gemm_pack.h).
constexpr int64_t a_group = 8;

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
    // What each turn of turn_steps prefetches: so many cache lines, `ahead_turn` bytes further on.
    const char* ahead = nullptr;
    int64_t ahead_turn = 0;
    int ahead_lines = 0;
};

// PF_INLINE for a lambda, after its parameters.
#define PF_INLINE_LAMBDA __attribute__((always_inline))

// f(0), ..., f(count - 1), as straight code: sums then live in registers from the first to the
// last.
template <int count, typename F>
PF_INLINE void unrolled(const F& f) {
    if constexpr (count > 0) {
        unrolled<count - 1>(f);
        f(count - 1);
    }
}

template <typename T, typename U, int rows, int vectors>
struct TileSums {
    VecOf<T> sum[rows][vectors];

    // f(row, vector, Full or Tail): the last vector may be partial.
    template <typename F>
    PF_INLINE static void for_each(int columns, const F& f) {
        const Tail tail{columns - (vectors - 1) * static_cast<int>(lanes<T>)};
        if (tail.n == lanes<T>)
            return unrolled<rows * vectors>(
                [&](int i) PF_INLINE_LAMBDA { f(i / vectors, i % vectors, Full{}); });
        unrolled<rows>([&](int r) PF_INLINE_LAMBDA {
            unrolled<vectors - 1>([&](int v) PF_INLINE_LAMBDA { f(r, v, Full{}); });
            f(r, vectors - 1, tail);
        });
    }

    PF_INLINE void start(const Tile<T, U>& t) {
        unrolled<rows * vectors>(
            [&](int i) PF_INLINE_LAMBDA { sum[i / vectors][i % vectors] = VecOf<T>(acc_t<T>(0)); });
        if (t.add)
            for_each(t.columns, [&](int r, int v, auto tail) PF_INLINE_LAMBDA {
                sum[r][v] = load(t.d + r * t.d_row + v * lanes<T>, tail);
            });
    }

    PF_INLINE void step(const char* a, int64_t a_row, const U* b) {
        decltype(load_units(b)) columns[vectors];
        unrolled<vectors>([&](int v)
                              PF_INLINE_LAMBDA { columns[v] = load_units(b + v * lanes<T>); });
        unrolled<rows>([&](int r) PF_INLINE_LAMBDA {
            const auto a_r = broadcast_unit(a + r * a_row, static_cast<unit_t<T>*>(nullptr));
            unrolled<vectors>([&](int v)
                                  PF_INLINE_LAMBDA { add_product(sum[r][v], a_r, columns[v]); });
        });
    }

    PF_INLINE void finish(const Tile<T, U>& t) const {
        for_each(t.columns, [&](int r, int v, auto tail) PF_INLINE_LAMBDA {
            store(t.d + r * t.d_row + v * lanes<T>, tail, sum[r][v]);
        });
    }
};

// Steps in a turn of the loop: with the walk of A and B known when compiled, all of a turn's
// addresses are displacements. On AVX2 a step is 22 micro-ops for 12 multiply-adds; one step a
// turn, with a prefetch loop in it, was 36, and so 9 cycles instead of 6 on processors that issue
// four.
#ifdef PF_ISA_IS_GENERIC
constexpr int turn_steps = 1;  // no fused multiply-add: each product takes a register of its own
#else
constexpr int turn_steps = 4;
#endif

template <int64_t a_step, int64_t a_row, int64_t b_step, typename T, typename U, int rows,
          int vectors>
PF_INLINE void multiply_steps(const Tile<T, U>& t, TileSums<T, U, rows, vectors>* sums) {
    const char* a = t.a;
    const U* b = t.b;
    const char* ahead = t.ahead;
    int64_t k = t.steps;
    const int64_t row = a_row ? a_row : t.a_row;
    for (; k >= turn_steps; k -= turn_steps) {
        unrolled<turn_steps>(
            [&](int i) PF_INLINE_LAMBDA { sums->step(a + i * a_step, row, b + i * b_step); });
        a += turn_steps * a_step;
        b += turn_steps * b_step;
        for (int j = 0; j < t.ahead_lines; ++j) __builtin_prefetch(ahead + cache_line * j);
        ahead += t.ahead_turn;
    }
    for (; k > 0; --k, a += a_step, b += b_step) sums->step(a, row, b);
}

// A that needs a new cache line at every step, which no hardware prefetcher foresees, and a B that
// stands where it was.
template <typename T, typename U, int rows, int vectors>
PF_INLINE void multiply_steps_apart(const Tile<T, U>& t, TileSums<T, U, rows, vectors>* sums) {
    const char* a = t.a;
    const U* b = t.b;
    const int64_t ahead = a_steps_ahead * t.a_step;
    for (int64_t k = 0; k < t.steps; ++k, a += t.a_step, b += t.b_step) {
        __builtin_prefetch(a + ahead);
        sums->step(a, t.a_row, b);
    }
}

template <typename T, typename U, int rows, int vectors>
void multiply_tile_of(const Tile<T, U>& t) {
    constexpr int64_t unit = sizeof(unit_t<T>);
    TileSums<T, U, rows, vectors> sums;
    sums.start(t);
    if (t.b_step != panel_columns<T>)
        multiply_steps_apart(t, &sums);
    else if (t.a_step == unit)
        multiply_steps<unit, 0, panel_columns<T>>(t, &sums);
    else if (t.a_step == a_group * unit && t.a_row == unit)
        multiply_steps<a_group * unit, unit, panel_columns<T>>(t, &sums);
    else
        multiply_steps_apart(t, &sums);
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
