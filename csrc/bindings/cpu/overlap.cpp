#include <pybind11/numpy.h>

#include "checks/overlap.h"
#include "families.h"

namespace plainformer {

namespace py = pybind11;

namespace {

Footprint footprint_of(const py::array& x) {
    if (x.ndim() > Footprint::max_ndim) throw py::value_error("expected at most 8 axes");
    Footprint bytes{
        static_cast<const char*>(x.data()), x.itemsize(), static_cast<int>(x.ndim()), {}, {}};
    for (int i = 0; i < bytes.ndim; ++i)
        bytes.shape[i] = x.shape(i), bytes.strides[i] = x.strides(i);
    return bytes;
}

// By this the wrappers explain what the kernels refuse: there is one judge. Also for arrays that
// are no operands, such as unaligned ones.
bool shares_memory(const py::array& a, const py::array& b) {
    return overlap(footprint_of(a), footprint_of(b));
}

bool has_distinct_elements(const py::array& x) { return footprint_of(x).is_nested(); }

}  // namespace

void bind_overlap(py::module_& module) {
    module.def("shares_memory", &shares_memory);
    module.def("is_distinct", &has_distinct_elements);
}

}  // namespace plainformer
