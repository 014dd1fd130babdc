// One binding file an operation family; each adds its functions to the module.
#pragma once
#include <pybind11/pybind11.h>

namespace plainformer {

void bind_add(pybind11::module_& module);
void bind_runtime(pybind11::module_& module);

}  // namespace plainformer
