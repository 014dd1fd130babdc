// The state of blocks that run: what the runtime's files share.
#pragma once
#include <array>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "runtime_sm90.h"
#include "sanitizers.h"

namespace plainformer::emulation {

constexpr int lanes_of_warp = 32, threads_of_warpgroup = 128, named_barriers = 16;
constexpr uint32_t shared_start = 1024;  // of the window: Hopper keeps the first KiB to itself

struct Block;

// Fibers by warp, a bit a lane; warps are numbered through the cluster. All that can wait or run.
using Lanes = uint32_t;
struct FiberSet {
    std::vector<Lanes> warps;
    bool empty = true;

    void add(int warp, int lane);
};

struct PendingCopy {
    char* dst;
    const char* src;
    int bytes;
    bool copies;
    Site site;
};

struct Store {
    TensorMap map;
    uint32_t src;
    Coordinates to;
    Site site;
};
// Bulk stores of a thread by group; the last group is open until it is committed.
struct StoreGroups {
    std::deque<std::vector<Store>> closed;
    std::vector<Store> open;
};

struct Fiber {
    Indices indices;
    Block* block;
    int warp;  // in the cluster
    void* context = nullptr;
    char *stack_bottom = nullptr, *stack_top = nullptr;
    bool done = false, parked = false;
    const char* waits_for = nullptr;
    Site site;  // of the primitive it last waited in
    void* tsan = nullptr;
    std::vector<PendingCopy> copies;
    std::vector<size_t> copy_groups;  // how many copies each committed group has
    std::unique_ptr<StoreGroups> stores;
    unsigned wgmma_issued = 0, wgmma_committed = 0;  // operations and groups, in all
    bool wgmma_fenced = false, cluster_arrived = false;
    unsigned cluster_phase = 0;
    unsigned barriers_reached = 0;
};

// Lanes of a warp that meet in a collective. Values are kept in two sets by turns: a lane reads
// the last meeting's while others are in the next, and none is two ahead.
struct WarpMeeting {
    Lanes mask = 0, arrived = 0;
    unsigned phase = 0;
    const char* op = nullptr;
    Site site;
    uint64_t values[2][lanes_of_warp];
    unsigned votes[2] = {};
    char sync[2];
};
struct Warp {
    Lanes lanes = 0;  // that exist
    WarpMeeting whole;
    std::vector<std::unique_ptr<WarpMeeting>> parts;  // one a mask that was ever used
};

struct NamedBarrier {
    int needed = 0, arrived = 0;
    unsigned phase = 0;
    Site site;
    FiberSet waiting;
    char sync[2];
};

struct MBarrier {
    const Fiber* maker = nullptr;  // and how many barriers it had reached
    unsigned made_after = 0;
    int count = 0, pending = 0;
    int64_t bytes = 0;  // announced and not yet delivered
    unsigned phase = 0;
    bool fenced = false;
    FiberSet waiting;
    char sync;
};

struct WgmmaAccumulator {
    int n = 0;
    std::array<float*, threads_of_warpgroup> registers{};  // of each thread that has issued
    std::vector<float> value;                              // (64, n)
    int in_flight = 0;                                     // operations
};
struct WgmmaOperation {
    WgmmaShape shape;
    uint64_t a, b;
    Site site;
    WgmmaAccumulator* accumulator;
    std::vector<uint32_t> a_registers;  // four a thread
    int issued = 0;                     // by how many threads
};
// Threads issue operations without waiting for one another; each counts its own. Only the wait is
// a meeting, at which all must have issued the same.
struct Warpgroup {
    unsigned first_operation = 0, first_group = 0;  // numbers of the first in the lists
    std::deque<WgmmaOperation> operations;
    std::deque<unsigned> groups;  // for each committed one, the number of operations up to its end
    std::vector<std::unique_ptr<WgmmaAccumulator>> accumulators;
    NamedBarrier meeting;
    bool used = false;
};

struct Block {
    char *shared, *proxy;  // proxy: shared memory as TMA and wgmma see it
    size_t bytes;
    uint3 index;  // in the grid
    unsigned rank, live;
    bool proxy_used = false;
    std::vector<Warp> warps;
    std::array<NamedBarrier, named_barriers> barriers;
    std::unordered_map<uint32_t, MBarrier> mbarriers;
    std::deque<Warpgroup> warpgroups;
};

// A host thread's: the blocks of one cluster at a time, and the memory they run in.
struct Runner;
extern __thread Runner* runner __attribute__((tls_model("initial-exec")));

}  // namespace plainformer::emulation
