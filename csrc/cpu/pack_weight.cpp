// Packs a weight once for many products. Layout: gemm_pack.h, with kept_t<T> units, panel after
// panel. Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "gemm_pack.h"
#include "packed_gemm.h"
#include "runtime/allocator.h"    // allocate
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

namespace {

// The pieces that reach into columns [n, n + columns), one panel, and how far.
template <typename T, typename F>
void for_pieces(const PackArgs<T>& s, int64_t n, int64_t columns, F f) {
    int64_t first = 0;
    for (int64_t i = 0; i < s.pieces_count && first < n + columns; ++i) {
        const PackPiece<T>& piece = s.pieces[i];
        const int64_t begin = greatest(first, n);
        const int64_t last = first + piece.columns;
        const int64_t end = least(last, n + columns);
        if (begin < end)
            f(Matrix<T>{piece.data + (begin - first) * piece.column, piece.row, piece.column},
              begin - n, end - begin);
        first = last;
    }
}

// Columns of a panel that several pieces share: a unit at a time, after zeros.
template <typename T>
void pack_shared_panel(kept_t<T>* to, const PackArgs<T>& s, int64_t n, int64_t columns, int64_t k,
                       int64_t K) {
    for (int64_t i = 0; i < units_of<T>(K) * panel_columns<T>; ++i) to[i] = kept_t<T>{};
    for_pieces(s, n, columns, [&](Matrix<T> B, int64_t at, int64_t width) {
        for (int64_t i = 0; i < K; i += unit_elements<T>)
            for (int64_t j = 0; j < width; ++j)
                gather_unit(to + i / unit_elements<T> * panel_columns<T> + at + j, B.at(k + i, j),
                            B.row, K - i);
    });
}

// Rows [k, k + K) of panel p.
template <typename T>
void pack_part(kept_t<T>* panels, const PackArgs<T>& s, int64_t p, int64_t k, int64_t K) {
    const int64_t n = p * panel_columns<T>;
    const int64_t columns = least(s.N - n, panel_columns<T>);
    kept_t<T>* const to = panels + (p * units_of<T>(s.K) + k / unit_elements<T>)*panel_columns<T>;
    int pieces = 0;
    Matrix<T> only{};
    for_pieces(s, n, columns, [&](Matrix<T> B, int64_t, int64_t) { only = B, ++pieces; });
    if (pieces > 1) return pack_shared_panel(to, s, n, columns, k, K);
    pack_panel(to, Matrix<T>{only.at(k, 0), only.row, only.column}, K, columns);
}

}  // namespace

template <typename T>
void pack_weight(const PackArgs<T>& s) {
    const int64_t panels = ceil_div(s.N, panel_columns<T>);
    constexpr int64_t unit_bytes = panel_columns<T> * static_cast<int64_t>(sizeof(kept_t<T>));
    int64_t bytes = 0;  // of a weight that is broadcast: perhaps too many to count
    const bool is_countable = !__builtin_mul_overflow(units_of<T>(s.K), unit_bytes, &bytes) &&
                              !__builtin_mul_overflow(bytes, panels, &bytes);
    *s.panels = allocate(is_countable ? static_cast<size_t>(bytes) : ~size_t{0});
    *s.bytes = bytes;
    if (bytes == 0) return;
    kept_t<T>* const to = static_cast<kept_t<T>*>(*s.panels);
    if (s.pieces[0].column != 1)
        return parallel_for(panels, 1, [&](int64_t p) { pack_part(to, s, p, 0, s.K); });
    const int64_t tasks = ceil_div(s.K, packed_rows_at_a_time);
    parallel_for(tasks, 1, [&](int64_t task) {
        const int64_t k = task * packed_rows_at_a_time;
        const int64_t K = least(s.K - k, packed_rows_at_a_time);
        for (int64_t p = 0; p < panels; ++p) pack_part(to, s, p, k, K);
    });
}
PF_INSTANTIATE(pack_weight, PackArgs)

}  // namespace plainformer::PF_ISA
