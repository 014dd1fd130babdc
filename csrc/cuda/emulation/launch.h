// The memory that blocks run in, and faults in it.
#pragma once
#include "scheduler.h"

namespace plainformer::emulation {

constexpr size_t page_bytes = 4096;
constexpr size_t stack_bytes = 128 << 10;
constexpr size_t arena_bytes = 256 << 10;  // for the shared memory of one block
constexpr size_t arena_stride = 2 * (arena_bytes + page_bytes);  // two images, each with a guard

// Stacks, and shared memory for `blocks` blocks of this many bytes, poisoned.
void prepare_memory(Runner& r, size_t blocks, size_t fibers, size_t shared_bytes);
// Checks what must be whole at a block's end.
void check_block_end(Block& block);

// A plain access beyond shared memory or a stack becomes an Error of the launch.
void catch_faults();

void fiber_main();

}  // namespace plainformer::emulation
