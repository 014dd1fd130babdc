// softmax and log_softmax: grids. Kernels: softmax.cuh; softmax_columns.cu for other axes than the
// last, softmax_sm90.cu for rows in clusters.
#include "softmax.cuh"

#include "operations.h"
#include "row_grid.h"
#include "softmax_columns.h"
#include "softmax_sm90.h"

namespace plainformer::cuda {

namespace {

template <typename T, bool aligned>
void launch_softmax(const SoftmaxArgs<T>& s, Context& context) {
    const RowGrid grid = row_grid<vector_width<T>, softmax_chunks>(s.L, warp_size, context);
    const LaunchConfig config = grid.config(s.N, sizeof(BlockTeam::Shared), context);
    if (grid.owner == RowOwner::lanes)
        launch(config, softmax_rows<T, aligned, WarpTeam>, s, grid.team);
    else if (grid.owner == RowOwner::cluster)
        softmax_in_clusters<T, aligned>(config, s, grid.team);
    else
        launch(config, softmax_rows<T, aligned, BlockTeam>, s, grid.team);
}

template <typename T, bool aligned>
void launch_softmax_backward(const SoftmaxBackwardArgs<T>& s, Context& context) {
    constexpr int kept = softmax_backward_chunks;
    const RowGrid grid = row_grid<vector_width<T>, kept>(s.L, warp_size, context);
    const LaunchConfig config = grid.config(s.N, sizeof(BlockTeam::Shared), context);
    if (grid.owner == RowOwner::lanes)
        launch(config, softmax_backward_rows<T, aligned, WarpTeam>, s, grid.team);
    else if (grid.owner == RowOwner::cluster)
        softmax_backward_in_clusters<T, aligned>(config, s, grid.team);
    else
        launch(config, softmax_backward_rows<T, aligned, BlockTeam>, s, grid.team);
}

}  // namespace

template <typename T>
void softmax(const SoftmaxArgs<T>& s, Context& context) {
    if (s.N == 0 || s.L == 0 || s.M == 0) return;
    if (s.M > 1) return softmax_along_columns(s, context);
    const bool aligned = are_chunks<vector_width<T>>(s.L, {s.y, s.x}, {s.x_stride});
    aligned ? launch_softmax<T, true>(s, context) : launch_softmax<T, false>(s, context);
}
PF_INSTANTIATE(softmax, SoftmaxArgs)

template <typename T>
void softmax_backward(const SoftmaxBackwardArgs<T>& s, Context& context) {
    if (s.N == 0 || s.L == 0 || s.M == 0) return;
    if (s.M > 1) return softmax_backward_along_columns(s, context);
    const bool aligned =
        are_chunks<vector_width<T>>(s.L, {s.dx, s.dy, s.y}, {s.dy_stride, s.y_stride});
    aligned ? launch_softmax_backward<T, true>(s, context)
            : launch_softmax_backward<T, false>(s, context);
}
PF_INSTANTIATE(softmax_backward, SoftmaxBackwardArgs)

}  // namespace plainformer::cuda
