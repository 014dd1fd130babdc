#include "checks/outputs.h"
#include "families.h"
#include "function.h"

namespace plainformer {

namespace {

py::object add(const ArrayView& a, const ArrayView& b) {
    if (!a.contiguous() || !b.contiguous() || !a.is_like(b)) return py::none();
    return for_dtype(a.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        AddArgs<T> s{};
        py::object y = output_like(a, &s.y);
        s.a = a.data<T>(), s.b = b.data<T>(), s.N = a.size();
        run(dispatch<T>().add, s);
        return y;
    });
}

// True when done, None when the arrays are not canonical.
py::object accumulate(const ArrayView& out, const ArrayView& x) {
    if (!may_accumulate(out, x)) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        AccumulateArgs<T> s{};
        s.out = out.mutable_data<acc_t<T>>(), s.x = x.data<T>(), s.N = x.size();
        run(dispatch<T>().accumulate, s);
        return py::bool_(true);
    });
}

}  // namespace

void bind_add(py::module_& module) {
    def<&add>(module, "add");
    def<&accumulate>(module, "accumulate");
}

}  // namespace plainformer
