// Barriers of a block, its shared memory, and copies into it that land late.
#include <cstring>

#include "scheduler.h"

namespace plainformer::emulation {

// ---- barriers ----------------------------------------------------------------------------------

static NamedBarrier& barrier_at(int id, int threads, Site site) {
    const dim3& block = runner->launch->block;
    const int whole = static_cast<int>(block.x * block.y * block.z);
    if (id < 0 || id >= named_barriers) fail(site, "barrier id %d, expected 0 to 15", id);
    if (threads && (threads % lanes_of_warp || threads < 0 || threads > whole))
        fail(site, "barrier %d: %d threads, expected a multiple of 32 up to %d", id, threads,
             whole);
    NamedBarrier& b = current_block().barriers[static_cast<size_t>(id)];
    const int needed = threads ? threads : whole;
    if (b.arrived == 0) {
        b.needed = needed;
        b.site = site;
    } else if (b.needed != needed) {
        fail(site, "barrier %d: %d threads here, %d at line %u", id, needed, b.needed,
             b.site.line());
    } else if (threads == 0 && (b.site.line() != site.line() || b.site.column() != site.column())) {
        fail(site, "divergent barrier: __syncthreads here, but at line %u for other threads",
             b.site.line());
    }
    return b;
}

static bool completes(NamedBarrier& b) {
    ++current_fiber().barriers_reached;
    if (++b.arrived < b.needed) return false;
    b.arrived = 0;
    ++b.phase;
    make_ready(b.waiting);
    return true;
}

void barrier_sync(int id, int threads, Site site) {
    Quiet quiet;
    NamedBarrier& b = barrier_at(id, threads, site);
    char* const sync = &b.sync[b.phase & 1];
    release(sync);
    if (!completes(b)) {
        b.waiting.add(current_fiber().warp, self->lane);
        wait_here(threads ? "named barrier" : "__syncthreads", site);
    }
    acquire(sync);
}

void barrier_arrive(int id, int threads, Site site) {
    Quiet quiet;
    NamedBarrier& b = barrier_at(id, threads, site);
    release(&b.sync[b.phase & 1]);
    completes(b);
}

// To a race detector every fence orders with every other, whatever atomics lie between them.
void thread_fence() {
    static char sync;
    release(&sync);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    acquire(&sync);
}

// ---- shared memory -----------------------------------------------------------------------------

char* shared_base() { return current_block().shared; }

uint32_t shared_address(const void* p, Site site) {
    const Block& b = current_block();
    const ptrdiff_t offset = static_cast<const char*>(p) - b.shared;
    if (offset < 0 || offset > static_cast<ptrdiff_t>(b.bytes))
        fail(site, "pointer is not into this block's shared memory");
    return shared_start + static_cast<uint32_t>(offset);
}

char* shared_at(uint32_t address, size_t bytes, size_t alignment, Site site) {
    const Block& b = current_block();
    if (address % alignment)
        fail(site, "shared address %u is not aligned to %zu bytes", address, alignment);
    if (address < shared_start || address - shared_start + bytes > b.bytes)
        fail(site, "shared memory out of bounds: offset %lld and %zu bytes, of %zu",
             static_cast<long long>(address) - shared_start, bytes, b.bytes);
    return b.shared + (address - shared_start);
}

// ---- cp.async: the destination is poison from the issue until the issuing thread has waited ----

void cp_async(uint32_t dst, const void* src, int bytes, bool copies, Site site) {
    const size_t size = static_cast<size_t>(bytes);
    char* const to = shared_at(dst, size, size, site);
    if (copies && reinterpret_cast<uintptr_t>(src) % size)
        fail(site, "cp.async: the source is not aligned to %d bytes", bytes);
    kernel_writes(to, size);
    Quiet quiet;
    std::memset(to, runner->poison, size);
    current_fiber().copies.push_back({to, static_cast<const char*>(src), bytes, copies, site});
}

void cp_async_commit() {
    Quiet quiet;
    Fiber& f = current_fiber();
    size_t grouped = 0;
    for (size_t n : f.copy_groups) grouped += n;
    f.copy_groups.push_back(f.copies.size() - grouped);
}

static void land(const PendingCopy& copy) {
    const size_t size = static_cast<size_t>(copy.bytes);
    kernel_writes(copy.dst, size);
    if (copy.copies) kernel_reads(copy.src, size);
    Quiet quiet;
    for (size_t i = 0; i < size; ++i)
        if (static_cast<uint8_t>(copy.dst[i]) != runner->poison)
            fail(copy.site, "shared memory was written while this cp.async was in flight");
    if (copy.copies)
        std::memcpy(copy.dst, copy.src, size);
    else
        std::memset(copy.dst, 0, size);
}

void cp_async_wait(int keep) {
    Fiber& f = current_fiber();
    size_t landing = 0;
    {
        Quiet quiet;
        const size_t groups = f.copy_groups.size(), kept = static_cast<size_t>(keep);
        const size_t done = groups > kept ? groups - kept : 0;
        for (size_t i = 0; i < done; ++i) landing += f.copy_groups[i];
        f.copy_groups.erase(f.copy_groups.begin(),
                            f.copy_groups.begin() + static_cast<ptrdiff_t>(done));
    }
    for (size_t i = 0; i < landing; ++i) land(f.copies[i]);
    Quiet quiet;
    f.copies.erase(f.copies.begin(), f.copies.begin() + static_cast<ptrdiff_t>(landing));
}

}  // namespace plainformer::emulation
