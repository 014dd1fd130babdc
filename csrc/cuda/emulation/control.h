// How launches run in the emulation, for tests. Each setting starts from an environment variable.
#pragma once
#include <cstdint>
#include <string>

namespace plainformer::emulation {

// EMU_ORDER: "fifo", "lifo", or a seed ("0", "1", ..). A seed gives warps random priorities,
// starves one of them, and lets asynchronous copies land at random times.
void set_order(const std::string& order);
std::string order();

// EMU_POISON: the byte shared memory starts as. 0xff is NaN, 0x7e huge but finite (fmaxf swallows
// a NaN).
void set_poison(int byte);
int poison();

// EMU_THREADS: host threads that run blocks, 1 at first. More than one makes the order in which
// blocks reach global memory vary from run to run.
void set_threads(int count);
int threads();

// EMU_CAPABILITY: 90 at first. Primitives and shared memory that a chip lacks are errors.
void set_capability(int capability);
int capability();

struct Stats {
    uint64_t launches, blocks;
    uint64_t switches;        // of fibers
    uint64_t matrix_phases;   // of ldmatrix and stmatrix: eight rows of 16 bytes
    uint64_t matrix_replays;  // phases that bank conflicts add
};
Stats stats();  // since reset_stats
void reset_stats();

}  // namespace plainformer::emulation
