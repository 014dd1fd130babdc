// Blocks of a cluster and their mbarriers, for the runtime's files.
#pragma once
#include "scheduler.h"

namespace plainformer::emulation {

// Block `rank` of the cluster, which must still run.
Block& peer(unsigned rank, Site site);

MBarrier& mbarrier_of(Block& block, uint32_t address, Site site);
// The phase ends when all have arrived and all announced bytes are there.
void complete_if_done(MBarrier& barrier);

// Completes a cluster barrier that only waited for a thread that has just exited.
void cluster_thread_exits();

}  // namespace plainformer::emulation
