#include "tools/elementary.h"

#include "families.h"
#include "operand.h"

namespace plainformer {

// `function` is a number of enum class Elementary.
static py::object elementary(py::handle x_, int function) {
    const Operand x(x_);
    if (!x.contiguous() || function < 0 || function > static_cast<int>(Elementary::erf))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        py::array y = new_array_like(x);
        ElementaryArgs<T> s{};
        s.y = data_of<T>(y), s.x = x.data<T>(), s.N = x.size();
        s.function = static_cast<Elementary>(function);
        run(dispatch<T>().elementary, s);
        return y;
    });
}

void bind_elementary(py::module_& module) { module.def("elementary", &elementary); }

}  // namespace plainformer
