// One binding file an operation family; each adds its functions to the module.
#pragma once
#include "adapter.h"

namespace plainformer {

void bind_activation(py::module_& module);
void bind_add(py::module_& module);
void bind_attention(py::module_& module);
void bind_cross_entropy(py::module_& module);
void bind_dropout(py::module_& module);
void bind_elementary(py::module_& module);
void bind_embedding(py::module_& module);
void bind_gemm(py::module_& module);
void bind_linear_cross_entropy(py::module_& module);
void bind_norm(py::module_& module);
void bind_optimizer(py::module_& module);
void bind_overlap(py::module_& module);
void bind_pack_weight(py::module_& module);
void bind_roofline(py::module_& module);
void bind_rotary(py::module_& module);
void bind_runtime(py::module_& module);
void bind_softmax(py::module_& module);
void bind_topk(py::module_& module);

}  // namespace plainformer
