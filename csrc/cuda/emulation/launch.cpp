// Launches: every cluster of the grid in turn, its blocks as fibers.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <thread>

#include "cluster.h"
#include "context_switch.h"
#include "control.h"
#include "launch.h"
#include "settings.h"

namespace plainformer::emulation {

// ---- a fiber's life ----------------------------------------------------------------------------

static void check_thread_end(Fiber& f) {
    if (f.stores && !(f.stores->closed.empty() && f.stores->open.empty())) {
        const auto& s = *f.stores;
        const Store& first = s.closed.empty() ? s.open.front() : s.closed.front().front();
        fail(first.site,
             "thread exits before this TMA store has read shared memory (tma_store_wait missing)");
    }
}

// Whether the thread did no wrong. Nothing may switch inside of a handler.
static bool run_thread(Fiber& f) {
    try {
        (*runner->body)();
        Quiet quiet;
        check_thread_end(f);
    } catch (const std::exception& error) {
        Quiet quiet;
        stop(error.what());
        return false;
    }
    return true;
}

static void end_thread(Fiber& f) {
    Runner& r = *runner;
    f.done = true;
    --r.alive;
    if (--f.block->live == 0) check_block_end(*f.block);
    cluster_thread_exits();
}

void fiber_main() {
#ifdef PLAINFORMER_EMULATION_ASAN
    const void* bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (!runner->main_stack_bottom) {
        runner->main_stack_bottom = bottom;
        runner->main_stack_bytes = bytes;
    }
#endif
    Fiber& f = current_fiber();
    if (f.parked) watch_accesses();  // it ended under Quiet, below
    f.parked = true;
    acquire(&runner->start_sync);
    const bool right = run_thread(f);
    ignore_accesses();
    if (!right) {
        f.done = true;
        switch_to(nullptr);
    }
    end_thread(f);
    release(&runner->end_sync);
    run_next();
    std::abort();  // nobody resumes a thread that is done
}

// ---- a cluster's life --------------------------------------------------------------------------

static size_t volume(const dim3& d) { return size_t{d.x} * d.y * d.z; }

static uint3 split(size_t linear, const dim3& shape) {
    return {static_cast<unsigned>(linear % shape.x),
            static_cast<unsigned>(linear / shape.x % shape.y),
            static_cast<unsigned>(linear / shape.x / shape.y)};
}

static void start_fiber(Fiber& f, Block& block, int warp_of_cluster, size_t thread) {
    const Launch& l = *runner->launch;
    f.indices = {split(thread, l.block),
                 block.index,
                 l.block,
                 l.grid,
                 static_cast<int>(thread % lanes_of_warp),
                 static_cast<int>(thread / lanes_of_warp)};
    f.block = &block;
    f.warp = warp_of_cluster;
    f.done = false;
    f.waits_for = nullptr;
    f.copies.clear();
    f.copy_groups.clear();
    f.stores.reset();
    f.wgmma_issued = f.wgmma_committed = f.barriers_reached = 0;
    f.wgmma_fenced = f.cluster_arrived = false;
    f.context = make_context(f.stack_bottom, f.stack_top, fiber_main);
}

static void start_block(Runner& r, Block& b, size_t rank, size_t linear, size_t threads) {
    b.rank = static_cast<unsigned>(rank);
    b.index = split(linear, r.launch->grid);
    b.live = static_cast<unsigned>(threads);
    b.mbarriers.clear();
    for (NamedBarrier& bar : b.barriers) bar.arrived = 0;
    b.warps.resize(static_cast<size_t>(r.warps_per_block));
    b.warpgroups.resize((b.warps.size() + 3) / 4);
    for (Warpgroup& w : b.warpgroups)
        if (w.used) w = Warpgroup();
    for (size_t w = 0; w < b.warps.size(); ++w) {
        const size_t lanes = std::min<size_t>(threads - w * lanes_of_warp, lanes_of_warp);
        const int of_cluster = static_cast<int>(rank * b.warps.size() + w);
        b.warps[w].lanes = b.warps[w].whole.mask = ~Lanes{0} >> (lanes_of_warp - lanes);
        for (size_t lane = 0; lane < lanes; ++lane)
            start_fiber(r.fiber(of_cluster, static_cast<int>(lane)), b, of_cluster,
                        w * lanes_of_warp + lane);
        r.ready.add(of_cluster, b.warps[w].lanes);
    }
}

static void run_cluster(Runner& r, size_t first_block) {
    Quiet quiet;
    runner = &r;
    const Launch& l = *r.launch;
    const size_t threads = volume(l.block), warps = (threads + 31) / 32;
    r.warps_per_block = static_cast<int>(warps);
    r.fiber_count = l.cluster * warps * lanes_of_warp;
    prepare_memory(r, l.cluster, r.fiber_count, l.shared_bytes);
    for (size_t i = 0; i < r.fiber_count; ++i) r.fibers[i].block = nullptr;
    r.ready.start(r.order, settings().seed * 7919 + first_block, l.cluster * warps);
    r.alive = static_cast<int>(threads * l.cluster);
    r.remote = {};
    for (size_t rank = 0; rank < l.cluster; ++rank)
        start_block(r, r.blocks[rank], rank, first_block + rank, threads);
#ifdef PLAINFORMER_EMULATION_TSAN
    r.main_tsan = __tsan_get_current_fiber();
#endif
    release(&r.start_sync);
    r.current = nullptr;
    run_next();
    runner = nullptr;
    self = nullptr;
    acquire(&r.end_sync);
    r.blocks_run += l.cluster;
}

// ---- the grid ----------------------------------------------------------------------------------

static void check_launch(const Launch& l) {
    const Site site = Site::current();
    const auto check = [&](unsigned value, unsigned most, const char* what) {
        if (value == 0 || value > most)
            fail(site, "launch: %s is %u, expected 1 to %u", what, value, most);
    };
    check(l.grid.x, 0x7fffffff, "grid.x");
    check(l.grid.y, 65535, "grid.y");
    check(l.grid.z, 65535, "grid.z");
    check(l.block.x, 1024, "block.x");
    check(l.block.y, 1024, "block.y");
    check(l.block.z, 64, "block.z");
    check(static_cast<unsigned>(volume(l.block)), 1024, "the number of threads of a block");
    check(l.cluster, 8, "cluster");
    const int capability = emulation::capability();
    const size_t most = capability >= 90 ? 227 << 10 : capability == 80 ? 163 << 10 : 99 << 10;
    if (l.shared_bytes > most)
        fail(site, "launch: %zu bytes of shared memory, %zu at most", l.shared_bytes, most);
    if (l.cluster > 1 && capability < 90) fail(site, "launch: clusters need capability 90");
    if (l.grid.x % l.cluster)
        fail(site, "launch: grid.x %u is no multiple of the cluster of %u", l.grid.x, l.cluster);
}

// Runners keep their stacks from launch to launch.
class RunnerPool {
  public:
    std::unique_ptr<Runner> take() {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) return std::make_unique<Runner>();
        std::unique_ptr<Runner> r = std::move(free_.back());
        free_.pop_back();
        return r;
    }
    void give_back(std::unique_ptr<Runner> r) {
        const std::lock_guard lock(mutex_);
        free_.push_back(std::move(r));
    }
    static RunnerPool& instance() {  // never destroyed: a launch may run at exit
        static auto* pool = new RunnerPool;
        return *pool;
    }

