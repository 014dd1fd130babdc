// How a product of many rows is cut, from its shape and the caches of the machine at hand. Each sum
// runs in ascending k and goes on unchanged from where it was left: no byte depends on any of it.
#pragma once
#include "gemm_block.h"
#include "runtime/core_caches.h"
#include "runtime/thread_pool.h"  // num_threads

namespace plainformer::PF_ISA {

// Whether a step of a panel is so narrow that a panel stays in L1, with room for A beside it. A
// wide one (256 bytes) comes from L2, and has the time of 24 wide multiply-adds to come. The next
// narrow panel is fetched while tiles use this one: without it they took 1.06 to 1.08 of the time
// from K = 1024 on (Zen 5, avx2), wide ones 0.99 to 1.00.
template <typename T>
inline constexpr int64_t panel_step_bytes =
    panel_columns<T> * static_cast<int64_t>(sizeof(unit_t<T>));
template <typename T>
inline constexpr bool panels_in_l1 = panel_step_bytes<T> <= 2 * cache_line;

struct Blocking {
    int64_t steps;   // of a panel of B, which tile after tile of rows reads again
    int64_t rows;    // of a block of A, which panel after panel of B meets
    int64_t panels;  // of B that are packed at once
};

// Parts of a of nearly equal size, at most `most` each, multiples of `unit`.
constexpr int64_t equal_part(int64_t a, int64_t most, int64_t unit) {
    const int64_t parts = greatest(1, ceil_div(a, greatest(unit, most / unit * unit)));
    return round_up(greatest(1, ceil_div(a, parts)), unit);
}

template <typename T>
Blocking blocking_of(const GemmArgs<T>& s, CoreCaches caches) {
    constexpr int64_t unit = sizeof(unit_t<T>);
    const int64_t K = units_of<T>(s.K);
    const int64_t for_panel = panels_in_l1<T> ? caches.l1 / 2 : caches.l2 / 4;
    const int64_t steps = equal_part(K, for_panel / panel_step_bytes<T>, steps_unit);
    const int64_t in_l2 = caches.l2 / 2 / (steps * unit);
    const int64_t rows = equal_part(s.M, least(row_block, in_l2), tile_rows);
    const int64_t at_once =
        least(shared_panels_bytes, caches.last / 2) / greatest(1, K * panel_step_bytes<T>);
    return {steps, rows, equal_part(ceil_div(s.N, panel_columns<T>), at_once, 1)};
}

// How many of `panels` a task takes: as many as leave each thread several tasks, since a block of A
// that is packed serves them all, and the last to end keeps the others waiting.
template <typename T>
int64_t many_rows_task(const GemmArgs<T>& s, const Blocking& by, int64_t panels) {
    const int64_t flops = 2 * by.rows * panel_columns<T> * greatest(1, s.K);
    const int64_t threads = num_threads();
    const int64_t tasks = threads == 1 ? 1 : threads * tasks_per_thread;
    const int64_t across = ceil_div(tasks, ceil_div(s.M, by.rows));
    const int64_t wanted = greatest(ceil_div(gemm_task_flops, flops), panels / across);
    return ceil_div(panels, ceil_div(panels, wanted));
}

}  // namespace plainformer::PF_ISA
