#include "families.h"
#include "operand.h"

namespace plainformer {

static py::object add(py::handle a_, py::handle b_) {
    const Operand a(a_), b(b_);
    if (!a.contiguous() || !b.contiguous() || !a.same_shape(b) || a.dtype() != b.dtype())
        return py::none();
    return for_dtype(a.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        py::array y = new_array_like(a);
        run(dispatch<T>().add, AddArgs<T>{data_of<T>(y), a.data<T>(), b.data<T>(), a.size()});
        return y;
    });
}

// True when done, None when the arrays are not canonical.
static py::object accumulate(py::handle out_, py::handle x_) {
    const Operand out(out_), x(x_);
    if (!out.contiguous() || !out.writeable() || !x.contiguous() || !out.same_shape(x))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        if (out.dtype() != dtype_of<A>) return py::none();
        run(dispatch<T>().accumulate,
            AccumulateArgs<T>{out.mutable_data<A>(), x.data<T>(), x.size()});
        return py::bool_(true);
    });
}

void bind_add(py::module_& module) {
    module.def("add", &add);
    module.def("accumulate", &accumulate);
}

}  // namespace plainformer
