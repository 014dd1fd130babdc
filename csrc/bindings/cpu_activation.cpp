#include "families.h"
#include "operand.h"
#include "outputs.h"
#include "plainformer/activation.h"

namespace plainformer {

namespace {

bool is_kind(int kind) { return kind != 0 && is_activation(kind); }

py::object activation(py::handle x_, int kind, py::handle out_) {
    const Operand x(x_), out(out_);
    if (!x.contiguous() || !is_kind(kind) || !is_output(out, x, {&x})) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        T* y;
        py::object result = output_like(x, out, out_, &y);
        ActivationArgs<T> s{};
        s.y = y, s.x = x.data<T>(), s.N = x.size();
        s.kind = static_cast<Activation>(kind);
        run(dispatch<T>().activation, s);
        return result;
    });
}

py::object activation_backward(py::handle dy_, py::handle x_, int kind) {
    const Operand dy(dy_), x(x_);
    if (!x.contiguous() || !dy.contiguous() || !dy.same_shape(x) || dy.dtype() != x.dtype() ||
        !is_kind(kind))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        T* dx;
        py::object result = output_like(x, &dx);
        ActivationBackwardArgs<T> s{};
        s.dx = dx, s.dy = dy.data<T>(), s.x = x.data<T>(), s.N = x.size();
        s.kind = static_cast<Activation>(kind);
        run(dispatch<T>().activation_backward, s);
        return result;
    });
}

struct Rows {
    int64_t N, C, stride;
};

bool rows_like(const Operand& array, const Operand& gate, Rows* rows) {
    if (array.dtype() != gate.dtype() || !array.same_shape(gate) ||
        !array.as_rows(&rows->N, &rows->C, &rows->stride))
        return false;
    if (rows->C == 0) rows->N = 0;  // however many the rows of nothing are
    return true;
}

py::object gated_activation(py::handle gate_, py::handle up_, int kind) {
    const Operand gate(gate_), up(up_);
    Rows g, u;
    if (!rows_like(gate, gate, &g) || !rows_like(up, gate, &u) || !is_kind(kind)) return py::none();
    return for_dtype(gate.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        T* y;
        py::object result = output_like(gate, &y);
        GatedActivationArgs<T> s{};
        s.y = y, s.gate = gate.data<T>(), s.up = up.data<T>();
        s.N = g.N, s.C = g.C, s.gate_stride = g.stride, s.up_stride = u.stride;
        s.kind = static_cast<Activation>(kind);
        run(dispatch<T>().gated_activation, s);
        return result;
    });
}

// (dgate, dup)
py::object gated_activation_backward(py::handle dy_, py::handle gate_, py::handle up_, int kind) {
    const Operand dy(dy_), gate(gate_), up(up_);
    Rows d, g, u;
    if (!rows_like(gate, gate, &g) || !rows_like(up, gate, &u) || !rows_like(dy, gate, &d) ||
        !is_kind(kind))
        return py::none();
    return for_dtype(gate.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        GatedActivationBackwardArgs<T> s{};
        py::object dgate = output_like(gate, &s.dgate), dup = output_like(gate, &s.dup);
        s.dy = dy.data<T>(), s.gate = gate.data<T>(), s.up = up.data<T>();
        s.N = g.N, s.C = g.C;
        s.dy_stride = d.stride, s.gate_stride = g.stride, s.up_stride = u.stride;
        s.kind = static_cast<Activation>(kind);
        run(dispatch<T>().gated_activation_backward, s);
        return py::make_tuple(dgate, dup);
    });
}

}  // namespace

void bind_activation(py::module_& module) {
    module.def("activation", &activation);
    module.def("activation_backward", &activation_backward);
    module.def("gated_activation", &gated_activation);
    module.def("gated_activation_backward", &gated_activation_backward);
}

}  // namespace plainformer
