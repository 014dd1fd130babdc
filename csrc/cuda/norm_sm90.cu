// Layer norm and RMS norm of long rows in clusters: instances for sm_90a alone. Teams:
// row_teams_sm90.cuh
#include "row_teams_sm90.cuh"

#include "norm.cuh"
#include "norm_backward.cuh"
#include "norm_sm90.h"

namespace plainformer::cuda {

template <typename T>
void launch_norm_in_clusters(const LaunchConfig& config, const NormArgs<T>& s, int team) {
    launch(config, norm_kept_rows<T, vector_width<T>, ClusterTeam>, s, team);
}

template <typename T>
void launch_norm_backward_in_clusters(const LaunchConfig& config, const NormBackwardArgs<T>& s,
                                      const NormParts& parts, int team) {
    launch(config, norm_backward_kept_rows<T, vector_width<T>, ClusterTeam>, s, parts, team);
}

#define PF_CLUSTERS(T)                                                                   \
    template void launch_norm_in_clusters(const LaunchConfig&, const NormArgs<T>&, int); \
    template void launch_norm_backward_in_clusters(                                      \
        const LaunchConfig&, const NormBackwardArgs<T>&, const NormParts&, int);
PF_CLUSTERS(float)
PF_CLUSTERS(bfloat16)
PF_CLUSTERS(float16)
#undef PF_CLUSTERS

}  // namespace plainformer::cuda
