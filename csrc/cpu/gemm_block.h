// One block of a product, computed by one thread: K is walked in blocks, tile after tile adds to
// the sums, and the last of K is followed by the epilogue while the tile is in L1.
#pragma once
#include "gemm_epilogue.h"
#include "gemm_pack.h"
#include "runtime/allocator.h"  // Scratch

namespace plainformer::PF_ISA {

constexpr int64_t row_block = row_block_tiles * tile_rows;

// Rows of a panel of B, `step` units apart, stored as U.
template <typename U>
struct PanelView {
    const U* data;
    int64_t step;
    bool continues = false;   // the rows that are multiplied next follow in memory
    const U* next = nullptr;  // else where they are, if they are worth a prefetch
};

// How K is walked: in blocks, panel after panel in each, and within a panel in runs, tile after
// tile in each. A block of A is to stay in L2, a run of a panel in L1 or L2.
struct Steps {
    int64_t block, run;
};

// f(first row, rows, tile, tiles): as few tiles as hold all rows, of nearly equal heights, since a
// low tile wastes what it loads of B. Where A is packed by tiles they are all but one full.
template <typename F>
PF_INLINE void for_tiles(int64_t rows, bool any_height, F f) {
    const int64_t tiles = ceil_div(rows, tile_rows);
    for (int64_t i = 0, m = 0; i < tiles; ++i) {
        const int64_t even = ceil_div(rows - m, tiles - i);
        const int64_t height = any_height ? even : least(tile_rows, rows - m);
        f(m, static_cast<int>(height), i, tiles);
        m += height;
    }
}

// Whether sums are kept where the result goes, and where that is.
template <typename T>
bool sums_in_result(const GemmArgs<T>& s) {
    return s.C_acc || sizeof(T) == sizeof(acc_t<T>);
}
template <typename T>
acc_t<T>* result_sums(const GemmArgs<T>& s, int64_t m, int64_t n) {
    if constexpr (sizeof(T) == sizeof(acc_t<T>))
        if (!s.C_acc) return s.C + m * s.C_row + n;
    return s.C_acc + m * s.C_row + n;
}

// One block of the result, and how K is walked in it.
template <typename T>
class Block {
  public:
    Block(const GemmArgs<T>& s, int64_t first_row, int64_t first_panel, int64_t panels, Steps steps,
          int64_t rows = row_block)
        : s_(s),
          m_(first_row),
          rows_(least(rows, s.M - first_row)),
          panel_(first_panel),
          panels_(panels),
          k_block_(least(steps.block * unit_elements<T>, s.K)),
          k_run_(least(steps.run * unit_elements<T>, k_block_)),
          k_blocks_(s.K > 0 ? ceil_div(s.K, k_block_) : 1),
          packed_a_(in_place() ? 0 : a_block_units<T>(rows_, k_block_)),
          sums_(direct() ? 0 : (k_blocks_ > 1 ? panels : 1) * rows_ * panel_columns<T>) {}

    // panel(p, k, K) gives rows [k, k + K) of panel p of B.
    template <typename Panel>
    void compute(const Panel& panel) {
        for (int64_t i = 0, k = 0; i < k_blocks_; ++i, k += k_block_) {
            const int64_t K = least(k_block_, s_.K - k);
            const ABlock a = block_of_a(k, K);
            for (int64_t p = 0; p < panels_; ++p) compute_panel(panel, a, p, k, K);
        }
    }

  private:
    bool in_place() const { return reads_a_in_place(Matrix<T>{s_.A, s_.A_row, s_.A_column}, s_.K); }
    bool direct() const { return sums_in_result(s_); }

    ABlock block_of_a(int64_t k, int64_t K) {
        const Matrix<T> whole{s_.A, s_.A_row, s_.A_column};
        const Matrix<T> A{whole.at(m_, k), s_.A_row, s_.A_column};
        return in_place() ? a_in_place(A) : pack_a(packed_a_.data, A, rows_, s_.M - m_, K);
    }

    template <typename Panel>
    void compute_panel(const Panel& panel, const ABlock& a, int64_t p, int64_t k, int64_t K) {
        int64_t done = 0;
        do {  // once also where K is 0, for the epilogue
            const int64_t run = least(k_run_, K - done);
            compute_run(a.data + done / unit_elements<T> * a.step, a,
                        panel(panel_ + p, k + done, run), p, k + done, run);
            done += k_run_;
        } while (done < K);
    }

    template <typename U>
    void compute_run(const char* a_k, const ABlock& a, PanelView<U> b, int64_t p, int64_t k,
                     int64_t K) {
        const int64_t n = (panel_ + p) * panel_columns<T>;
        const int columns = static_cast<int>(least(panel_columns<T>, s_.N - n));
        acc_t<T>* const sums = sums_of(p, n);
        const int64_t sum_row = direct() ? s_.C_row : panel_columns<T>;
        const bool any_height = a.tile == tile_rows * a.row;
        for_tiles(rows_, any_height, [&](int64_t m, int rows, int64_t tile, int64_t tiles) {
            acc_t<T>* const d = sums + m * sum_row;
            const char* const a_m = a_k + (any_height ? m * a.row : tile * a.tile);
            Tile<T, U> t{a_m,
                         a.row,
                         a.step,
                         b.data,
                         b.step,
                         units_of<T>(K),
                         d,
                         sum_row,
                         rows,
                         columns,
                         k > 0 || s_.accumulate};
            if (b.continues)
                prefetch_share(&t, b.data + (tiles == 1 ? panel_steps_ahead : t.steps) * b.step,
                               tile, tiles);
            else if (b.next)
                prefetch_share(&t, b.next, tile, tiles);
            multiply_tile(t);
            if (k + K == s_.K && !is_plain(s_))
                finish_tile(s_, d, sum_row, Rectangle{m_ + m, n, rows, columns});
        });
    }

    // The tiles of a run share the prefetching of the next, at `from`: each takes some of the cache
    // lines of every turn. A tile that is alone prefetches its own run, not far ahead.
    template <typename U>
    static void prefetch_share(Tile<T, U>* t, const U* from, int64_t tile, int64_t tiles) {
        constexpr int64_t turn = turn_steps * panel_columns<T> * static_cast<int64_t>(sizeof(U));
        constexpr int64_t lines = ceil_div(turn, cache_line);
        const int64_t first = tile * lines / tiles, last = (tile + 1) * lines / tiles;
        t->ahead = reinterpret_cast<const char*>(from) + cache_line * first;
        t->ahead_turn = turn;
        t->ahead_lines = static_cast<int>(last - first);
    }

    acc_t<T>* sums_of(int64_t p, int64_t n) {
        if (direct()) return result_sums(s_, m_, n);
        return sums_.data + (k_blocks_ > 1 ? p : 0) * rows_ * panel_columns<T>;
    }

    const GemmArgs<T>& s_;
    const int64_t m_, rows_, panel_, panels_, k_block_, k_run_, k_blocks_;
    Scratch<unit_t<T>> packed_a_;
    Scratch<acc_t<T>> sums_;
};

}  // namespace plainformer::PF_ISA
