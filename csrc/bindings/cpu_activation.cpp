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
        run(dispatch<T>().activation,
            ActivationArgs<T>{y, x.data<T>(), x.size(), static_cast<Activation>(kind),
                              worth_streaming<T>(x)});
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
        run(dispatch<T>().activation_backward,
            ActivationBackwardArgs<T>{dx, dy.data<T>(), x.data<T>(), x.size(),
                                      static_cast<Activation>(kind), worth_streaming<T>(x)});
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
        run(dispatch<T>().gated_activation,
            GatedActivationArgs<T>{y, gate.data<T>(), up.data<T>(), g.N, g.C, g.stride, u.stride,
                                   static_cast<Activation>(kind)});
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
        T *dgate_data, *dup_data;
        py::object dgate = output_like(gate, &dgate_data), dup = output_like(gate, &dup_data);
        run(dispatch<T>().gated_activation_backward,
            GatedActivationBackwardArgs<T>{dgate_data, dup_data, dy.data<T>(), gate.data<T>(),
                                           up.data<T>(), g.N, g.C, d.stride, g.stride, u.stride,
                                           static_cast<Activation>(kind)});
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
