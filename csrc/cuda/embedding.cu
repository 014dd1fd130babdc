// Embedding lookup and its gradient: grids. Kernels: embedding.cuh
#include "embedding.cuh"

#include "operations.h"
#include "plainformer/arith.h"

namespace plainformer::cuda {

namespace {

LaunchConfig grid_of(int threads, int64_t blocks, size_t shared_bytes, const Context& context) {
    LaunchConfig config{};
    config.grid = dim3(static_cast<unsigned>(blocks));
    config.block = dim3(static_cast<unsigned>(threads));
    config.shared_bytes = shared_bytes;
    config.stream = context.stream();
    return config;
}

// Stretches of a row of C elements, and the grid that has a warp for each of `rows` rows.
template <typename T>
int64_t stretches_of(int64_t C) {
    return ceil_div(C, embedding_stretch * vector_width<T>);
}
LaunchConfig warp_grid(int64_t rows, int64_t stretches, const Context& context) {
    constexpr int warps = embedding_threads / warp_size;
    return grid_of(embedding_threads, ceil_div(rows * stretches, warps), 0, context);
}

template <typename T, typename Out>
void sum_by_id(Out* out, const EmbeddingBackwardArgs<T>& s, const IdGroups& groups,
               Context& context) {
    const int64_t stretches = stretches_of<T>(s.C);
    launch(warp_grid(s.V, stretches, context), sum_few_rows<T, Out>, out, s, groups,
           Divisor(stretches));
    if (s.N < many_rows) return;
    const int64_t slices = ceil_div(s.C, RowTiles<T>::columns);
    const int64_t blocks = ceil_div(s.N, many_rows / 2) * slices;
    launch(grid_of(tile_threads, blocks, sizeof(RowTiles<T>), context), sum_many_rows<T, Out>, out,
           s, groups, Divisor(slices));
}

}  // namespace

template <typename T>
void embedding(const EmbeddingArgs<T>& s, Context& context) {
    if (s.N == 0 || s.C == 0) return;
    const int64_t stretches = stretches_of<T>(s.C);
    launch(warp_grid(s.N, stretches, context), embedding_rows<T>, s, Divisor(stretches),
           context.errors());
}
PF_INSTANTIATE(embedding, EmbeddingArgs)

template <typename T>
void embedding_backward(const EmbeddingBackwardArgs<T>& s, Context& context) {
    if (s.C == 0) return;
    const IdGroups groups = group_by_id(s.ids, s.N, s.V, context);
    if (s.V == 0) return;
    if (s.dweight_acc)
        sum_by_id(s.dweight_acc, s, groups, context);
    else
        sum_by_id(s.dweight, s, groups, context);
}
PF_INSTANTIATE(embedding_backward, EmbeddingBackwardArgs)

}  // namespace plainformer::cuda
