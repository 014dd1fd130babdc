#include "checks/norm.h"

#include "checks/outputs.h"
#include "families.h"
#include "function.h"
#include "plainformer/norm.h"

namespace plainformer {

namespace {

// The normalized shape, an int or a tuple of them; no axes where it is neither, or too long. A
// number of more than 64 bits is -1, which is no axis's length.
Shape shape_of(py::handle object) {
    Shape shape;
    int overflow;
    const auto push = [&](PyObject* number) {
        shape.push(PyLong_AsLongLongAndOverflow(number, &overflow));
    };
    if (PyLong_CheckExact(object.ptr())) return push(object.ptr()), shape;
    if (!PyTuple_CheckExact(object.ptr()) || PyTuple_GET_SIZE(object.ptr()) > ArrayView::max_ndim)
        return shape;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object.ptr()); ++i) {
        PyObject* size = PyTuple_GET_ITEM(object.ptr(), i);
        if (!PyLong_CheckExact(size)) return {};
        push(size);
    }
    return shape;
}

// Points one of the two at the array's data, by its type.
template <typename T>
void point(const ArrayView& array, const T** same, const acc_t<T>** acc) {
    if (array.dtype() == dtype_of<T>)
        *same = array.data<T>();
    else
        *acc = array.data<acc_t<T>>();
}

template <typename T>
py::object point_new(const ArrayView& like, T** same, acc_t<T>** acc) {
    if (like.is_none()) return py::none();
    return like.dtype() == dtype_of<T> ? output_like(like, same) : output_like(like, acc);
}

// One number a row, in the shape of x's leading axes.
template <typename A>
py::object new_stats(const ArrayView& x, int ndim, A** data) {
    Shape shape;
    for (int i = 0; i < x.ndim() - ndim; ++i) shape.push(x.dim(i));
    return new_array(shape, data);
}

// A tuple of those outputs that were asked for; y alone is no tuple.
py::object pack(const py::object& y, const py::object& sum, const py::object& mean,
                const py::object& rstd) {
    if (sum.is_none() && rstd.is_none()) return y;
    py::list outputs;
    for (const py::object* output : {&y, &sum, &mean, &rstd})
        if (!output->is_none()) outputs.append(*output);
    return py::tuple(outputs);
}

py::object norm(const ArrayView& x, py::handle normalized_shape, const ArrayView& weight,
                const ArrayView& bias, double eps, const ArrayView& residual, const Lent& out,
                bool return_stats, bool rms, double dropout_p, uint64_t seed, uint32_t offset) {
    if (!x.usable()) return py::none();
    const Shape shape = shape_of(normalized_shape);
    const int ndim = normalized_ndim(x, shape.dims, shape.ndim);
    Rows rows, added;
    if (ndim == 0 || !as_rows(x, ndim, &rows) || !is_like_rows(residual, x, ndim, &added) ||
        !are_norm_parameters(weight, bias, x, ndim) ||
        !is_output(out, x, {&x, &weight, &bias, &residual}) || !is_probability(dropout_p) ||
        (dropout_p > 0 && (residual.is_none() || ndim > 1)))
        return py::none();
    if (!return_stats) rows = without_empty(rows);
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        NormArgs<T> s{};
        py::object y = output_like(x, out, &s.y), sum = py::none(), mean = py::none(),
                   rstd = py::none();
        if (!residual.is_none()) sum = output_like(x, &s.sum);
        if (return_stats && !rms) mean = new_stats(x, ndim, &s.mean);
        if (return_stats) rstd = new_stats(x, ndim, &s.rstd);
        s.x = x.data<T>();
        s.residual = residual.data<T>();
        point(weight, &s.weight, &s.weight_acc);
        point(bias, &s.bias, &s.bias_acc);
        s.N = rows.N, s.C = rows.C, s.x_stride = rows.stride, s.residual_stride = added.stride;
        s.eps = static_cast<A>(eps);
        s.rms = rms;
        s.dropout = dropout_rule(dropout_p, seed, offset);
        run(dispatch<T>().norm, s);
        return pack(y, sum, mean, rstd);
    });
}

// (ds, dweight, dbias), with dropout also dx; mean is None for RMS norm, bias only says whether
// dbias is wanted.
py::object norm_backward(const ArrayView& dy, const ArrayView& x, const ArrayView& weight,
                         const ArrayView& mean, const ArrayView& rstd, const ArrayView& bias,
                         const ArrayView& grad_residual, double dropout_p, uint64_t seed,
                         uint32_t offset) {
    if (!x.usable() || !rstd.usable() || dy.is_none()) return py::none();
    const int ndim = x.ndim() - rstd.ndim();
    Rows rows, grad_rows, residual_rows;
    if (ndim < 1 || !as_rows(x, ndim, &rows) || !is_like_rows(dy, x, ndim, &grad_rows) ||
        !is_like_rows(grad_residual, x, ndim, &residual_rows) ||
        !are_norm_parameters(weight, bias, x, ndim) || !is_probability(dropout_p) ||
        (dropout_p > 0 && ndim > 1) || !is_norm_stats(rstd, x, ndim) ||
        !(mean.is_none() || is_norm_stats(mean, x, ndim)))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        NormBackwardArgs<T> s{};
        const py::object ds = output_like(x, &s.ds),
                         dx = dropout_p > 0 ? output_like(x, &s.dx) : py::object(py::none()),
                         dweight = point_new(weight, &s.dweight, &s.dweight_acc),
                         dbias = point_new(bias, &s.dbias, &s.dbias_acc);
        s.dy = dy.data<T>();
        s.x = x.data<T>();
        s.grad_residual = grad_residual.data<T>();
        s.mean = mean.data<A>();
        s.rstd = rstd.data<A>();
        point(weight, &s.weight, &s.weight_acc);
        s.N = rows.N, s.C = rows.C, s.dy_stride = grad_rows.stride, s.x_stride = rows.stride;
        s.grad_residual_stride = residual_rows.stride;
        s.dropout = dropout_rule(dropout_p, seed, offset);
        run(dispatch<T>().norm_backward, s);
        if (dropout_p > 0) return py::make_tuple(ds, dweight, dbias, dx);
        return py::make_tuple(ds, dweight, dbias);
    });
}

}  // namespace

void bind_norm(py::module_& module) {
    def<&norm>(module, "norm");
    def<&norm_backward>(module, "norm_backward");
}

}  // namespace plainformer
