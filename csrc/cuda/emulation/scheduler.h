// Which fiber runs next, and what runs when none can.
#pragma once
#include <string>
#include <utility>

#include "state.h"

namespace plainformer::emulation {

enum class Order { fifo, lifo, seeded };

// Warps that have a lane ready to run. Lanes of a warp follow one another without a queue of their
// own; the order is one of warps.
class ReadyWarps {
  public:
    void start(Order order, uint64_t seed, size_t warps);
    void add(int warp, Lanes lanes);
    bool empty() const { return count_ == 0; }
    // Takes a ready lane out: its warp and lane.
    std::pair<int, int> take();
    unsigned random();

  private:
    int next_warp();
    int most_urgent();
    void entered(int warp);
    void left(int warp);

    Order order_ = Order::fifo;
    uint64_t state_ = 1;
    std::vector<Lanes> lanes_;
    std::vector<int> queue_;  // a ring (fifo) or a stack (lifo) of warps with ready lanes
    size_t head_ = 0, count_ = 0;
    std::vector<unsigned> priority_;
    int urgent_ = -1;  // the ready warp of the highest priority, where known
};

// What was asked for and lands later: TMA loads.
struct AsyncCopy {
    TensorMap map;
    Coordinates from;
    Block* block;
    uint32_t dst;
    MBarrier* bar;
};

struct RemoteUse {  // of another block's shared memory, since the last cluster barrier
    bool any = false;
    Site site;
};

struct Runner {
    Runner() = default;
    ~Runner();  // memory.cpp
    Runner(const Runner&) = delete;

    const Launch* launch = nullptr;
    const std::function<void()>* body = nullptr;
    uint8_t poison = 0xff;
    int capability = 90;
    Order order = Order::fifo;

    std::unique_ptr<Fiber[]> fibers;  // (blocks of the cluster, warps, lanes)
    size_t fiber_count = 0;
    int warps_per_block = 0;
    std::deque<Block> blocks;
    char *stacks = nullptr, *arena = nullptr;
    size_t stack_count = 0, arena_blocks = 0, arena_shared_bytes = 0;

    Fiber* current = nullptr;
    void* main_context = nullptr;
    void* main_tsan = nullptr;
    const void* main_stack_bottom = nullptr;
    size_t main_stack_bytes = 0;
    char start_sync, end_sync;  // what orders threads with the launch, not with one another

    ReadyWarps ready;
    std::vector<AsyncCopy> async;
    unsigned async_odds = 0;  // one in so many switches lands a copy early; 0: as late as possible
    NamedBarrier cluster;
    RemoteUse remote;
    int alive = 0;
    std::string error;

    uint64_t blocks_run = 0, switches = 0, matrix_phases = 0, matrix_replays = 0;

    Fiber& fiber(int warp, int lane) { return fibers[warp * lanes_of_warp + lane]; }
};

inline Fiber& current_fiber() { return *runner->current; }
inline Block& current_block() { return *runner->current->block; }
inline Warp& current_warp() {
    return runner->current->block->warps[static_cast<size_t>(runner->current->indices.warp)];
}

inline void make_ready(int warp, Lanes lanes) { runner->ready.add(warp, lanes); }
void make_ready(FiberSet& waiting);

// The current fiber waits until another makes it ready.
void wait_here(const char* for_what, Site site);
// Gives up the processor: the current fiber waits somewhere, or is done.
void run_next();
void switch_to(Fiber* fiber);  // nullptr: back to the launch
void stop(const std::string& error);

std::string where(const Site& site);
void land_one_copy();  // tma.cpp

}  // namespace plainformer::emulation
