// plainformer._cuda. The emulation is a module of its own name, made of the same files.
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
    plainformer::bind_families(module);
#ifdef PF_EMULATION
    plainformer::bind_emulation(module);
#endif
}
