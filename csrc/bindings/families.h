// One binding file an operation family; each adds its functions to the module.
#pragma once
#include "adapter.h"

namespace plainformer {

void bind_activation(py::module_& module);
void bind_add(py::module_& module);
void bind_attention(py::module_& module);
void bind_cross_entropy(py::module_& module);
void bind_dropout(py::module_& module);
void bind_embedding(py::module_& module);
void bind_gemm(py::module_& module);
void bind_linear_cross_entropy(py::module_& module);
void bind_norm(py::module_& module);
void bind_optimizer(py::module_& module);
void bind_overlap(py::module_& module);
void bind_rotary(py::module_& module);
void bind_softmax(py::module_& module);
void bind_topk(py::module_& module);

// What both modules have; the rest is its module's own (cpu/module.cpp, cuda/module.cpp).
inline void bind_families(py::module_& module) {
    bind_activation(module);
    bind_add(module);
    bind_attention(module);
    bind_cross_entropy(module);
    bind_dropout(module);
    bind_embedding(module);
    bind_gemm(module);
    bind_linear_cross_entropy(module);
    bind_norm(module);
    bind_optimizer(module);
    bind_overlap(module);
    bind_rotary(module);
    bind_softmax(module);
    bind_topk(module);
}

}  // namespace plainformer
