// Matrix product: blocks, threads and batches around the register tile. Formula: plainformer/gemm.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// B is packed in panels once and shared; the result is then cut into rectangles of row_block rows
// and a few panels, claimed by the threads as they come. With few rows there is nothing to share:
// each task packs its own panel, a short block of K at a time, and so streams B through its cache.
// Every size below depends on shapes alone.
#include "plainformer/gemm.h"

#include "gemm_epilogue.h"
#include "gemm_pack.h"
#include "runtime/allocator.h"    // Scratch
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

// 16 tiles of rows reuse a panel from L2, while a packed block of A stays small beside it.
constexpr int64_t row_block = 16 * tile_rows;
// A panel of 1024 steps is 256 KB at most: it and a block of A fit in 1 MB of L2.
constexpr int64_t steps_block = 1024;
// Steps packed at a time where a panel is used by few rows: the block stays in L1 and L2.
constexpr int64_t few_rows_steps = 256;
// Most bytes of packed B at once; more columns are done in turn.
constexpr int64_t shared_bytes = int64_t{8} << 20;
// A task should last long beside the claim of the next one; a product below it is one task.
constexpr int64_t task_flops = int64_t{4} << 20;

// Panels more for a task that packs its block of A.
constexpr int64_t packed_a_panels = 4;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// One block of the result, and how K is walked in it.
template <typename T>
class Block {
  public:
    Block(const GemmArgs<T>& s, int64_t first_row, int64_t first_panel, int64_t panels,
          int64_t steps)
        : s_(s),
          m_(first_row),
          rows_(least(row_block, s.M - first_row)),
          panel_(first_panel),
          panels_(panels),
          k_block_(least(steps * unit_elements<T>, s.K)),
          k_blocks_(s.K > 0 ? ceil_div(s.K, k_block_) : 1),
          packed_a_(in_place() ? 0 : a_block_units<T>(rows_, k_block_)),
          sums_(direct() ? 0 : (k_blocks_ > 1 ? panels : 1) * rows_ * panel_columns<T>) {}

    // panel(p, k, K) gives units [k, k + K) of panel p of B.
    template <typename Panel>
    void compute(const Panel& panel) {
        for (int64_t i = 0, k = 0; i < k_blocks_; ++i, k += k_block_) {
            const int64_t K = least(k_block_, s_.K - k);
            const ABlock a = block_of_a(k, K);
            for (int64_t p = 0; p < panels_; ++p) {
                compute_panel(a, panel(panel_ + p, k, K), p, K, i);
            }
        }
    }

  private:
    bool in_place() const { return reads_a_in_place(Matrix<T>{s_.A, s_.A_row, s_.A_column}, s_.K); }
    // Whether sums are kept where the result goes.
    bool direct() const { return s_.C_acc || sizeof(T) == sizeof(acc_t<T>); }

    ABlock block_of_a(int64_t k, int64_t K) {
        const Matrix<T> whole{s_.A, s_.A_row, s_.A_column};
        const Matrix<T> A{whole.at(m_, k), s_.A_row, s_.A_column};
        return in_place() ? a_in_place(A) : pack_a(packed_a_.data, A, rows_, s_.M - m_, K);
    }

    void compute_panel(const ABlock& a, const unit_t<T>* b, int64_t p, int64_t K, int64_t i) {
        const int64_t n = (panel_ + p) * panel_columns<T>;
        const int columns = static_cast<int>(least(panel_columns<T>, s_.N - n));
        acc_t<T>* sums = sums_of(p, n);
        const int64_t sum_row = direct() ? s_.C_row : panel_columns<T>;
        for (int64_t m = 0; m < rows_; m += tile_rows) {
            const int rows = static_cast<int>(least(tile_rows, rows_ - m));
            acc_t<T>* d = sums + m * sum_row;
            multiply_tile(Tile<T>{a.data + m / tile_rows * a.tile, a.row, a.step, b,
                                  panel_columns<T>, units_of<T>(K), d, sum_row, rows, columns,
                                  i > 0 || s_.accumulate});
            if (i == k_blocks_ - 1 && !is_plain(s_))
                finish_tile(s_, d, sum_row, Rectangle{m_ + m, n, rows, columns});
        }
    }

    acc_t<T>* sums_of(int64_t p, int64_t n) {
        if (s_.C_acc) return s_.C_acc + m_ * s_.C_row + n;
        if constexpr (sizeof(T) == sizeof(acc_t<T>)) return s_.C + m_ * s_.C_row + n;
        return sums_.data + (k_blocks_ > 1 ? p : 0) * rows_ * panel_columns<T>;
    }

    const GemmArgs<T>& s_;
    const int64_t m_, rows_, panel_, panels_, k_block_, k_blocks_;
    Scratch<unit_t<T>> packed_a_;
    Scratch<acc_t<T>> sums_;
};

template <typename T>
Matrix<T> columns_of_b(const GemmArgs<T>& s, int64_t panel, int64_t k) {
    const Matrix<T> B{s.B, s.B_row, s.B_column};
    return {B.at(k, panel * panel_columns<T>), s.B_row, s.B_column};
}

