// plainformer._cpu.
#include "families.h"

namespace plainformer {
void bind_elementary(py::module_& module);
void bind_int8(py::module_& module);
void bind_linear_onto(py::module_& module);
void bind_pack_weight(py::module_& module);
void bind_roofline(py::module_& module);
void bind_runtime(py::module_& module);
}  // namespace plainformer

PYBIND11_MODULE(_cpu, module) {
    module.doc() = "plainformer's CPU kernels. Call them through plainformer.kernels.";
    plainformer::bind_families(module);
    plainformer::bind_elementary(module);
    plainformer::bind_int8(module);
    plainformer::bind_linear_onto(module);
    plainformer::bind_pack_weight(module);
    plainformer::bind_roofline(module);
    plainformer::bind_runtime(module);
}
