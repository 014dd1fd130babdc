#include "families.h"
#include "operand.h"
#include "outputs.h"
#include "packed_weight.h"
#include "plainformer/gemm.h"

namespace plainformer {

namespace {

// Two axes of an array as a matrix, and how far its batch goes.
struct MatrixView {
    int64_t rows, columns, row, column;
};

MatrixView transposed(const MatrixView& x) { return {x.columns, x.rows, x.column, x.row}; }

MatrixView matrix_of(const Operand& x, bool transpose) {
    const MatrixView view{x.dim(-2), x.dim(-1), x.stride(-2), x.stride(-1)};
    return transpose ? transposed(view) : view;
}

// The rows of all leading axes as one matrix; false where their strides do not allow it.
bool flatten(const Operand& x, MatrixView* view) {
    *view = {1, x.dim(-1), x.dim(-1), x.stride(-1)};
    for (int i = x.ndim() - 2; i >= 0; --i) {
        if (x.dim(i) == 1) continue;
        if (view->rows == 1)
            view->row = x.stride(i);
        else if (x.stride(i) != view->row * view->rows)
            return false;
        view->rows *= x.dim(i);
    }
    return true;
}

struct Shape {
    int ndim = 0;
    int64_t dims[Operand::max_ndim] = {};
    void push(int64_t n) { dims[ndim++] = n; }
};

template <typename T>
void set_a(GemmArgs<T>* s, const Operand& a, const MatrixView& A) {
    s->M = A.rows, s->K = A.columns;
    s->A = a.data<T>(), s->A_row = A.row, s->A_column = A.column;
}

template <typename T>
void set_b(GemmArgs<T>* s, const Operand& b, const MatrixView& B) {
    s->N = B.columns;
    s->B = b.data<T>(), s->B_row = B.row, s->B_column = B.column;
}

// Broadcasts the leading axes of a and b as NumPy does; false where they do not fit.
template <typename T>
bool set_batch(GemmArgs<T>* s, const Operand& a, const Operand& b) {
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

// The leading axes of x as a batch of matrices that share b.
template <typename T>
bool set_rows_as_batch(GemmArgs<T>* s, const Operand& x) {
    if (x.ndim() - 2 > GemmArgs<T>::max_batch_ndim) return false;
    s->batch_ndim = x.ndim() - 2;
    for (int i = 0; i < s->batch_ndim; ++i) {
        s->batch[i] = x.dim(i);
        s->A_batch[i] = x.stride(i);
        s->B_batch[i] = 0;
    }
    return true;
}

// One matrix for all rows where a's axes allow it, so that B is packed once; else a batch.
template <typename T>
bool set_operands(GemmArgs<T>* s, const Operand& a, const Operand& b, bool transpose_a,
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

Shape result_shape(const Operand& a, const Operand& b, bool transpose_a, int64_t N) {
    GemmArgs<float> s{};
    Shape shape;
    set_batch(&s, a, b);
    for (int i = 0; i < s.batch_ndim; ++i) shape.push(s.batch[i]);
    shape.push(a.dim(transpose_a ? -1 : -2));
    shape.push(N);
    return shape;
}

bool is_matrix_pair(const Operand& a, const Operand& b) {
    return a.usable() && b.usable() && a.dtype() == b.dtype() && a.ndim() >= 2 && b.ndim() >= 2;
}

bool writable_result(const Operand& out, const Shape& shape, const Operand& a, const Operand& b) {
    if (!out.contiguous() || !out.writeable() || out.ndim() != shape.ndim) return false;
    for (int i = 0; i < shape.ndim; ++i)
        if (out.dim(i) != shape.dims[i]) return false;
    return are_apart({&out}, {&a, &b});
}

// A B, in the inputs' type or, with `sums`, in the type its sums are kept in.
py::object matmul(py::handle a_, py::handle b_, bool transpose_a, bool transpose_b, py::handle out_,
                  bool sums) {
    const Operand a(a_), b(b_), out(out_);
    if (!is_matrix_pair(a, b)) return py::none();
    return for_dtype(a.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        const DType result_type = sums ? dtype_of<acc_t<T>> : dtype_of<T>;
        GemmArgs<T> s{};
        if (!set_operands(&s, a, b, transpose_a, transpose_b)) return py::none();
        const Shape shape = result_shape(a, b, transpose_a, s.N);
        py::array y;
        if (out.is_none())
            y = new_array(result_type, shape.dims, shape.ndim);
        else if (out.dtype() == result_type && writable_result(out, shape, a, b))
            y = py::reinterpret_borrow<py::array>(out_);
        else
            return py::none();
        s.C_row = s.N;
        if (sums)
            s.C_acc = data_of<acc_t<T>>(y);
        else
            s.C = data_of<T>(y);
        run(dispatch<T>().gemm, s);
        return y;
    });
}

// The weight (N, K) of a linear layer: an array, or panels that were packed from one.
class Weight {
  public:
    explicit Weight(py::handle object)
        : array_(object), packed_(array_.usable() ? nullptr : packed_weight_of(object)) {}

    bool is_packed() const { return packed_ != nullptr; }
    bool usable() const { return packed_ ? packed_->is_current() : array_.ndim() == 2; }
    DType dtype() const { return packed_ ? packed_->dtype : array_.dtype(); }
    int64_t N() const { return packed_ ? packed_->N : array_.dim(0); }
    int64_t K() const { return packed_ ? packed_->K : array_.dim(1); }

    template <typename T>
    void set_b(GemmArgs<T>* s) const {
        s->N = N();
        if (!packed_) plainformer::set_b(s, array_, matrix_of(array_, true));
    }

    // Panels are read by the level that packed them, even if another is chosen meanwhile.
    template <typename T>
    void multiply(const GemmArgs<T>& s) const {
        if (!packed_) return run(dispatch<T>().gemm, s);
        PackedGemmArgs<T> with_panels{s, packed_->panels};
        run(dispatch<T>(packed_->level).packed_gemm, with_panels);
    }

  private:
    const Operand array_;
    const PackedWeight* packed_;
};

bool is_linear(const Operand& x, const Weight& weight, const Operand& bias) {
    if (!x.usable() || x.ndim() < 1 || !weight.usable()) return false;
    if (x.dtype() != weight.dtype() || x.dim(-1) != weight.K()) return false;
    if (bias.is_none()) return true;
    return bias.dtype() == x.dtype() && bias.has_shape({weight.N()}) && bias.contiguous();
}

// activation(x weight^T + bias); with `keep_z` also the argument of the activation.
py::object linear(py::handle x_, py::handle weight_, py::handle bias_, int activation,
                  bool keep_z) {
    const Operand x(x_), bias(bias_);
    const Weight weight(weight_);
    if (!is_linear(x, weight, bias) || !is_activation(activation)) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        GemmArgs<T> s{};
        MatrixView A;
        weight.set_b(&s);
        if (flatten(x, &A))
            set_a(&s, x, A);
        else if (set_rows_as_batch(&s, x))
            set_a(&s, x, matrix_of(x, false));
        else
            return py::none();
        Shape shape;
        for (int i = 0; i < x.ndim() - 1; ++i) shape.push(x.dim(i));
        shape.push(s.N);
        py::array y = new_array(dtype_of<T>, shape.dims, shape.ndim), z;
        s.C = data_of<T>(y), s.C_row = s.N;
        s.bias = bias.data<T>();
        s.activation = static_cast<Activation>(activation);
        if (keep_z) {
            z = new_array(dtype_of<T>, shape.dims, shape.ndim);
            s.preactivation = data_of<T>(z);
        }
        weight.multiply(s);
        return keep_z ? py::object(py::make_tuple(y, z)) : py::object(y);
    });
}

// Whether the arrays of a linear layer's backward agree and can be read as matrices in place.
bool is_linear_gradient(const Operand& grad_y, const Operand& x, const Weight& weight,
                        const Operand& bias, const Operand& z) {
    if (weight.is_packed() || !is_linear(x, weight, bias) || !grad_y.usable() ||
        grad_y.ndim() != x.ndim())
        return false;
    if (grad_y.dtype() != x.dtype() || grad_y.dim(-1) != weight.N()) return false;
    for (int i = 0; i < x.ndim() - 1; ++i)
        if (grad_y.dim(i) != x.dim(i)) return false;
    MatrixView rows;
    if (!grad_y.last_axis_contiguous() || !flatten(grad_y, &rows) || !flatten(x, &rows))
        return false;
    return z.is_none() || (z.dtype() == x.dtype() && z.contiguous() && z.same_shape(grad_y));
}

// (grad_z, grad_bias) of a linear layer; grad_z is grad_y itself without an activation, grad_bias
// None unless wanted. None where any argument of the backward is not canonical.
py::object linear_grad(py::handle grad_y_, py::handle x, py::handle weight, py::handle bias,
                       py::handle z_, int activation, bool wants_bias) {
    const Operand grad_y(grad_y_), z(z_);
    if (!is_linear_gradient(grad_y, Operand(x), Weight(weight), Operand(bias), z) ||
        !is_activation(activation) || z.is_none() != (activation == 0))
        return py::none();
    return for_dtype(grad_y.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        py::object grad_z = py::reinterpret_borrow<py::object>(grad_y_), grad_bias = py::none();
        MatrixView rows;
        flatten(grad_y, &rows);
        LinearGradArgs<T> s{};
        s.M = rows.rows, s.N = rows.columns;
        s.grad_y = grad_y.data<T>(), s.grad_y_row = rows.row;
        s.z = z.data<T>(), s.activation = static_cast<Activation>(activation);
        if (!z.is_none()) {
            py::array fresh = new_array_like(grad_y);
            s.grad_z = data_of<T>(fresh), grad_z = fresh;
        }
        if (wants_bias) {
            py::array fresh = new_array(dtype_of<T>, {s.N});
            s.grad_bias = data_of<T>(fresh), grad_bias = fresh;
        }
        if (s.grad_z || s.grad_bias) run(dispatch<T>().linear_grad, s);
        return py::make_tuple(grad_z, grad_bias);
    });
}

// a^T b over the rows of all leading axes: the gradient of a weight.
py::object matmul_of_rows(py::handle a_, py::handle b_) {
    const Operand a(a_), b(b_);
    MatrixView A, B;
    if (!a.usable() || a.dtype() != b.dtype() || a.ndim() < 1 || b.ndim() < 1) return py::none();
    if (!flatten(a, &A) || !flatten(b, &B) || A.rows != B.rows) return py::none();
    return for_dtype(a.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        GemmArgs<T> s{};
        set_a(&s, a, transposed(A));
        set_b(&s, b, B);
        py::array y = new_array(dtype_of<T>, {s.M, s.N});
        s.C = data_of<T>(y), s.C_row = s.N;
        run(dispatch<T>().gemm, s);
        return y;
    });
}

}  // namespace

void bind_gemm(py::module_& module) {
    module.def("matmul", &matmul);
    module.def("linear", &linear);
    module.def("linear_grad", &linear_grad);
    module.def("matmul_of_rows", &matmul_of_rows);
}

}  // namespace plainformer