// How many panels make a task, so that it lasts and that packing A, where needed, is paid back.
template <typename T>
int64_t panels_per_task(const GemmArgs<T>& s, int64_t panels) {
    const int64_t rows = least(row_block, s.M);
    const int64_t flops = 2 * rows * panel_columns<T> * (s.K > 0 ? s.K : 1);
    const bool in_place = reads_a_in_place(Matrix<T>{s.A, s.A_row, s.A_column}, s.K);
    const int64_t wanted = ceil_div(task_flops, flops) + (in_place ? 0 : packed_a_panels);
    return ceil_div(panels, ceil_div(panels, wanted));  // tasks of equal size
}

// At most row_block rows: each task packs what it needs of its panels, block by block of K.
template <typename T>
void multiply_few_rows(const GemmArgs<T>& s) {
    const int64_t panels = ceil_div(s.N, panel_columns<T>);
    const int64_t task_panels = panels_per_task(s, panels);
    const int64_t steps = least(few_rows_steps, units_of<T>(s.K));
    parallel_for(ceil_div(panels, task_panels), 1, [&](int64_t task) {
        const int64_t p = task * task_panels;
        Scratch<unit_t<T>> packed(steps * panel_columns<T>);
        Block<T> block(s, 0, p, least(task_panels, panels - p), steps);
        block.compute([&](int64_t panel, int64_t k, int64_t K) {
            const int64_t n = panel * panel_columns<T>;
            pack_panel(packed.data, columns_of_b(s, panel, k), K, least(panel_columns<T>, s.N - n));
            return packed.data;
        });
    });
}

// Panels [first, first + panels): pack them, then all rows of the result in these columns.
template <typename T>
void multiply_panels(const GemmArgs<T>& s, unit_t<T>* packed, int64_t first, int64_t panels) {
    const int64_t steps = units_of<T>(s.K), panel_units = steps * panel_columns<T>;
    parallel_for(panels, 1, [&](int64_t p) {
        const int64_t n = (first + p) * panel_columns<T>;
        pack_panel(packed + p * panel_units, columns_of_b(s, first + p, 0), s.K,
                   least(panel_columns<T>, s.N - n));
    });
    const int64_t task_panels = panels_per_task(s, panels);
    const int64_t across = ceil_div(panels, task_panels), down = ceil_div(s.M, row_block);
    parallel_for(across * down, 1, [&](int64_t task) {
        const int64_t p = task % across * task_panels;
        Block<T> block(s, task / across * row_block, first + p, least(task_panels, panels - p),
                       steps_block);
        block.compute([&](int64_t panel, int64_t k, int64_t) {
            return packed + (panel - first) * panel_units + k / unit_elements<T> * panel_columns<T>;
        });
    });
}

template <typename T>
void multiply_many_rows(const GemmArgs<T>& s) {
    const int64_t panel_units = units_of<T>(s.K) * panel_columns<T>;
    const int64_t panel_bytes = panel_units * static_cast<int64_t>(sizeof(unit_t<T>));
    const int64_t panels = ceil_div(s.N, panel_columns<T>);
    const int64_t fit = shared_bytes / (panel_bytes > 0 ? panel_bytes : 1);
    const int64_t turns = ceil_div(panels, fit < 1 ? 1 : fit), at_once = ceil_div(panels, turns);
    Scratch<unit_t<T>> packed(at_once * panel_units);
    for (int64_t first = 0; first < panels; first += at_once)
        multiply_panels(s, packed.data, first, least(at_once, panels - first));
}

template <typename T>
void multiply(const GemmArgs<T>& s) {
    if (s.M == 0 || s.N == 0) return;
    if (s.M <= row_block) return multiply_few_rows(s);
    multiply_many_rows(s);
}

// The matrix at one index of the batch.
template <typename T>
GemmArgs<T> matrix_of(const GemmArgs<T>& s, int64_t index) {
    GemmArgs<T> one = s;
    one.batch_ndim = 0;
    const int64_t out = index * s.M * s.C_row;
    if (s.C) one.C += out;
    if (s.C_acc) one.C_acc += out;
    if (s.preactivation) one.preactivation += out;
    for (int i = s.batch_ndim - 1; i >= 0; --i) {
        one.A += index % s.batch[i] * s.A_batch[i];
        one.B += index % s.batch[i] * s.B_batch[i];
        index /= s.batch[i];
    }
    return one;
}

template <typename T>
void gemm(const GemmArgs<T>& s) {
    int64_t count = 1;
    for (int i = 0; i < s.batch_ndim; ++i) count *= s.batch[i];
    if (count == 1) return multiply(matrix_of(s, 0));
    // Loops inside a chunk run inline: small matrices go to the threads whole.
    const int64_t flops = 2 * s.M * s.N * (s.K > 0 ? s.K : 1);
    const bool whole = count >= 64 || flops < 4 * task_flops;
    const int64_t grain = whole ? task_flops / (flops > 0 ? flops : 1) : count;
    if (whole) return parallel_for(count, grain, [&](int64_t i) { multiply(matrix_of(s, i)); });
    for (int64_t i = 0; i < count; ++i) multiply(matrix_of(s, i));
}
PF_INSTANTIATE(gemm, GemmArgs)

}  // namespace plainformer::PF_ISA
