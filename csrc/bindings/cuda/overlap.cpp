#include "checks/overlap.h"

#include "families.h"
#include "function.h"

namespace plainformer {

namespace {

// By these the wrappers explain what the kernels refuse: there is one judge.
py::object shares_memory(const ArrayView& a, const ArrayView& b) {
    if (!a.usable() || !b.usable()) return py::bool_(false);  // refused for what it is
    return py::bool_(overlap(footprint(a), footprint(b)));
}

py::object has_distinct_elements(const ArrayView& x) {
    return py::bool_(!x.usable() || is_distinct(x));
}

}  // namespace

void bind_overlap(py::module_& module) {
    def<&shares_memory>(module, "shares_memory");
    def<&has_distinct_elements>(module, "is_distinct");
}

}  // namespace plainformer
