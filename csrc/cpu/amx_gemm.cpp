// Matrix products of bfloat16 on AMX's tiles. Formula: plainformer/gemm.h; layout:
// docs/notes/amx.md Built for the levels amx and, with the instructions' twins, amx_emulated; the
// other kernels of these levels are those of the level below.
//
// Panels of B are those of AVX-512-BF16, pairs of rows of 64 columns, filled up with zeros to whole
// tiles: 16 steps of a panel are four tiles. A is read where it stands if its rows are whole tiles,
// else it is copied a block at a time. The sums of a task wait in a workspace between blocks of K.
#include "amx_tile.h"
#include "gemm_batch.h"
#include "gemm_epilogue.h"
#include "gemm_pack.h"
#include "gemm_residual.h"
#include "runtime/allocator.h"    // Scratch
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

namespace {

using Args = PackedGemmArgs<bfloat16>;
static_assert(panel_columns<bfloat16> == amx_columns);

// ---- A ------------------------------------------------------------------------------------------

bool whole_rows(const Args& s, int64_t rows) {
    return s.A_column == 1 && s.K % tile_k == 0 && rows % tile_side == 0;
}

// A square whose columns lie together: pairs of them, transposed in registers.
void pack_columns(bfloat16* to, int64_t to_row, Matrix<bfloat16> A, int64_t rows, int64_t K) {
    constexpr int64_t side = lanes<bfloat16>;
    for (int64_t k = 0; k < K; k += 2 * side)
        for (int64_t m = 0; m < rows; m += side) {
            Vec<float> square[side];
            const int64_t count = least(side, rows - m);
            for (int64_t i = 0; i < side; ++i) {
                alignas(64) BfloatPair pairs[side] = {};
                if (k + 2 * i < K)
                    copy_units(pairs, A.at(m, k + 2 * i), A.column, k + 2 * i + 1 < K,
                               Tail{static_cast<int>(count)});
                square[i] = load(reinterpret_cast<const float*>(pairs));
            }
            transpose(square);
            for (int64_t i = 0; i < count; ++i)
                store_int(reinterpret_cast<int32_t*>(to + (m + i) * to_row + k),
                          bits_of(square[i]));
        }
}

// Rows [0, rows) of A into whole tiles, the rest of them zero.
TileRows pack_tiles(bfloat16* to, Matrix<bfloat16> A, int64_t rows, int64_t K) {
    const int64_t to_row = round_up(K, tile_k);
    __builtin_memset(to, 0, sizeof(bfloat16) * static_cast<size_t>(round_up(rows, 16) * to_row));
    if (A.row == 1 && A.column != 1) {
        pack_columns(to, to_row, A, rows, K);
    } else {
        for (int64_t m = 0; m < rows; ++m)
            if (A.column == 1)
                __builtin_memcpy(to + m * to_row, A.at(m, 0),
                                 sizeof(bfloat16) * static_cast<size_t>(K));
            else
                for (int64_t k = 0; k < K; ++k) to[m * to_row + k] = *A.at(m, k);
    }
    return {reinterpret_cast<const char*>(to), to_row * static_cast<int64_t>(sizeof(bfloat16))};
}

// ---- a task -------------------------------------------------------------------------------------

// Rows [first_row, + rows) and a few panels of the result. `b` are the panels, from the first on.
class TileBlock {
  public:
    TileBlock(const Args& s, int64_t first_row, int64_t first_panel, int64_t panels,
              const BfloatPair* b)
        : s_(s),
          m_(first_row),
          rows_(least(amx_block_rows, s.M - first_row)),
          whole_(round_up(rows_, tile_side)),
          panel_(first_panel),
          panels_(panels),
          b_(b),
          packed_a_(whole_rows(s, rows_) ? 0 : whole_ * amx_block_k),
          sums_(panels * whole_ * amx_columns) {}

    void compute() {
        const TilesInUse tiles;
        if (s_.accumulate) for_results([&](float* c, float* sum, int64_t n) { copy(sum, c, n); });
        int64_t k = 0;
        do {  // once also where K is 0
            const int64_t K = least(amx_block_k, s_.K - k);
            const TileRows a = rows_of_a(k, K);
            for (int64_t p = 0; p < panels_; ++p) multiply_panel(a, p, k, ceil_div(K, tile_k));
            k += K;
        } while (k < s_.K);
        finish();
    }

  private:
    TileRows rows_of_a(int64_t k, int64_t K) {
        const Matrix<bfloat16> A{s_.A + m_ * s_.A_row + k * s_.A_column, s_.A_row, s_.A_column};
        if (!whole_rows(s_, rows_)) return pack_tiles(packed_a_.data, A, rows_, K);
        return {reinterpret_cast<const char*>(A.data),
                A.row * static_cast<int64_t>(sizeof(bfloat16))};
    }

    float* sums_of(int64_t p, int64_t m) const {
        return sums_.data + (p * whole_ + m) * amx_columns;
    }

