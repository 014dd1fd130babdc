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

void bind_add(py::module_& module) { module.def("add", &add); }

}  // namespace plainformer
