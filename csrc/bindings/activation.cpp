#include "plainformer/activation.h"

#include "checks/outputs.h"
#include "families.h"
#include "function.h"

namespace plainformer {

namespace {

bool is_kind(int kind) { return kind != 0 && is_activation(kind); }

py::object activation(const ArrayView& x, int kind, const Lent& out) {
    if (!x.contiguous() || !is_kind(kind) || !is_output(out, x, {&x})) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        ActivationArgs<T> s{};
        py::object y = output_like(x, out, &s.y);
        s.x = x.data<T>(), s.N = x.size();
        s.kind = static_cast<Activation>(kind);
        run(dispatch<T>().activation, s);
        return y;
    });
}

py::object activation_backward(const ArrayView& dy, const ArrayView& x, int kind) {
    if (!x.contiguous() || !dy.contiguous() || !dy.is_like(x) || !is_kind(kind)) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        ActivationBackwardArgs<T> s{};
        py::object dx = output_like(x, &s.dx);
        s.dy = dy.data<T>(), s.x = x.data<T>(), s.N = x.size();
        s.kind = static_cast<Activation>(kind);
        run(dispatch<T>().activation_backward, s);
        return dx;
    });
}

bool rows_like(const ArrayView& array, const ArrayView& gate, Rows* rows) {
    if (!array.is_like(gate) || !as_rows(array, rows)) return false;
    *rows = without_empty(*rows);
    return true;
}

py::object gated_activation(const ArrayView& gate, const ArrayView& up, int kind) {
    Rows g, u;
    if (!rows_like(gate, gate, &g) || !rows_like(up, gate, &u) || !is_kind(kind)) return py::none();
    return for_dtype(gate.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        GatedActivationArgs<T> s{};
        py::object y = output_like(gate, &s.y);
        s.gate = gate.data<T>(), s.up = up.data<T>();
        s.N = g.N, s.C = g.C, s.gate_stride = g.stride, s.up_stride = u.stride;
        s.kind = static_cast<Activation>(kind);
        run(dispatch<T>().gated_activation, s);
        return y;
    });
}

// (dgate, dup)
py::object gated_activation_backward(const ArrayView& dy, const ArrayView& gate,
                                     const ArrayView& up, int kind) {
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
    def<&activation>(module, "activation");
    def<&activation_backward>(module, "activation_backward");
    def<&gated_activation>(module, "gated_activation");
    def<&gated_activation_backward>(module, "gated_activation_backward");
}

}  // namespace plainformer
