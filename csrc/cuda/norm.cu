// Layer norm and RMS norm, forward: grids. Kernels: norm.cuh
#include "norm.cuh"

#include "norm_sm90.h"
#include "operations.h"
#include "row_grid.h"

namespace plainformer::cuda {

namespace {

template <typename T, int W>
void launch_norm(const NormArgs<T>& s, Context& context) {
    const RowGrid grid = row_grid<W, norm_chunks<W>>(s.C, warp_size, context);
    const LaunchConfig config = grid.config(s.N, sizeof(BlockTeam::Shared), context);
    switch (grid.owner) {
        case RowOwner::lanes:
            return launch(config, norm_kept_rows<T, W, WarpTeam>, s, grid.team);
        case RowOwner::block:
            return launch(config, norm_kept_rows<T, W, BlockTeam>, s, grid.team);
        case RowOwner::cluster:
            return launch_norm_in_clusters(config, s, grid.team);
        case RowOwner::long_block:
            return launch(config, norm_long_rows<T, W>, s, grid.team);
    }
}

}  // namespace

template <typename T>
void norm(const NormArgs<T>& s, Context& context) {
    if (s.N == 0) return;
    constexpr int W = vector_width<T>;
    const bool in_chunks = are_chunks<W>(
        s.C, {s.y, s.sum, s.x, s.residual, s.weight, s.bias, s.weight_acc, s.bias_acc},
        {s.x_stride, s.residual_stride});
    in_chunks ? launch_norm<T, W>(s, context) : launch_norm<T, 1>(s, context);
}
PF_INSTANTIATE(norm, NormArgs)

}  // namespace plainformer::cuda
