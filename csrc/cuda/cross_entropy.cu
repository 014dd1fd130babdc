// Cross entropy: grids. Kernels: cross_entropy.cuh
#include "cross_entropy.cuh"

#include "elementwise_launch.h"
#include "operations.h"
#include "row_grid.h"

namespace plainformer::cuda {

namespace {

template <typename T, bool aligned, bool smooth>
void launch_cross_entropy(const CrossEntropyArgs<T>& s, Context& context) {
    const RowGrid grid = reading_row_grid<vector_width<T>, cross_entropy_chunks>(s.V);
    const LaunchConfig config = grid.config(s.N, sizeof(BlockTeam::Shared), context);
    if (grid.owner == RowOwner::lanes)
        launch(config, cross_entropy_rows<T, aligned, smooth, WarpTeam>, s, grid.team,
               context.errors());
    else
        launch(config, cross_entropy_rows<T, aligned, smooth, BlockTeam>, s, grid.team,
               context.errors());
}

}  // namespace

template <typename T>
void cross_entropy(const CrossEntropyArgs<T>& s, Context& context) {
    if (s.N == 0) return;
    if (s.smoothing != 0)
        launch_cross_entropy<T, false, true>(s, context);  // wherever its rows lie
    else if (are_chunks<vector_width<T>>(s.V, {s.x}, {s.x_stride}))
        launch_cross_entropy<T, true, false>(s, context);
    else
        launch_cross_entropy<T, false, false>(s, context);
}
PF_INSTANTIATE(cross_entropy, CrossEntropyArgs)

namespace {

// The sum of the class weights on the device; null where it counts for nothing.
const float* weight_sum(const float* weight, int64_t V, float smoothing, Context& context) {
    if (!weight || smoothing == 0) return nullptr;
    float* const sum = context.workspace<float>(1);
    LaunchConfig config{};
    config.grid = dim3(1), config.block = dim3(weight_sum_threads);
    config.shared_bytes = sizeof(WeightSumShared), config.stream = context.stream();
    launch(config, sum_weights, sum, weight, V);
    return sum;
}

}  // namespace

template <typename T>
void cross_entropy_backward(const CrossEntropyBackwardArgs<T>& s, Context& context) {
    if (s.N == 0 || s.V == 0) return;
    constexpr int W = vector_width<T>;
    // A row that begins between two boundaries may have a chunk more.
    const int64_t per_row = ceil_div(are_chunks<W>(s.V, {s.dx}, {}) ? s.V : s.V + W - 1, W);
    launch(elementwise_grid(s.N * per_row, cross_entropy_backward_chunks, context),
           cross_entropy_backward_rows<T>, s, Divisor(per_row),
           weight_sum(s.weight, s.V, s.smoothing, context), context.errors());
}
PF_INSTANTIATE(cross_entropy_backward, CrossEntropyBackwardArgs)

}  // namespace plainformer::cuda
