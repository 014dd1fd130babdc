// mbarriers and clusters.
#include "cluster.h"

#include "control.h"

namespace plainformer::emulation {

void require_capability(int least, const char* op, Site site) {
    if (runner->capability < least)
        fail(site, "%s needs capability %d, the device has %d", op, least, runner->capability);
}

// ---- mbarriers ---------------------------------------------------------------------------------

MBarrier& mbarrier_of(Block& block, uint32_t address, Site site) {
    const auto found = block.mbarriers.find(address);
    if (found == block.mbarriers.end())
        fail(site, "mbarrier at shared offset %lld is used before its init",
             static_cast<long long>(address) - shared_start);
    const MBarrier& b = found->second;
    if (b.maker != runner->current && b.maker->barriers_reached == b.made_after)
        fail(site, "mbarrier is used by another thread with no barrier since its init");
    return found->second;
}

void complete_if_done(MBarrier& b) {
    if (b.pending || b.bytes) return;
    ++b.phase;
    b.pending = b.count;
    make_ready(b.waiting);
}

void mbarrier_init(uint32_t bar, int count, Site site) {
    Quiet quiet;
    require_capability(90, "mbarrier", site);
    shared_at(bar, 8, 8, site);
    if (count < 1) fail(site, "mbarrier for %d arrivals", count);
    MBarrier& b = current_block().mbarriers[bar];
    if (b.count) fail(site, "mbarrier initialised twice");
    b.count = b.pending = count;
    b.maker = &current_fiber();
    b.made_after = b.maker->barriers_reached;
}

void mbarrier_init_fence() {
    Quiet quiet;
    for (auto& [address, b] : current_block().mbarriers) b.fenced = true;
}

void mbarrier_expect(uint32_t bar, int bytes, Site site) {
    Quiet quiet;
    mbarrier_of(current_block(), bar, site).bytes += bytes;
}

static void arrive(MBarrier& b, int bytes, Site site) {
    if (b.pending == 0) fail(site, "mbarrier: more than %d arrivals in one phase", b.count);
    b.bytes += bytes;
    --b.pending;
    release(&b.sync);
    complete_if_done(b);
}

void mbarrier_arrive(uint32_t bar, int bytes, Site site) {
    Quiet quiet;
    arrive(mbarrier_of(current_block(), bar, site), bytes, site);
}

void mbarrier_arrive_cluster(uint32_t bar, unsigned rank, Site site) {
    Quiet quiet;
    MBarrier& b = mbarrier_of(peer(rank, site), bar, site);
    if (!b.fenced) fail(site, "mbarrier is used by another block without mbarrier_init_fence");
    arrive(b, 0, site);
}

void mbarrier_wait(uint32_t bar, unsigned parity, Site site) {
    Quiet quiet;
    MBarrier& b = mbarrier_of(current_block(), bar, site);
    while ((b.phase & 1) == (parity & 1)) {
        b.waiting.add(current_fiber().warp, self->lane);
        wait_here(parity & 1 ? "mbarrier parity 1" : "mbarrier parity 0", site);
    }
    acquire(&b.sync);
}

// ---- clusters ----------------------------------------------------------------------------------

Block& peer(unsigned rank, Site site) {
    Runner& r = *runner;
    if (rank >= r.blocks.size()) fail(site, "cluster rank %u of %zu", rank, r.blocks.size());
    Block& block = r.blocks[rank];
    if (block.live == 0) fail(site, "block %u of the cluster has already exited", rank);
    if (rank != current_block().rank) r.remote = {true, site};
    return block;
}

unsigned cluster_rank() { return current_block().rank; }

static int live_threads() {
    int live = 0;
    for (const Block& b : runner->blocks) live += static_cast<int>(b.live);
    return live;
}

static void complete_cluster_barrier(NamedBarrier& b) {
    b.arrived = 0;
    ++b.phase;
    runner->remote.any = false;
    make_ready(b.waiting);
}

void cluster_thread_exits() {
    NamedBarrier& b = runner->cluster;
    if (b.arrived && b.arrived == live_threads()) complete_cluster_barrier(b);
}

void cluster_arrive(Site site) {
    Quiet quiet;
    Fiber& f = current_fiber();
    NamedBarrier& b = runner->cluster;
    if (f.cluster_arrived) fail(site, "cluster_arrive twice without cluster_wait between");
    f.cluster_arrived = true;
    ++f.barriers_reached;
    f.cluster_phase = b.phase;
    release(&b.sync[b.phase & 1]);
    if (++b.arrived == live_threads()) complete_cluster_barrier(b);
}

void cluster_wait(Site site) {
    Quiet quiet;
    Fiber& f = current_fiber();
    NamedBarrier& b = runner->cluster;
    if (!f.cluster_arrived) fail(site, "cluster_wait without cluster_arrive");
    if (b.phase == f.cluster_phase) {
        b.waiting.add(f.warp, self->lane);
        wait_here("cluster barrier", site);
    }
    f.cluster_arrived = false;
    acquire(&b.sync[f.cluster_phase & 1]);
}

void* cluster_map(void* p, unsigned rank, Site site) {
    Quiet quiet;
    return peer(rank, site).shared + (shared_address(p, site) - shared_start);
}

}  // namespace plainformer::emulation