  private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<Runner>> free_;
};

// fifo runs clusters upwards, lifo downwards, a seed in an order of its own: none may count on it.
static size_t cluster_in_turn(size_t turn, size_t count, Order order, uint64_t seed) {
    if (order == Order::fifo) return turn;
    if (order == Order::lifo) return count - 1 - turn;
    size_t step = 0x9E3779B97F4A7C15 * (seed + 1) % count | 1;
    while (std::gcd(step, count) != 1) ++step;
    return (turn * step + seed) % count;
}

struct Grid {
    const Launch& launch;
    const std::function<void()>& body;
    size_t clusters;
    std::atomic<size_t> next{0};
    std::mutex mutex;
    std::string error;
};

static void start_runner(Runner& r, const Grid& grid) {
    const Settings& s = settings();
    r.launch = &grid.launch;
    r.body = &grid.body;
    r.poison = s.poison;
    r.order = s.order;
    r.capability = s.capability;
    r.error.clear();
}

static void run_clusters(Grid& grid) {
    catch_faults();
    std::unique_ptr<Runner> r = RunnerPool::instance().take();
    start_runner(*r, grid);
    for (size_t turn; (turn = grid.next.fetch_add(1)) < grid.clusters;) {
        const size_t cluster = cluster_in_turn(turn, grid.clusters, r->order, settings().seed);
        constexpr unsigned odds[] = {0, 64, 1024};
        r->async_odds = r->order == Order::seeded ? odds[(settings().seed + cluster) % 3] : 0;
        run_cluster(*r, cluster * grid.launch.cluster);
        if (r->error.empty()) continue;
        const std::lock_guard lock(grid.mutex);
        if (grid.error.empty()) grid.error = r->error;
        grid.next = grid.clusters;
    }
    count(*r);
    // After an error fibers hang in the middle of the kernel: their runner is not used again.
    if (r->error.empty()) RunnerPool::instance().give_back(std::move(r));
}

void run(const Launch& launch, const std::function<void()>& thread) {
    check_launch(launch);
    count_launch();
    Grid grid{launch, thread, volume(launch.grid) / launch.cluster, {}, {}, {}};
    const size_t workers = std::min<size_t>(grid.clusters, static_cast<size_t>(threads()));
    std::vector<std::thread> others;
    for (size_t i = 1; i < workers; ++i) others.emplace_back([&] { run_clusters(grid); });
    run_clusters(grid);
    for (std::thread& t : others) t.join();
    if (!grid.error.empty()) throw Error(grid.error);
}

}  // namespace plainformer::emulation
