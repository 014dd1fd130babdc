// Places grouped by id, for host code that launches kernels over the groups.
#pragma once
#include "context.h"
#include "plainformer/ids.h"

namespace plainformer::cuda {

// Memory of the device. The places with id v are order[first[v]] .. order[first[v + 1] - 1],
// rising.
struct IdGroups {
    const int64_t* keys;   // (N): the id of each place of `order`
    const int64_t* order;  // (N)
    const int64_t* first;  // (V + 1)
};

// Ids (N) outside of [0, V) are reported and in no group: they lie behind first[V].
IdGroups group_by_id(Ids ids, int64_t N, int64_t V, Context& context);

}  // namespace plainformer::cuda
