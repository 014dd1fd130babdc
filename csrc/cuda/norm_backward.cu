// Layer norm and RMS norm, backward: grids. Kernels: norm_backward.cuh
#include "norm_backward.cuh"

#include "column_sums.h"
#include "norm_sm90.h"
#include "operations.h"
#include "row_grid.h"

namespace plainformer::cuda {

namespace {

// Threads that run on a multiprocessor at a time. Each team goes through many rows, so that few
// partial rows are written; their number, and with it the last bits of dweight and dbias, depends
// on the device.
constexpr int resident_threads = 512;

template <typename T, int W>
void launch_rows(const NormBackwardArgs<T>& s, const NormParts& parts, const RowGrid& grid,
                 const LaunchConfig& config) {
    switch (grid.owner) {
        case RowOwner::lanes:
            return launch(config, norm_backward_kept_rows<T, W, WarpTeam>, s, parts, grid.team);
        case RowOwner::block:
            return launch(config, norm_backward_kept_rows<T, W, BlockTeam>, s, parts, grid.team);
        case RowOwner::cluster:
            return launch_norm_backward_in_clusters(config, s, parts, grid.team);
        case RowOwner::long_block:
            return launch(config, norm_backward_long_rows<T, W>, s, parts, grid.team);
    }
}

// ds and dx, and the partial rows with their sums.
template <typename T, int W>
void launch_backward(const NormBackwardArgs<T>& s, Context& context) {
    const RowGrid grid = row_grid<W, norm_backward_chunks<W>>(s.C, least_norm_block, context);
    const int64_t at_once = context.multiprocessors() * resident_threads / grid.block;
    const int64_t teams = greatest(1, at_once / grid.blocks_per_row()) * grid.rows_per_block();
    const int64_t count = ceil_div(least(s.N, teams), grid.rows_per_block());
    NormParts parts{};
    if (s.dweight || s.dweight_acc) parts.dweight = context.workspace<float>(count * s.C);
    if (s.dbias || s.dbias_acc) parts.dbias = context.workspace<float>(count * s.C);
    if (count > 0)
        launch_rows<T, W>(
            s, parts, grid,
            grid.config(count * grid.rows_per_block(), sizeof(NormBackwardShared), context));
    if (s.dweight) sum_columns(s.dweight, parts.dweight, count, s.C, context);
    if (s.dweight_acc) sum_columns(s.dweight_acc, parts.dweight, count, s.C, context);
    if (s.dbias) sum_columns(s.dbias, parts.dbias, count, s.C, context);
    if (s.dbias_acc) sum_columns(s.dbias_acc, parts.dbias, count, s.C, context);
}

}  // namespace

template <typename T>
void norm_backward(const NormBackwardArgs<T>& s, Context& context) {
    if (s.C == 0) return;
    constexpr int W = vector_width<T>;
    const bool in_chunks =
        are_chunks<W>(s.C, {s.ds, s.dx, s.dy, s.x, s.grad_residual, s.weight, s.weight_acc},
                      {s.dy_stride, s.x_stride, s.grad_residual_stride});
    in_chunks ? launch_backward<T, W>(s, context) : launch_backward<T, 1>(s, context);
}
PF_INSTANTIATE(norm_backward, NormBackwardArgs)

}  // namespace plainformer::cuda
