// The operands of matrix products and linear layers, read in place through their strides.
#pragma once
#include "checks/outputs.h"
#include "checks/rows.h"
#include "plainformer/gemm.h"

namespace plainformer {

// Two axes of an array as a matrix.
struct MatrixView {
    int64_t rows, columns, row, column;

    MatrixView transposed() const { return {columns, rows, column, row}; }
};

inline MatrixView matrix_of(const ArrayView& x, bool transpose) {
    const MatrixView view{x.dim(-2), x.dim(-1), x.stride(-2), x.stride(-1)};
    return transpose ? view.transposed() : view;
}

// The rows of all leading axes as one matrix; false where their strides do not allow it.
inline bool flatten(const ArrayView& x, MatrixView* view) {
    view->columns = x.dim(-1), view->column = x.stride(-1);
    return flatten_leading(x, &view->rows, &view->row);
}

template <typename T>
void set_a(GemmArgs<T>* s, const ArrayView& a, const MatrixView& A) {
    s->M = A.rows, s->K = A.columns;
    s->A = a.data<T>(), s->A_row = A.row, s->A_column = A.column;
}

template <typename T>
void set_b(GemmArgs<T>* s, const ArrayView& b, const MatrixView& B) {
    s->N = B.columns;
    s->B = b.data<T>(), s->B_row = B.row, s->B_column = B.column;
}

// Broadcasts the leading axes of a and b as NumPy does; false where they do not fit.
template <typename T>
bool set_batch(GemmArgs<T>* s, const ArrayView& a, const ArrayView& b) {
    const int ndim = (a.ndim() > b.ndim() ? a.ndim() : b.ndim()) - 2;
    if (ndim > GemmArgs<T>::max_batch_ndim) return false;
    s->batch_ndim = ndim;
    for (int i = 0; i < ndim; ++i) {
        const int from_end = i - ndim - 2;
        const bool has_a = -from_end <= a.ndim(), has_b = -from_end <= b.ndim();
        const int64_t n_a = has_a ? a.dim(from_end) : 1, n_b = has_b ? b.dim(from_end) : 1;
        if (n_a != n_b && n_a != 1 && n_b != 1) return false;
        s->batch[i] = n_a == 1 ? n_b : n_a;
        s->A_batch[i] = n_a == 1 ? 0 : a.stride(from_end);
        s->B_batch[i] = n_b == 1 ? 0 : b.stride(from_end);
    }
    return true;
}

// x as one matrix, or its leading axes as a batch of matrices that share b.
template <typename T>
bool set_rows(GemmArgs<T>* s, const ArrayView& x) {
    MatrixView A;
    if (flatten(x, &A)) return set_a(s, x, A), true;
    if (x.ndim() - 2 > GemmArgs<T>::max_batch_ndim) return false;
    set_a(s, x, matrix_of(x, false));
    s->batch_ndim = x.ndim() - 2;
    for (int i = 0; i < s->batch_ndim; ++i)
        s->batch[i] = x.dim(i), s->A_batch[i] = x.stride(i), s->B_batch[i] = 0;
    return true;
}

// One matrix for all rows where a's axes allow it, so that B is packed once; else a batch.
template <typename T>
bool set_operands(GemmArgs<T>* s, const ArrayView& a, const ArrayView& b, bool transpose_a,
                  bool transpose_b) {
    const MatrixView B = matrix_of(b, transpose_b);
    MatrixView A;
    set_b(s, b, B);
    if (b.ndim() == 2 && !transpose_a && flatten(a, &A)) {
        set_a(s, a, A);
    } else {
        A = matrix_of(a, transpose_a);
        set_a(s, a, A);
        if (!set_batch(s, a, b)) return false;
    }
    return A.columns == B.rows;
}

// Of what `set_operands` has passed.
inline Shape product_shape(const ArrayView& a, const ArrayView& b, bool transpose_a, int64_t N) {
    GemmArgs<float> s{};
    Shape shape;
    set_batch(&s, a, b);
    for (int i = 0; i < s.batch_ndim; ++i) shape.push(s.batch[i]);
    shape.push(a.dim(transpose_a ? -1 : -2));
    shape.push(N);
    return shape;
}

inline bool is_matrix_pair(const ArrayView& a, const ArrayView& b) {
    return a.usable() && a.dtype() == b.dtype() && a.ndim() >= 2 && b.ndim() >= 2;
}

// None, or a result to write that shares no memory with the operands.
inline bool is_product(const ArrayView& out, const Shape& shape, DType dtype, const ArrayView& a,
                       const ArrayView& b) {
    if (out.is_none()) return true;
    return is_writable(out, dtype) && shape.is_of(out) && are_apart({&out}, {&a, &b});
}

// x (..., K), a weight (N, K) of its type, which may be no array, and a bias (N) or none.
inline bool is_linear(const ArrayView& x, DType weight_dtype, int64_t N, int64_t K,
                      const ArrayView& bias) {
    if (!x.usable() || x.ndim() < 1 || x.dtype() != weight_dtype || x.dim(-1) != K) return false;
    return bias.is_none() || is_vector(bias, x.dtype(), N);
}

// x's shape but for its last axis.
inline Shape linear_shape(const ArrayView& x, int64_t N) {
    Shape shape;
    for (int i = 0; i < x.ndim() - 1; ++i) shape.push(x.dim(i));
    shape.push(N);
    return shape;
}

// Whether the arrays of a linear layer's backward agree and can be read as matrices in place; z is
// the argument of its activation, or none.
inline bool is_linear_gradient(const ArrayView& grad_y, const ArrayView& x, const ArrayView& weight,
                               const ArrayView& bias, const ArrayView& z) {
    if (weight.ndim() != 2 || !is_linear(x, weight.dtype(), weight.dim(0), weight.dim(1), bias))
        return false;
    MatrixView rows;
    return grad_y.dtype() == x.dtype() && linear_shape(x, weight.dim(0)).is_of(grad_y) &&
           grad_y.last_axis_contiguous() && flatten(grad_y, &rows) && flatten(x, &rows) &&
           (z.is_none() || (z.contiguous() && z.is_like(grad_y)));
}

}  // namespace plainformer
