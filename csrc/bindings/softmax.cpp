#include "plainformer/softmax.h"

#include "checks/outputs.h"
#include "families.h"
#include "function.h"

namespace plainformer {

namespace {

py::object softmax(const ArrayView& x, int axis, bool log, const Lent& out) {
    Matrices m;
    if (!as_matrices(x, axis, &m) || !is_output(out, x, {&x})) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        SoftmaxArgs<T> s{};
        py::object y = output_like(x, out, &s.y);
        s.x = x.data<T>();
        s.N = m.N, s.L = m.L, s.M = m.M, s.x_stride = m.stride;
        s.log = log;
        run(dispatch<T>().softmax, s);
        return y;
    });
}

py::object softmax_backward(const ArrayView& dy, const ArrayView& y, int axis, bool log) {
    Matrices m, grad;
    if (!as_matrices(y, axis, &m) || !dy.is_like(y) || !as_matrices(dy, axis, &grad))
        return py::none();
    return for_dtype(y.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        SoftmaxBackwardArgs<T> s{};
        py::object dx = output_like(y, &s.dx);
        s.dy = dy.data<T>(), s.y = y.data<T>();
        s.N = m.N, s.L = m.L, s.M = m.M;
        s.dy_stride = grad.stride, s.y_stride = m.stride;
        s.log = log;
        run(dispatch<T>().softmax_backward, s);
        return dx;
    });
}

}  // namespace

void bind_softmax(py::module_& module) {
    def<&softmax>(module, "softmax");
    def<&softmax_backward>(module, "softmax_backward");
}

}  // namespace plainformer
