// Linear layers with an int8 weight: rows, threads and the epilogue around the register tile of
// int8_tile.h. Formula: int8.h. Built once per ISA level into namespace PF_ISA; dispatch.cpp picks
// the level.
//
// The rows of x are made ready once. The result is then cut into blocks of rows by a few panels,
// claimed by the threads as they come; in each, a panel meets all tiles of rows before the next.
#include "gemm_epilogue.h"  // with_activation_or_none
#include "int8_rows.h"
#include "runtime/allocator.h"    // Scratch
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

namespace {

constexpr int64_t int8_row_block = int8_row_tiles * int8_tile_rows;

// All rows of x, ready: M of them `row` apart.
template <typename Rows>
struct ReadyRows {
    const typename Rows::Element* data;
    int64_t row;
    const RowScale* scale;  // null: 1
};

// The part of the result that is finished: rows [m, m + rows), `columns` from n.
struct Part {
    int64_t m, n;
    int rows;
    int64_t columns, totals_row;
};

template <typename T, typename F>
PF_INLINE void finish_with(F f, const Int8LinearArgs<T>& s, const RowScale* scale,
                           const float* totals, const Part& at) {
    for (int r = 0; r < at.rows; ++r, totals += at.totals_row) {
        T* const y = s.y + (at.m + r) * s.weight.N + at.n;
        const Vec<float> step(scale ? scale[r].step : 1.0f);
        for_lanes<float>(at.columns, [&](int64_t i, auto tail) {
            Vec<float> z = load(totals + i, tail) * step;
            if (s.bias) z = z + load(s.bias + at.n + i, tail);
            store(y + i, tail, f.value(z));
        });
    }
}

template <typename T, typename Rows>
void multiply_tile_of(const Int8LinearArgs<T>& s, const ReadyRows<Rows>& x, int64_t m, int rows,
                      const typename Rows::Value* values, int64_t panel, int64_t panels) {
    alignas(64) float totals[int8_tile_rows * int8_columns];  // more than one row of chains
    const RowScale* const scale = x.scale ? x.scale + m : nullptr;
    const Int8Tile<Rows> tile{s.weight, x.data + m * x.row, x.row, scale, values, panel, totals};
    if (s.weight.K > 0)
        multiply_int8(tile, rows, panels);
    else
        __builtin_memset(totals, 0, sizeof totals);
    const int64_t n = panel * int8_columns;
    const Part part{m, n, rows, least(panels * int8_columns, s.weight.N - n),
                    panels * int8_columns};
    with_activation_or_none(s.activation, [&](auto f) { finish_with(f, s, scale, totals, part); });
}

// Rows [m, m + rows) in tiles of nearly equal heights.
template <typename T, typename Rows>
void multiply_panels(const Int8LinearArgs<T>& s, const ReadyRows<Rows>& x, int64_t m, int64_t rows,
                     const typename Rows::Value* values, int64_t panel, int64_t panels) {
    const int64_t tiles = ceil_div(rows, int8_tile_rows);
    for (int64_t i = 0, done = 0; i < tiles; ++i) {
        const int64_t height = ceil_div(rows - done, tiles - i);
        multiply_tile_of(s, x, m + done, static_cast<int>(height), values, panel, panels);
        done += height;
    }
}

// Many rows meet a panel widened once.
template <typename T>
void multiply_wide(const Int8LinearArgs<T>& s, const ReadyRows<FloatRows>& x, int64_t m,
                   int64_t rows, int64_t first, int64_t panels) {
    const int64_t units = int8_units(s.weight.K);
    Scratch<float> wide(units * int8_step);
    for (int64_t p = first; p < first + panels; ++p) {
        widen_panel(wide.data, s.weight.values + p * units * int8_step, units);
        multiply_panels(s, ReadyRows<WideRows>{x.data, x.row, nullptr}, m, rows, wide.data, p, 1);
    }
}

// Rows [m, m + rows) and panels [first, first + panels).
template <typename T, typename Rows>
void multiply_block(const Int8LinearArgs<T>& s, const ReadyRows<Rows>& x, int64_t m, int64_t rows,
                    int64_t first, int64_t panels) {
    if constexpr (sizeof(typename Rows::Element) == sizeof(float) && int8_vectors == 2)
        if (rows >= int8_wide_rows) return multiply_wide(s, x, m, rows, first, panels);
    const int64_t at_once = int8_panels_at_once(rows);
    const int64_t panel_bytes = int8_units(s.weight.K) * int8_step;
    for (int64_t p = first; p < first + panels; p += at_once)
        multiply_panels(s, x, m, rows, s.weight.values + p * panel_bytes, p,
                        least(at_once, first + panels - p));
}

// How many panels make a task: enough work, and as many tasks as there can be threads.
template <typename Rows>
int64_t int8_panels_per_task(const Int8Panels& w, int64_t rows, int64_t panels) {
    const int64_t flops = 2 * greatest(rows, reading_rows) * int8_columns * greatest(1, w.K);
    constexpr int64_t task = sizeof(typename Rows::Element) < sizeof(float) ? 2 : 1;
    const int64_t wanted =
        least(task * gemm_task_flops, greatest(int8_task_flops, flops * panels / enough_tasks));
    const int64_t together = round_up(ceil_div(wanted, flops), int8_panels_at_once(rows));
    return ceil_div(panels, ceil_div(panels, together));
}

template <typename T, typename Rows>
void multiply_rows_of(const Int8LinearArgs<T>& s, const ReadyRows<Rows>& x) {
    const Int8Panels& w = s.weight;
    const int64_t panels = ceil_div(w.N, int8_columns), down = ceil_div(s.M, int8_row_block);
    const int64_t rows = ceil_div(s.M, down);  // of blocks of nearly equal heights
    const int64_t task_panels = int8_panels_per_task<Rows>(w, rows, panels);
    const int64_t across = ceil_div(panels, task_panels);
    parallel_for(across * down, 1, [&](int64_t task) {
        const int64_t p = task % across * task_panels, m = task / across * rows;
        if (m < s.M)
            multiply_block(s, x, m, least(rows, s.M - m), p, least(task_panels, panels - p));
    });
}

template <typename T>
void multiply_quantized(const Int8LinearArgs<T>& s) {
    const int64_t K = s.weight.K, padded = int8_units(K) * int8_elements;
    Scratch<Int8Row> rows(s.M * padded);
    Scratch<RowScale> scale(s.M);
    parallel_for(s.M, rows_per_task(task_elements, K), [&](int64_t m) {
        scale.data[m] = quantize_row(rows.data + m * padded, s.x + m * s.x_row, K, padded);
    });
    multiply_rows_of(s, ReadyRows<QuantizedRows>{rows.data, padded, scale.data});
}

template <typename T>
void multiply_floats(const Int8LinearArgs<T>& s) {
    const int64_t K = s.weight.K, padded = int8_units(K) * int8_elements;
    if constexpr (sizeof(T) == sizeof(float))
        if (K == padded) return multiply_rows_of(s, ReadyRows<FloatRows>{s.x, s.x_row, nullptr});
    Scratch<float> rows(s.M * padded);
    parallel_for(s.M, rows_per_task(task_elements, K), [&](int64_t m) {
        widen_row(rows.data + m * padded, s.x + m * s.x_row, K, padded);
    });
    multiply_rows_of(s, ReadyRows<FloatRows>{rows.data, padded, nullptr});
}

}  // namespace

template <typename T>
void int8_linear(const Int8LinearArgs<T>& s) {
    if (s.M == 0 || s.weight.N == 0) return;
    if constexpr (sizeof(T) <= sizeof(float))  // the bindings refuse float64
        s.dynamic ? multiply_quantized(s) : multiply_floats(s);
}
PF_INSTANTIATE(int8_linear, Int8LinearArgs)

}  // namespace plainformer::PF_ISA
