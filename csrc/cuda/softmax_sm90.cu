// softmax of long rows in clusters: instances for sm_90a alone. Kernels: softmax.cuh
#include "softmax_sm90.h"

#include "row_teams_sm90.cuh"
#include "softmax.cuh"

namespace plainformer::cuda {

template <typename T, bool aligned>
void softmax_in_clusters(const LaunchConfig& config, const SoftmaxArgs<T>& s, int threads) {
    launch(config, softmax_rows<T, aligned, ClusterTeam>, s, threads);
}

template <typename T, bool aligned>
void softmax_backward_in_clusters(const LaunchConfig& config, const SoftmaxBackwardArgs<T>& s,
                                  int threads) {
    launch(config, softmax_backward_rows<T, aligned, ClusterTeam>, s, threads);
}

#define PF_CLUSTERS(T, aligned)                                                               \
    template void softmax_in_clusters<T, aligned>(const LaunchConfig&, const SoftmaxArgs<T>&, \
                                                  int);                                       \
    template void softmax_backward_in_clusters<T, aligned>(const LaunchConfig&,               \
                                                           const SoftmaxBackwardArgs<T>&, int);
PF_CLUSTERS(float, true)
PF_CLUSTERS(float, false)
PF_CLUSTERS(bfloat16, true)
PF_CLUSTERS(bfloat16, false)
PF_CLUSTERS(float16, true)
PF_CLUSTERS(float16, false)
#undef PF_CLUSTERS

}  // namespace plainformer::cuda
