// softmax of rows that clusters of blocks keep in registers, on sm_90a, for softmax.cu.
#pragma once
#include "device.cuh"
#include "plainformer/softmax.h"

namespace plainformer::cuda {

// `threads` have a row.
template <typename T, bool aligned>
void softmax_in_clusters(const LaunchConfig& config, const SoftmaxArgs<T>& s, int threads);

template <typename T, bool aligned>
void softmax_backward_in_clusters(const LaunchConfig& config, const SoftmaxBackwardArgs<T>& s,
                                  int threads);

}  // namespace plainformer::cuda
