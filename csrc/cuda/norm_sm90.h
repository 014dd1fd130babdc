// Rows of a norm that clusters of blocks keep in registers, on sm_90a: what norm.cu and
// norm_backward.cu launch there.
#pragma once
#include "norm_backward.cuh"

namespace plainformer::cuda {

// `team`: threads of a row. The vector width's kernels alone: rows of odd places are read again.
template <typename T>
void launch_norm_in_clusters(const LaunchConfig& config, const NormArgs<T>& s, int team);

template <typename T>
void launch_norm_backward_in_clusters(const LaunchConfig& config, const NormBackwardArgs<T>& s,
                                      const NormParts& parts, int team);

}  // namespace plainformer::cuda
