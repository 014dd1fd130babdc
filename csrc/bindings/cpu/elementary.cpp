#include "tools/elementary.h"

#include "families.h"
#include "function.h"

namespace plainformer {

namespace {

// `function` is a number of enum class Elementary.
py::object elementary(const ArrayView& x, int function) {
    if (!x.contiguous() || function < 0 || function > static_cast<int>(Elementary::exp2_or_zero))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        ElementaryArgs<T> s{};
        py::object y = output_like(x, &s.y);
        s.x = x.data<T>(), s.N = x.size();
        s.function = static_cast<Elementary>(function);
        run(dispatch<T>().elementary, s);
        return y;
    });
}

}  // namespace

void bind_elementary(py::module_& module) { def<&elementary>(module, "elementary"); }

}  // namespace plainformer
