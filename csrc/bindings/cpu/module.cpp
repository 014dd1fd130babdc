// plainformer._cpu: a list of families, one file each.
#include "families.h"

PYBIND11_MODULE(_cpu, module) {
    module.doc() = "plainformer's CPU kernels. Call them through plainformer.kernels.";
    plainformer::bind_activation(module);
    plainformer::bind_add(module);
    plainformer::bind_attention(module);
    plainformer::bind_cross_entropy(module);
    plainformer::bind_dropout(module);
    plainformer::bind_elementary(module);
    plainformer::bind_embedding(module);
    plainformer::bind_gemm(module);
    plainformer::bind_linear_cross_entropy(module);
    plainformer::bind_norm(module);
    plainformer::bind_optimizer(module);
    plainformer::bind_overlap(module);
    plainformer::bind_pack_weight(module);
    plainformer::bind_roofline(module);
    plainformer::bind_rotary(module);
    plainformer::bind_runtime(module);
    plainformer::bind_softmax(module);
    plainformer::bind_topk(module);
}
