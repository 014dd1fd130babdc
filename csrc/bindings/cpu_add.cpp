#include "families.h"
#include "operand.h"
#include "outputs.h"

namespace plainformer {

static py::object add(py::handle a_, py::handle b_) {
    const Operand a(a_), b(b_);
    if (!a.contiguous() || !b.contiguous() || !a.same_shape(b) || a.dtype() != b.dtype())
        return py::none();
    return for_dtype(a.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        py::array y = new_array_like(a);
        AddArgs<T> s{};
        s.y = data_of<T>(y), s.a = a.data<T>(), s.b = b.data<T>(), s.N = a.size();
        run(dispatch<T>().add, s);
        return y;
    });
}

// out may be x itself: each element is read before it is written. Any other overlap would write
// elements of x that are still to be read.
static bool may_accumulate(const Operand& out, const Operand& x) {
    const bool is_x = out.data<void>() == x.data<void>() && out.dtype() == x.dtype();
    return is_x || are_apart({&out}, {&x});
}

// True when done, None when the arrays are not canonical.
static py::object accumulate(py::handle out_, py::handle x_) {
    const Operand out(out_), x(x_);
    if (!out.contiguous() || !out.writeable() || !x.contiguous() || !out.same_shape(x))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        if (out.dtype() != dtype_of<A> || !may_accumulate(out, x)) return py::none();
        AccumulateArgs<T> s{};
        s.out = out.mutable_data<A>(), s.x = x.data<T>(), s.N = x.size();
        run(dispatch<T>().accumulate, s);
        return py::bool_(true);
    });
}

void bind_add(py::module_& module) {
    module.def("add", &add);
    module.def("accumulate", &accumulate);
}

}  // namespace plainformer
