// What a machine can do at most: the ceilings that kernels are measured against.
#pragma once
#include "plainformer/types.h"

namespace plainformer {

// Multiply-adds on registers, on all threads; no memory is read. float32 and float64 count two
// operations a lane; bfloat16 uses the level's dot instruction if there is one, or else float32.
template <typename T>
struct PeakArgs {
    int64_t chunks;      // pieces of equal work, handed out to the threads
    int64_t rounds;      // multiply-adds of every accumulator in a piece
    bool int8;           // count 8-bit integer dot products instead; T does not matter then
    float* results;      // (chunks), so that nothing is optimized away
    double* operations;  // how many were done; 0 where the level has no such instruction
};

// Memory, on all threads. Bytes have no type: T only finds the dispatch table.
enum class MemoryPass : int { read, copy, stream };

//   read: results = sums of x      copy: y = x      stream: y = x, past the caches
template <typename T>
struct MemoryPassArgs {
    MemoryPass pass;
    float* y;        // (N), aligned to 64 bytes; not touched by read
    const float* x;  // (N)
    float* results;  // (N / memory_pass_block), of read
    int64_t N;       // a multiple of memory_pass_block
};
constexpr int64_t memory_pass_block = 1 << 16;  // 256 KiB: a quarter of a usual L2

}  // namespace plainformer
