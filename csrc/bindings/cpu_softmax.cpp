#include "families.h"
#include "operand.h"
#include "outputs.h"
#include "plainformer/softmax.h"

namespace plainformer {

namespace {

// x as N matrices (L, M) that are `stride` apart: the axes before, at and behind `axis`.
struct Matrices {
    int64_t N = 1, L = 1, M = 1, stride = 0;
};

bool as_matrices(const Operand& x, int axis, Matrices* m) {
    if (axis < -x.ndim() || axis >= x.ndim() || !x.usable()) return false;
    if (x.size() == 0) return m->N = 0, true;  // however many the rows of nothing are
    if (axis < 0) axis += x.ndim();
    if (axis == x.ndim() - 1 && x.as_rows(&m->N, &m->L, &m->stride)) return true;
    if (!x.contiguous()) return false;
    *m = {};
    for (int i = 0; i < x.ndim(); ++i) (i < axis ? m->N : i == axis ? m->L : m->M) *= x.dim(i);
    m->stride = m->L * m->M;
    return true;
}

py::object softmax(py::handle x_, int axis, bool log, py::handle out_) {
    const Operand x(x_), out(out_);
    Matrices m;
    if (!as_matrices(x, axis, &m) || !is_output(out, x, {&x})) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        T* y;
        py::object result = output_like(x, out, out_, &y);
        SoftmaxArgs<T> s{};
        s.y = y, s.x = x.data<T>();
        s.N = m.N, s.L = m.L, s.M = m.M, s.x_stride = m.stride;
        s.log = log;
        run(dispatch<T>().softmax, s);
        return result;
    });
}

py::object softmax_backward(py::handle dy_, py::handle y_, int axis, bool log) {
    const Operand dy(dy_), y(y_);
    Matrices m, grad;
    if (!as_matrices(y, axis, &m) || dy.dtype() != y.dtype() || !dy.same_shape(y) ||
        !as_matrices(dy, axis, &grad))
        return py::none();
    return for_dtype(y.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        T* dx;
        py::object result = output_like(y, &dx);
        SoftmaxBackwardArgs<T> s{};
        s.dx = dx, s.dy = dy.data<T>(), s.y = y.data<T>();
        s.N = m.N, s.L = m.L, s.M = m.M;
        s.dy_stride = grad.stride, s.y_stride = m.stride;
        s.log = log;
        run(dispatch<T>().softmax_backward, s);
        return result;
    });
}

}  // namespace

void bind_softmax(py::module_& module) {
    module.def("softmax", &softmax);
    module.def("softmax_backward", &softmax_backward);
}

}  // namespace plainformer
