#include "checks/gemm.h"

#include "families.h"
#include "function.h"
#include "weight.h"

namespace plainformer {

namespace {

// A B, in the inputs' type or, with `sums`, in the type its sums are kept in.
py::object matmul(const ArrayView& a, const ArrayView& b, bool transpose_a, bool transpose_b,
                  const Lent& out, bool sums) {
    if (!is_matrix_pair(a, b)) return py::none();
    return for_dtype(a.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        const DType result_type = sums ? dtype_of<acc_t<T>> : dtype_of<T>;
        GemmArgs<T> s{};
        if (!set_operands(&s, a, b, transpose_a, transpose_b)) return py::none();
        const Shape shape = product_shape(a, b, transpose_a, s.N);
        if (!is_product(out, shape, result_type, a, b)) return py::none();
        s.C_row = s.N;
        const py::object y = sums ? output_of(shape, out, &s.C_acc) : output_of(shape, out, &s.C);
        run(dispatch<T>().gemm, s);
        return y;
    });
}

// activation(x weight^T + bias); with `keep_z` also the argument of the activation.
py::object linear(const ArrayView& x, const Weight& weight, const ArrayView& bias, int activation,
                  bool keep_z) {
    if (!weight.usable() || !is_linear(x, weight.dtype(), weight.N(), weight.K(), bias) ||
        !is_activation(activation))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        GemmArgs<T> s{};
        weight.set_b(&s);
        if (!set_rows(&s, x)) return py::none();
        const Shape shape = linear_shape(x, s.N);
        py::object y = new_array(shape, &s.C), z;
        s.C_row = s.N;
        s.bias = bias.data<T>();
        s.activation = static_cast<Activation>(activation);
        if (keep_z) z = new_array(shape, &s.preactivation);
        weight.multiply(s);
        return keep_z ? py::object(py::make_tuple(y, z)) : y;
    });
}

// (grad_z, grad_bias) of a linear layer; grad_z is grad_y itself without an activation, grad_bias
// None unless wanted. None where any argument of the backward is not canonical.
py::object linear_grad(const Lent& grad_y, const ArrayView& x, const ArrayView& weight,
                       const ArrayView& bias, const ArrayView& z, int activation, bool wants_bias) {
    if (!is_linear_gradient(grad_y, x, weight, bias, z) || !is_activation(activation) ||
        z.is_none() != (activation == 0))
        return py::none();
    return for_dtype(grad_y.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        py::object grad_z = py::reinterpret_borrow<py::object>(grad_y.object);
        py::object grad_bias = py::none();
        MatrixView rows;
        flatten(grad_y, &rows);
        LinearGradArgs<T> s{};
        s.M = rows.rows, s.N = rows.columns;
        s.grad_y = grad_y.data<T>(), s.grad_y_row = rows.row;
        s.z = z.data<T>(), s.activation = static_cast<Activation>(activation);
        if (!z.is_none()) grad_z = output_like(grad_y, &s.grad_z);
        if (wants_bias) grad_bias = new_array({s.N}, &s.grad_bias);
        if (s.grad_z || s.grad_bias) run(dispatch<T>().linear_grad, s);
        return py::make_tuple(grad_z, grad_bias);
    });
}

// a^T b over the rows of all leading axes: the gradient of a weight.
py::object matmul_of_rows(const ArrayView& a, const ArrayView& b) {
    MatrixView A, B;
    if (a.dtype() != b.dtype() || a.ndim() < 1 || b.ndim() < 1 || !flatten(a, &A) ||
        !flatten(b, &B) || A.rows != B.rows)
        return py::none();
    return for_dtype(a.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        GemmArgs<T> s{};
        set_a(&s, a, A.transposed());
        set_b(&s, b, B);
        py::object y = new_array({s.M, s.N}, &s.C);
        s.C_row = s.N;
        run(dispatch<T>().gemm, s);
        return y;
    });
}

}  // namespace

void bind_gemm(py::module_& module) {
    def<&matmul>(module, "matmul");
    def<&linear>(module, "linear");
    def<&linear_grad>(module, "linear_grad");
    def<&matmul_of_rows>(module, "matmul_of_rows");
}

}  // namespace plainformer