    void multiply_panel(TileRows a, int64_t p, int64_t k, int64_t k_tiles) {
        const BfloatPair* const b = b_ + (p * units_of<bfloat16>(s_.K) + k / 2) * amx_columns;
        const bool add = k > 0 || s_.accumulate;
        const int64_t pairs = whole_ / (2 * tile_side) * (2 * tile_side);
        for (int64_t n = 0; n < amx_columns; n += 2 * tile_side)
            for (int64_t m = 0; m < pairs; m += 2 * tile_side)
                multiply_32_by_32(a.at(m, 0), b + n, k_tiles, sums_of(p, m) + n, add);
        if (pairs < whole_)
            multiply_16_by_64(a.at(pairs, 0), b, k_tiles, sums_of(p, pairs), add,
                              s_.M <= tile_side);
    }

    static void copy(float* to, const float* from, int64_t n) {
        __builtin_memcpy(to, from, sizeof(float) * static_cast<size_t>(n));
    }

    // f(C_acc, sums, columns) for each row of each panel.
    template <typename F>
    void for_results(F f) const {
        for (int64_t p = 0; p < panels_; ++p) {
            const int64_t n = (panel_ + p) * amx_columns;
            for (int64_t m = 0; m < rows_; ++m)
                f(s_.C_acc + (m_ + m) * s_.C_row + n, sums_of(p, m), least(amx_columns, s_.N - n));
        }
    }

    void finish() const {
        if (s_.C_acc) return for_results([](float* c, float* sum, int64_t n) { copy(c, sum, n); });
        for (int64_t p = 0; p < panels_; ++p) {
            const int64_t n = (panel_ + p) * amx_columns;
            const int columns = static_cast<int>(least(amx_columns, s_.N - n));
            finish_tile(s_, sums_of(p, 0), amx_columns,
                        Rectangle{m_, n, static_cast<int>(rows_), columns});
            add_residual(s_, m_, rows_, n, columns);
        }
    }

    const Args& s_;
    const int64_t m_, rows_, whole_, panel_, panels_;
    const BfloatPair* const b_;
    Scratch<bfloat16> packed_a_;
    Scratch<float> sums_;
};

// ---- tasks --------------------------------------------------------------------------------------

int64_t claim(const Args& s, int64_t tasks) {
    return 2 * s.M * s.N * s.K < gemm_task_flops ? tasks : 1;
}

// Panels [first, first + panels): kept ones, or packed now.
const BfloatPair* panels_of_b(const Args& s, BfloatPair* scratch, int64_t first, int64_t panels) {
    const int64_t panel_units = units_of<bfloat16>(s.K) * amx_columns;
    if (s.panels) return static_cast<const BfloatPair*>(s.panels) + first * panel_units;
    parallel_for(panels, claim(s, panels), [&](int64_t p) {
        const int64_t n = (first + p) * amx_columns;
        const Matrix<bfloat16> B{s.B + n * s.B_column, s.B_row, s.B_column};
        pack_panel(scratch + p * panel_units, B, s.K, least(amx_columns, s.N - n));
    });
    return scratch;
}

// All rows of the result in the columns of panels [first, first + panels).
void multiply_panels(const Args& s, BfloatPair* scratch, int64_t first, int64_t panels) {
    const BfloatPair* const b = panels_of_b(s, scratch, first, panels);
    const int64_t across = ceil_div(panels * amx_columns, amx_task_columns);
    const int64_t task_panels = ceil_div(panels, across);
    const int64_t down = ceil_div(s.M, amx_block_rows),
                  tasks = ceil_div(panels, task_panels) * down;
    parallel_for(tasks, claim(s, tasks), [&](int64_t task) {
        const int64_t p = task / down * task_panels;
        TileBlock block(s, task % down * amx_block_rows, first + p, least(task_panels, panels - p),
                        b + p * units_of<bfloat16>(s.K) * amx_columns);
        block.compute();
    });
}

void multiply(const Args& s) {
    if (s.M == 0 || s.N == 0) return;
    const int64_t panel_units = units_of<bfloat16>(s.K) * amx_columns;
    const int64_t panels = ceil_div(s.N, amx_columns);
    const int64_t bytes = panel_units * static_cast<int64_t>(sizeof(BfloatPair));
    const int64_t fit = s.panels ? panels : greatest(1, shared_panels_bytes / greatest(1, bytes));
    const int64_t turns = ceil_div(panels, fit), at_once = ceil_div(panels, turns);
    Scratch<BfloatPair> scratch(s.panels ? 0 : at_once * panel_units);
    for (int64_t first = 0; first < panels; first += at_once)
        multiply_panels(s, scratch.data, first, least(at_once, panels - first));
}

}  // namespace

template <typename T>
void gemm(const GemmArgs<T>& s) {
    for_each_matrix(Args{s}, [](const Args& one) { multiply(one); });
}
PF_INSTANTIATE(gemm, GemmArgs)

template <typename T>
void packed_gemm(const PackedGemmArgs<T>& s) {
    for_each_matrix(s, [](const Args& one) { multiply(one); });
}
PF_INSTANTIATE(packed_gemm, PackedGemmArgs)

}  // namespace plainformer::PF_ISA
