// One binding file an operation family; each adds its functions to the module.
#pragma once
#include <pybind11/pybind11.h>

namespace plainformer {

void bind_activation(pybind11::module_& module);
void bind_add(pybind11::module_& module);
void bind_attention(pybind11::module_& module);
void bind_cross_entropy(pybind11::module_& module);
void bind_dropout(pybind11::module_& module);
void bind_elementary(pybind11::module_& module);
void bind_embedding(pybind11::module_& module);
void bind_gemm(pybind11::module_& module);
void bind_linear_cross_entropy(pybind11::module_& module);
void bind_norm(pybind11::module_& module);
void bind_optimizer(pybind11::module_& module);
void bind_overlap(pybind11::module_& module);
void bind_pack_weight(pybind11::module_& module);
void bind_roofline(pybind11::module_& module);
void bind_rotary(pybind11::module_& module);
void bind_runtime(pybind11::module_& module);
void bind_softmax(pybind11::module_& module);

}  // namespace plainformer
