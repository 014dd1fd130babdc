// The logits of some rows, made block of columns by block and summed up while they are in cache.
// Shapes and formulas: plainformer/linear_cross_entropy.h
//
// The head is packed, or was, a group of columns at a time, which all rows then read from the
// shared cache: once a call, whatever the number of rows. Blocks depend on shapes alone.
#pragma once
#include "gemm_tile.h"
#include "logit_sums.h"
#include "packed_gemm.h"
#include "packed_linear_cross_entropy.h"
#include "runtime/allocator.h"    // Scratch, release
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

template <typename T>
void gemm(const GemmArgs<T>& s);
template <typename T>
void packed_gemm(const PackedGemmArgs<T>& s);
template <typename T>
void pack_weight(const PackArgs<T>& s);

// A row's logits so far, and that of its label.
template <typename A>
struct RowLogits {
    LogitSums<A> sums;
    A label;
};

// Panels of `columns` columns of the head, from a multiple of panel_columns on.
template <typename T>
class GroupPanels {
  public:
    GroupPanels(const PackedLinearCrossEntropyArgs<T>& s, int64_t first, int64_t columns,
                bool packs) {
        constexpr int64_t row = panel_columns<T> * static_cast<int64_t>(sizeof(kept_t<T>));
        panel_bytes_ = units_of<T>(s.C) * row;
        panels_ = static_cast<const char*>(s.panels);
        if (panels_) panels_ += first / panel_columns<T> * panel_bytes_;
        if (panels_ || !packs) return;
        int64_t bytes = 0;
        const PackPiece<T> piece{s.weight + first * s.weight_row, columns, s.weight_column,
                                 s.weight_row};
        pack_weight(PackArgs<T>{&own_, &bytes, &piece, 1, s.C, columns});
        panels_ = static_cast<const char*>(own_);
    }
    ~GroupPanels() { release(own_); }
    GroupPanels(const GroupPanels&) = delete;
    GroupPanels& operator=(const GroupPanels&) = delete;

    // The panels from `column` of the group on; null where they are packed by who reads them.
    const void* from(int64_t column) const {
        return panels_ ? panels_ + column / panel_columns<T> * panel_bytes_ : nullptr;
    }

  private:
    int64_t panel_bytes_ = 0;
    const char* panels_ = nullptr;
    void* own_ = nullptr;
};

// Rows [first, first + rows). Their logits, bias included, go to `logits` (rows, V), or nowhere.
template <typename T>
class LogitBlocks {
    using A = acc_t<T>;
    static constexpr int64_t width =  // columns of a block: whole panels
        round_up(logit_block_columns, panel_columns<T>);

  public:
    LogitBlocks(const PackedLinearCrossEntropyArgs<T>& s, int64_t first, int64_t rows, A* logits,
                RowLogits<A>* of_rows)
        : s_(s),
          first_(first),
          rows_(rows),
          task_rows_(round_up(ceil_div(rows, ceil_div(rows, logit_block_rows)), tile_rows)),
          down_(ceil_div(rows, task_rows_)),
          blocks_(blocks_at_once(s)),
          logits_(logits),
          of_rows_(of_rows),
          sums_(blocks_ * rows) {}

    void make() {
        for (int64_t v = 0; v < s_.V; v += blocks_ * width) make_group(v);
    }

  private:
    static int64_t blocks_at_once(const LinearCrossEntropyArgs<T>& s) {
        const int64_t bytes = width * greatest(1, s.C) * static_cast<int64_t>(sizeof(A));
        return least(greatest(1, shared_panels_bytes / bytes), ceil_div(s.V, width));
    }
    bool counts(int64_t r) const { return s_.target[first_ + r] != s_.ignore_index; }

    void make_group(int64_t v) {
        const int64_t columns = least(blocks_ * width, s_.V - v), across = ceil_div(columns, width);
        const GroupPanels<T> panels(s_, v, columns, down_ > 1 && s_.C > 0);
        parallel_for(across * down_, 1, [&](int64_t task) {
            make_block(panels, v, task % across, task / across * task_rows_);
        });
        parallel_for(rows_, rows_per_task(light_task_elements, across * row_sums_elements),
                     [&](int64_t r) { join_sums(r, v == 0, across); });
    }

    // Block b of the group that begins at column v, rows from r on.
    void make_block(const GroupPanels<T>& panels, int64_t v, int64_t b, int64_t r) {
        const int64_t n = v + b * width, columns = least(width, s_.V - n);
        const int64_t rows = least(task_rows_, rows_ - r), pitch = logits_ ? s_.V : width;
        Scratch<A> own(logits_ ? 0 : rows * width);
        A* const to = logits_ ? logits_ + r * s_.V + n : own.data;
        multiply(panels.from(b * width), n, columns, r, rows, to, pitch);
        for (int64_t i = 0; i < rows; ++i)
            if (counts(r + i)) sum_up(to + i * pitch, n, columns, r + i, b);
    }

    void multiply(const void* panels, int64_t n, int64_t columns, int64_t r, int64_t rows, A* to,
                  int64_t pitch) {
        PackedGemmArgs<T> g{};
        g.M = rows, g.N = columns, g.K = s_.C;
        g.A = s_.x + (first_ + r) * s_.x_stride, g.A_row = s_.x_stride, g.A_column = 1;
        g.C_acc = to, g.C_row = pitch;
        g.panels = panels;
        if (panels) return packed_gemm(g);
        g.B = s_.weight + n * s_.weight_row, g.B_row = s_.weight_column, g.B_column = s_.weight_row;
        gemm(g);
    }

    // Logits x of row r, columns [n, n + columns), which are block b of their group.
    void sum_up(A* x, int64_t n, int64_t columns, int64_t r, int64_t b) {
        if (s_.bias)
            for_lanes<T>(columns, [&](int64_t i, auto tail) {
                store(x + i, tail, load(x + i, tail) + load(s_.bias + n + i, tail));
            });
        sums_.data[r * blocks_ + b] = LogitSums<A>::of(x, columns, s_.smoothing != 0);
        const int64_t label = s_.target[first_ + r] - n;
        if (label >= 0 && label < columns) of_rows_[r].label = x[label];
    }

    void join_sums(int64_t r, bool is_first, int64_t across) {
        if (!counts(r)) return;
        const LogitSums<A>* const next = sums_.data + r * blocks_;
        LogitSums<A> sums = is_first ? next[0] : of_rows_[r].sums;
        for (int64_t b = is_first; b < across; ++b) sums.add(next[b]);
        of_rows_[r].sums = sums;
    }

    const PackedLinearCrossEntropyArgs<T>& s_;
    const int64_t first_, rows_, task_rows_, down_, blocks_;
    A* const logits_;
    RowLogits<A>* const of_rows_;
    Scratch<LogitSums<A>> sums_;  // (rows, blocks of a group)
};

}  // namespace plainformer::PF_ISA
