// Arrays as matrices: which of their axes can be walked as one.
#pragma once
#include "plainformer/view.h"

namespace plainformer {

// Sizes of an array on the stack.
struct Shape {
    int ndim = 0;
    int64_t dims[ArrayView::max_ndim];

    Shape() {}
    Shape(std::initializer_list<int64_t> sizes) {
        for (int64_t n : sizes) push(n);
    }
    void push(int64_t n) { dims[ndim++] = n; }
    bool is_of(const ArrayView& x) const { return x.has_shape(dims, ndim); }
};

// (N), row-major, of that type.
inline bool is_vector(const ArrayView& x, DType dtype, int64_t N) {
    return x.contiguous() && x.dtype() == dtype && x.has_shape({N});
}

// N rows of C contiguous elements, `stride` elements apart.
struct Rows {
    int64_t N = 1, C = 1, stride = 0;
};

// The axes before the last as one of *rows, `row` elements apart. False where their strides do not
// allow it; those of an array of nothing are never walked.
inline bool flatten_leading(const ArrayView& x, int64_t* rows, int64_t* row) {
    bool fits = true;
    *rows = 1, *row = x.dim(-1);
    for (int i = x.ndim() - 2; i >= 0; --i) {
        if (x.dim(i) == 1) continue;
        if (*rows == 1)
            *row = x.stride(i);
        else
            fits &= x.stride(i) == *row * *rows;
        *rows *= x.dim(i);
    }
    return fits || x.size() == 0;
}

// The last axis as a row.
inline bool as_rows(const ArrayView& x, Rows* rows) {
    if (x.ndim() < 1 || !x.last_axis_contiguous()) return false;
    rows->C = x.dim(-1);
    return flatten_leading(x, &rows->N, &rows->stride);
}

// The last `ndim` axes as a row.
inline bool as_rows(const ArrayView& x, int ndim, Rows* rows) {
    if (ndim == 1) return as_rows(x, rows);
    if (!x.contiguous()) return false;
    *rows = {};
    for (int i = 0; i < x.ndim(); ++i) (i < x.ndim() - ndim ? rows->N : rows->C) *= x.dim(i);
    rows->stride = rows->C;
    return true;
}

// However many the rows of nothing are, there is nothing to do for them.
inline Rows without_empty(Rows rows) {
    if (rows.C == 0) rows.N = 0;
    return rows;
}

// x as N matrices (L, M) that are `stride` apart: the axes before, at and behind `axis`.
struct Matrices {
    int64_t N = 1, L = 1, M = 1, stride = 0;
};

inline bool as_matrices(const ArrayView& x, int axis, Matrices* m) {
    if (axis < -x.ndim() || axis >= x.ndim() || !x.usable()) return false;
    *m = {};
    if (x.size() == 0) return m->N = 0, true;
    if (axis < 0) axis += x.ndim();
    Rows rows;
    if (axis == x.ndim() - 1 && as_rows(x, &rows))
        return *m = {rows.N, rows.C, 1, rows.stride}, true;
    if (!x.contiguous()) return false;
    for (int i = 0; i < x.ndim(); ++i) (i < axis ? m->N : i == axis ? m->L : m->M) *= x.dim(i);
    m->stride = m->L * m->M;
    return true;
}

// Strides along `wanted` of an array that broadcasts to it as in NumPy, 0 where it is broadcast.
inline bool broadcast_strides(const ArrayView& x, std::initializer_list<int64_t> wanted,
                              int64_t* strides) {
    const int ndim = static_cast<int>(wanted.size()), missing = ndim - x.ndim();
    if (!x.usable() || missing < 0) return false;
    for (int i = 0; i < ndim; ++i) {
        const int64_t n = i < missing ? 1 : x.dim(i - missing);
        if (n != 1 && n != wanted.begin()[i]) return false;
        strides[i] = n == 1 ? 0 : x.stride(i - missing);
    }
    return true;
}

}  // namespace plainformer
