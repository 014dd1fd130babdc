// The k largest of each row: grids. Kernels: topk.cuh
#include "topk.cuh"

#include <stdexcept>

#include "operations.h"

namespace plainformer::cuda {

template <typename T>
void topk(const TopkArgs<T>& s, Context& context) {
    if (s.N == 0 || s.k == 0) return;
    if (s.C > int64_t{1} << 31) throw std::runtime_error("topk: rows of more than 2^31 elements");
    int64_t size = 1;
    while (size < s.k) size *= 2;
    uint64_t* const places =
        size > topk_shared_ranks ? context.workspace<uint64_t>(s.N * size) : nullptr;
    LaunchConfig config{};
    config.grid = dim3(static_cast<unsigned>(s.N));
    config.block = dim3(topk_threads);
    config.shared_bytes = sizeof(TopkShared);
    config.stream = context.stream();
    launch(config, topk_rows<T>, s, places, static_cast<unsigned>(size));
}
PF_INSTANTIATE(topk, TopkArgs)

}  // namespace plainformer::cuda
