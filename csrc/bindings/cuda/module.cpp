// plainformer._cuda: a list of families, one file each. The emulation is a module of its own name,
// made of the same files.
#include "families.h"
#include "library.h"

#ifdef PF_EMULATION
namespace plainformer {
void bind_emulation(py::module_& module);
}
#endif

NB_MODULE(PF_MODULE, module) {
    module.doc() = "plainformer's CUDA kernels. Call them through plainformer.kernels.";
    plainformer::bind_library(module);
    plainformer::bind_activation(module);
    plainformer::bind_add(module);
    plainformer::bind_attention(module);
    plainformer::bind_cross_entropy(module);
    plainformer::bind_dropout(module);
    plainformer::bind_embedding(module);
    plainformer::bind_gemm(module);
    plainformer::bind_linear_cross_entropy(module);
    plainformer::bind_norm(module);
    plainformer::bind_optimizer(module);
    plainformer::bind_overlap(module);
    plainformer::bind_rotary(module);
    plainformer::bind_softmax(module);
    plainformer::bind_topk(module);
#ifdef PF_EMULATION
    plainformer::bind_emulation(module);
#endif
}
