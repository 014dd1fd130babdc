#include "families.h"
#include "operand.h"
#include "outputs.h"

namespace plainformer {

namespace {

// The value of an int, or -1, which is no axis's length, where it has more than 64 bits.
int64_t int64_of(PyObject* number) {
    int overflow;
    return PyLong_AsLongLongAndOverflow(number, &overflow);
}

// How many trailing axes of x the normalized shape (an int or a tuple) names; 0 where it is not
// their shape.
int normalized_ndim(const Operand& x, py::handle shape) {
    if (PyLong_CheckExact(shape.ptr()))
        return x.ndim() >= 1 && int64_of(shape.ptr()) == x.dim(-1) ? 1 : 0;
    if (!PyTuple_CheckExact(shape.ptr())) return 0;
    const int ndim = static_cast<int>(PyTuple_GET_SIZE(shape.ptr()));
    if (ndim < 1 || ndim > x.ndim()) return 0;
    for (int i = 0; i < ndim; ++i) {
        PyObject* size = PyTuple_GET_ITEM(shape.ptr(), i);
        if (!PyLong_CheckExact(size) || int64_of(size) != x.dim(x.ndim() - ndim + i)) return 0;
    }
    return ndim;
}

// x as N rows of C elements, `ndim` trailing axes a row.
struct Rows {
    int64_t N = 1, C = 1, stride = 0;
};

bool as_rows(const Operand& x, int ndim, Rows* rows) {
    if (ndim == 1) return x.as_rows(&rows->N, &rows->C, &rows->stride);
    if (!x.contiguous()) return false;
    for (int i = 0; i < x.ndim(); ++i) (i < x.ndim() - ndim ? rows->N : rows->C) *= x.dim(i);
    rows->stride = rows->C;
    return true;
}

bool like_x(const Operand& array, const Operand& x, int ndim, Rows* rows) {
    return array.is_none() ||
           (array.dtype() == x.dtype() && array.same_shape(x) && as_rows(array, ndim, rows));
}

// A weight or bias of x's trailing axes, in x's type or the accumulator's; or None.
bool is_parameter(const Operand& parameter, const Operand& x, int ndim) {
    if (parameter.is_none()) return true;
    if (!parameter.contiguous() || parameter.ndim() != ndim) return false;
    for (int i = 0; i < ndim; ++i)
        if (parameter.dim(i) != x.dim(x.ndim() - ndim + i)) return false;
    return parameter.dtype() == x.dtype() || parameter.dtype() == acc_dtype(x.dtype());
}

bool are_parameters(const Operand& weight, const Operand& bias, const Operand& x, int ndim) {
    return is_parameter(weight, x, ndim) && is_parameter(bias, x, ndim) &&
           (weight.is_none() || bias.is_none() || weight.dtype() == bias.dtype());
}

// Points one of the two at the operand's data, by its type.
template <typename T>
void point(const Operand& operand, const T** same, const acc_t<T>** acc) {
    *same = nullptr;
    *acc = nullptr;
    if (operand.is_none()) return;
    if (operand.dtype() == dtype_of<T>)
        *same = operand.data<T>();
    else
        *acc = operand.data<acc_t<T>>();
}

template <typename T>
py::object point_new(const Operand& like, T** same, acc_t<T>** acc) {
    *same = nullptr;
    *acc = nullptr;
    if (like.is_none()) return py::none();
    py::array fresh = new_array_like(like);
    if (like.dtype() == dtype_of<T>)
        *same = data_of<T>(fresh);
    else
        *acc = data_of<acc_t<T>>(fresh);
    return fresh;
}

// One number a row, in the shape of x's leading axes.
py::array new_stats(const Operand& x, int ndim) {
    int64_t shape[Operand::max_ndim];
    for (int i = 0; i < x.ndim() - ndim; ++i) shape[i] = x.dim(i);
    return new_array(acc_dtype(x.dtype()), shape, x.ndim() - ndim);
}

bool is_stats(const Operand& stats, const Operand& x, int ndim) {
    if (!stats.contiguous() || stats.dtype() != acc_dtype(x.dtype())) return false;
    for (int i = 0; i < stats.ndim(); ++i)
        if (stats.dim(i) != x.dim(i)) return false;
    return stats.ndim() == x.ndim() - ndim;
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

py::object norm(py::handle x_, py::handle normalized_shape, py::handle weight_, py::handle bias_,
                double eps, py::handle residual_, py::handle out_, bool return_stats, bool rms) {
    const Operand x(x_), weight(weight_), bias(bias_), residual(residual_), out(out_);
    if (!x.usable()) return py::none();
    const int ndim = normalized_ndim(x, normalized_shape);
    Rows rows, added;
    if (ndim == 0 || !as_rows(x, ndim, &rows) || !like_x(residual, x, ndim, &added) ||
        !are_parameters(weight, bias, x, ndim) ||
        !is_output(out, x, {&x, &weight, &bias, &residual}))
        return py::none();
    if (rows.C == 0 && !return_stats) rows.N = 0;  // however many the rows of nothing are
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        NormArgs<T> s{};
        py::object y = output_like(x, out, out_, &s.y), sum = py::none(), mean = py::none(),
                   rstd = py::none();
        if (!residual.is_none()) sum = output_like(x, &s.sum);
        if (return_stats && !rms) mean = new_stats(x, ndim);
        if (return_stats) rstd = new_stats(x, ndim);
        if (!mean.is_none()) s.mean = static_cast<A*>(py::array(mean).mutable_data());
        if (!rstd.is_none()) s.rstd = static_cast<A*>(py::array(rstd).mutable_data());
        s.x = x.data<T>();
        s.residual = residual.is_none() ? nullptr : residual.data<T>();
        point(weight, &s.weight, &s.weight_acc);
        point(bias, &s.bias, &s.bias_acc);
        s.N = rows.N, s.C = rows.C, s.x_stride = rows.stride, s.residual_stride = added.stride;
        s.eps = static_cast<A>(eps);
        s.rms = rms;
        run(dispatch<T>().norm, s);
        return pack(y, sum, mean, rstd);
    });
}

// (dx, dweight, dbias); mean is None for RMS norm, bias only says whether dbias is wanted.
py::object norm_backward(py::handle dy_, py::handle x_, py::handle weight_, py::handle mean_,
                         py::handle rstd_, py::handle bias_, py::handle grad_residual_) {
    const Operand dy(dy_), x(x_), weight(weight_), mean(mean_), rstd(rstd_), bias(bias_),
        grad_residual(grad_residual_);
    if (!x.usable() || !rstd.usable() || dy.is_none()) return py::none();
    const int ndim = x.ndim() - rstd.ndim();
    Rows rows, grad_rows, residual_rows;
    if (ndim < 1 || !as_rows(x, ndim, &rows) || !like_x(dy, x, ndim, &grad_rows) ||
        !like_x(grad_residual, x, ndim, &residual_rows) || !are_parameters(weight, bias, x, ndim) ||
        !is_stats(rstd, x, ndim) || !(mean.is_none() || is_stats(mean, x, ndim)))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        NormBackwardArgs<T> s{};
        const py::object dx = output_like(x, &s.dx),
                         dweight = point_new(weight, &s.dweight, &s.dweight_acc),
                         dbias = point_new(bias, &s.dbias, &s.dbias_acc);
        s.dy = dy.data<T>();
        s.x = x.data<T>();
        s.grad_residual = grad_residual.is_none() ? nullptr : grad_residual.data<T>();
        s.mean = mean.is_none() ? nullptr : mean.data<A>();
        s.rstd = rstd.data<A>();
        point(weight, &s.weight, &s.weight_acc);
        s.N = rows.N, s.C = rows.C, s.dy_stride = grad_rows.stride, s.x_stride = rows.stride;
        s.grad_residual_stride = residual_rows.stride;
        run(dispatch<T>().norm_backward, s);
        return py::make_tuple(dx, dweight, dbias);
    });
}

}  // namespace

void bind_norm(py::module_& module) {
    module.def("norm", &norm);
    module.def("norm_backward", &norm_backward);
}

}  // namespace plainformer
