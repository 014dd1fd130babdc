// Matrix product: blocks, threads and batches around the register tile. Formula: plainformer/gemm.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// B is packed in panels once and shared; the result is then cut into rectangles of some rows and
// panels, claimed by the threads as they come (gemm_blocking.h). With few rows there is nothing to
// share: B is read where it stands (gemm_rows.h, gemm_columns.h) or a task packs its own panels, a
// short block of K at a time. Which way is taken shows in no byte: each element is one chain in
// ascending k; so how the work is cut may depend on the number of threads and on caches.
#include "gemm_batch.h"
#include "gemm_blocking.h"
#include "gemm_columns.h"
#include "gemm_residual.h"
#include "runtime/allocator.h"    // Scratch
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

namespace {

// Steps of which a panel of B stays in L2.
template <typename T>
inline constexpr int64_t panel_steps =
    panel_bytes / (panel_columns<T> * static_cast<int64_t>(sizeof(unit_t<T>)));

// How many tasks a thread claims at once: all of a small product.
template <typename T>
int64_t claim(const GemmArgs<T>& s, int64_t tasks) {
    return 2 * s.M * s.N * s.K < gemm_task_flops / 2 ? tasks : 1;
}

template <typename T>
Matrix<T> columns_of_b(const GemmArgs<T>& s, int64_t panel, int64_t k) {
    const Matrix<T> B{s.B, s.B_row, s.B_column};
    return {B.at(k, panel * panel_columns<T>), s.B_row, s.B_column};
}

// How many panels make a task, so that it lasts and that packing A, where needed, is paid back.
// A panel that only this task packs costs as much as `packing_rows` more rows.
template <typename T>
int64_t panels_per_task(const GemmArgs<T>& s, int64_t panels) {
    const int64_t flops = 2 * (s.M + packing_rows) * panel_columns<T> * greatest(1, s.K);
    const bool in_place = reads_a_in_place(Matrix<T>{s.A, s.A_row, s.A_column}, s.K);
    const int64_t wanted = ceil_div(gemm_task_flops, flops) + (in_place ? 0 : packed_a_panels);
    return ceil_div(panels, ceil_div(panels, wanted));  // tasks of equal size
}

// Rows [k, k + K) of panels [first, first + panels), a few rows of all panels at a time, so that
// contiguous rows are read in runs.
template <typename T>
void pack_rows_of_panels(const GemmArgs<T>& s, unit_t<T>* to, int64_t panel_units, int64_t first,
                         int64_t panels, int64_t k, int64_t K) {
    for (int64_t row = 0; row < K; row += row_walk_steps)
        for (int64_t p = 0; p < panels; ++p) {
            const int64_t columns = least(panel_columns<T>, s.N - (first + p) * panel_columns<T>);
            pack_panel(to + p * panel_units + row / unit_elements<T> * panel_columns<T>,
                       columns_of_b(s, first + p, k + row), least(row_walk_steps, K - row),
                       columns);
        }
}

// What is added to a block of at most `rows` rows from m on, panels [first, first + panels), once
// it is whole.
template <typename T>
void finish_block(const PackedGemmArgs<T>& s, int64_t m, int64_t rows, int64_t first,
                  int64_t panels) {
    const int64_t n = first * panel_columns<T>;
    add_residual(s, m, least(rows, s.M - m), n, least(panels * panel_columns<T>, s.N - n));
}

// At most most_few_rows rows: each task packs what it needs of its panels, block by block of K: one
// panel where columns of B are contiguous (the longer the run, the faster it is read), else all.
template <typename T>
void multiply_few_rows(const PackedGemmArgs<T>& s) {
    const int64_t panels = ceil_div(s.N, panel_columns<T>);
    const int64_t task_panels = panels_per_task(s, panels);
    const bool by_rows = s.B_column == 1;
    const int64_t steps = least(by_rows ? packed_row_steps : panel_steps<T>, units_of<T>(s.K));
    const int64_t tasks = ceil_div(panels, task_panels), panel_units = steps * panel_columns<T>;
    parallel_for(tasks, claim(s, tasks), [&](int64_t task) {
        const int64_t first = task * task_panels, count = least(task_panels, panels - first);
        Scratch<unit_t<T>> packed(panel_units * (by_rows ? count : 1));
        Block<T> block(s, 0, first, count, Steps{steps, steps});
        block.compute([&](int64_t panel, int64_t k, int64_t K) {
            if (!by_rows)
                pack_panel(packed.data, columns_of_b(s, panel, k), K,
                           least(panel_columns<T>, s.N - panel * panel_columns<T>));
            else if (panel == first)
                pack_rows_of_panels(s, packed.data, panel_units, first, count, k, K);
            return PanelView<unit_t<T>>{packed.data + (by_rows ? (panel - first) * panel_units : 0),
                                        panel_columns<T>};
        });
        finish_block(s, 0, s.M, first, count);
    });
}

// Whether a product is too small to be shared.
template <typename T>
bool is_small(const GemmArgs<T>& s) {
    return 2 * greatest(s.M, reading_rows) * s.N * s.K < kept_shared_flops;
}

// Columns of a task that walks the rows of B: long runs of memory, as many for each thread.
template <typename T>
int64_t columns_per_task(const GemmArgs<T>& s) {
    if (is_small(s)) return s.N;
    const int64_t tasks = num_threads() * greatest(1, s.N / (num_threads() * row_run));
    return round_up(ceil_div(s.N, tasks), panel_columns<T>);
}

// Whether contiguous rows of B are multiplied where they stand: while that costs less than packing,
// that is, up to two tiles of rows where pairs are made of them first.
template <typename T>
bool reads_b_in_place(const GemmArgs<T>& s) {
    return s.B_column == 1 && (unit_elements<T> == 1 || s.M <= 2 * tile_rows);
}

template <typename T>
void multiply_rows(const PackedGemmArgs<T>& s) {
    const RowsOfA<T> a(s);
    const StoredRows<T> b{s.B, s.B_row};
    const int64_t width = columns_per_task(s), tasks = ceil_div(s.N, width);  // no byte knows these
    const int64_t block = (s.M == 1 ? 1 : 2) * row_walk_steps * unit_elements<T>;
    parallel_for(tasks, is_small(s) ? tasks : 1, [&](int64_t task) {
        const int64_t n = task * width;
        multiply_columns(s, a, b, n, least(width, s.N - n), block);
        add_residual(s, 0, s.M, n, least(width, s.N - n));
    });
}

// Very few rows against contiguous columns of B.
template <typename T>
void multiply_by_columns(const PackedGemmArgs<T>& s) {
    const RowsOfA<T> a(s);
    const int64_t wanted = ceil_div(s.N, num_threads() * column_tasks_per_thread);
    const int64_t width = is_small(s) ? s.N : round_up(wanted, column_groups<T>(1) * lanes<T>);
    const int64_t tasks = ceil_div(s.N, width);
    parallel_for(tasks, 1, [&](int64_t task) {
        const int64_t n = task * width, columns = least(width, s.N - n);
        multiply_stored_columns(s, a, n, columns);
        add_residual(s, 0, s.M, n, columns);
    });
}

// Row k of a panel that pack_weight made.
template <typename T>
const kept_t<T>* kept_panel(const PackedGemmArgs<T>& s, int64_t panel, int64_t k) {
    const int64_t row = panel * units_of<T>(s.K) + k / unit_elements<T>;
    return static_cast<const kept_t<T>*>(s.panels) + row * panel_columns<T>;
}

// Panels [first, first + panels) as units: packed now, or kept ones, widened or where they are.
template <typename T>
const unit_t<T>* shared_panels(const PackedGemmArgs<T>& s, unit_t<T>* scratch, int64_t first,
                               int64_t panels) {
    if constexpr (kept_as_units<T>)
        if (s.panels) return kept_panel(s, first, 0);
    const int64_t panel_units = units_of<T>(s.K) * panel_columns<T>;
    parallel_for(panels, claim(s, panels), [&](int64_t p) {
        const int64_t n = (first + p) * panel_columns<T>;
        unit_t<T>* const to = scratch + p * panel_units;
        if (s.panels)
            widen_units(to, kept_panel(s, first + p, 0), panel_units);
        else
            pack_panel(to, columns_of_b(s, first + p, 0), s.K, least(panel_columns<T>, s.N - n));
    });
    return scratch;
}

// All rows of the result in the columns of panels [first, first + panels).
template <typename T>
void multiply_panels(const PackedGemmArgs<T>& s, const Blocking& by, unit_t<T>* scratch,
                     int64_t first, int64_t panels) {
    const unit_t<T>* const shared = shared_panels(s, scratch, first, panels);
    const int64_t panel_units = units_of<T>(s.K) * panel_columns<T>;
    const int64_t task_panels = many_rows_task(s, by, panels);
    const int64_t across = ceil_div(panels, task_panels), down = ceil_div(s.M, by.rows);
    parallel_for(across * down, claim(s, across * down), [&](int64_t task) {
        const int64_t p = task % across * task_panels, count = least(task_panels, panels - p);
        Block<T> block(s, task / across * by.rows, first + p, count, Steps{by.steps, by.steps},
                       by.rows);
        block.compute([&](int64_t panel, int64_t k, int64_t) {
            const unit_t<T>* const data =
                shared + (panel - first) * panel_units + k / unit_elements<T> * panel_columns<T>;
            const bool fetches = panels_in_l1<T> && panel + 1 < first + p + count;
            return PanelView<unit_t<T>>{data, panel_columns<T>, false,
                                        fetches ? data + panel_units : nullptr};
        });
        finish_block(s, task / across * by.rows, by.rows, first + p, count);
    });
}

template <typename T>
void multiply_many_rows(const PackedGemmArgs<T>& s) {
    const Blocking by = blocking_of(s, core_caches());
    const int64_t panels = ceil_div(s.N, panel_columns<T>);
    const bool in_place = s.panels && kept_as_units<T>;
    Scratch<unit_t<T>> scratch(in_place ? 0 : by.panels * units_of<T>(s.K) * panel_columns<T>);
    for (int64_t first = 0; first < panels; first += by.panels)
        multiply_panels(s, by, scratch.data, first, least(by.panels, panels - first));
}

// ---- B packed beforehand ------------------------------------------------------------------------

// Work in a panel.
template <typename T>
int64_t kept_flops(const GemmArgs<T>& s) {
    return 2 * greatest(s.M, reading_rows) * panel_columns<T> * greatest(1, s.K);
}

template <typename T>
int64_t kept_panels_per_task(const GemmArgs<T>& s, int64_t panels) {
    const int64_t flops = kept_flops(s);
    const int64_t wanted_flops =
        least(gemm_task_flops, greatest(kept_task_flops, flops * panels / enough_tasks));
    const bool in_place = reads_a_in_place(Matrix<T>{s.A, s.A_row, s.A_column}, s.K);
    const int64_t wanted = ceil_div(wanted_flops, flops) + (in_place ? 0 : packed_a_panels);
    return ceil_div(panels, ceil_div(panels, wanted));
}

template <typename T>
Steps kept_steps(const GemmArgs<T>& s) {
    const int64_t steps = units_of<T>(s.K), tiles = ceil_div(s.M, tile_rows);
    const int64_t block = s.M * steps <= kept_block_units ? steps : least(steps, panel_steps<T>);
    return {block, tiles == 1 ? block : least(tiles * run_steps_per_tile, longest_run)};
}

// One tile of rows: panels from end to end, several at a time.
template <typename T>
void multiply_kept_rows(const PackedGemmArgs<T>& s) {
    const RowsOfA<T> a(s);
    const KeptRows<T> b{kept_panel(s, 0, 0), units_of<T>(s.K) * panel_columns<T>};
    const int64_t panels = ceil_div(s.N, panel_columns<T>);
    const int64_t group = row_tile_vectors(static_cast<int>(s.M)) / tile_vectors;
    const int64_t width = round_up(kept_panels_per_task(s, panels), group) * panel_columns<T>;
    const int64_t tasks = ceil_div(s.N, width);
    parallel_for(tasks, is_small(s) ? tasks : 1, [&](int64_t task) {
        const int64_t n = task * width;
        multiply_columns(s, a, b, n, least(width, s.N - n), greatest(1, s.K));
        add_residual(s, 0, s.M, n, least(width, s.N - n));
    });
}

// At most most_few_rows rows of panels that pack_weight made.
template <typename T>
void multiply_kept(const PackedGemmArgs<T>& s) {
    const int64_t panels = ceil_div(s.N, panel_columns<T>);
    const int64_t task_panels = kept_panels_per_task(s, panels);
    const int64_t tasks = ceil_div(panels, task_panels);
    const bool small = kept_flops(s) * panels < kept_shared_flops;
    parallel_for(tasks, small ? tasks : 1, [&](int64_t task) {
        const int64_t first = task * task_panels;
        Block<T> block(s, 0, first, least(task_panels, panels - first), kept_steps(s));
        block.compute([&](int64_t panel, int64_t k, int64_t) {
            return PanelView<kept_t<T>>{kept_panel(s, panel, k), panel_columns<T>, true};
        });
        finish_block(s, 0, s.M, first, task_panels);
    });
}

// One column of the result as one row: (A B)^T = B^T A^T, in which lanes are rows of A. Every
// product and every sum is the same.
template <typename T>
PackedGemmArgs<T> turned(const PackedGemmArgs<T>& s) {
    PackedGemmArgs<T> t = s;
    t.M = s.N, t.N = s.M;
    t.A = s.B, t.A_row = s.B_column, t.A_column = s.B_row;
    t.B = s.A, t.B_row = s.A_column, t.B_column = s.A_row;
    t.C_row = s.M;
    return t;
}

// Whether there are so few rows that B is not packed once for all of them. Wide tiles do so sooner
// where rows of B are contiguous: sums that go on from block to block cost them more.
template <typename T>
bool has_few_rows(const PackedGemmArgs<T>& s) {
    const bool packs_sooner =
        tile_vectors == 4 && unit_elements<T> == 1 && s.B_column == 1 && !s.panels;
    return s.M <= (packs_sooner ? wide_few_rows : most_few_rows);
}

template <typename T>
void multiply(const PackedGemmArgs<T>& s) {
    if (s.M == 0 || s.N == 0) return;
    if (s.N == 1 && s.M > 1 && s.C_row == 1 && !s.bias && !s.panels && !s.residual)
        return multiply(turned(s));
    if (!has_few_rows(s)) return multiply_many_rows(s);
    if (s.panels) return s.M <= tile_rows ? multiply_kept_rows(s) : multiply_kept(s);
    if (reads_b_in_place(s)) return multiply_rows(s);
    if (s.B_row == 1 && s.M <= transposed_rows) return multiply_by_columns(s);
    multiply_few_rows(s);
}

}  // namespace

template <typename T>
void gemm(const GemmArgs<T>& s) {
    for_each_matrix(PackedGemmArgs<T>{s}, [](const PackedGemmArgs<T>& one) { multiply(one); });
}
PF_INSTANTIATE(gemm, GemmArgs)

template <typename T>
void packed_gemm(const PackedGemmArgs<T>& s) {
    for_each_matrix(s, [](const PackedGemmArgs<T>& one) { multiply(one); });
}
PF_INSTANTIATE(packed_gemm, PackedGemmArgs)

}  // namespace plainformer::PF_ISA
