// Memory for outputs and workspaces: 64-byte aligned blocks that are kept for reuse, because
// fresh pages cost more than most kernels (a 50 MB output: page faults take 80 % of a softmax).
// Kernel units include this file at every ISA level: no standard header with out-of-line code.
#pragma once

#include <cstddef>
#include <cstdint>

namespace plainformer {

// A block of at least `bytes` bytes, not initialized (all bytes 0xFF, NaN in every type, under
// PLAINFORMER_POISON=1). Throws std::bad_alloc whose what() names the size.
void* allocate(size_t bytes);

// Takes back a block of `allocate`; nullptr is allowed. Any thread may release any block.
void release(void* block);

// Counters of this process. A block counts with its size class, up to 1/8 more than was asked.
struct MemoryStats {
    int64_t live_bytes;    // in use now
    int64_t peak_bytes;    // most in use at once, since the start or reset_peak()
    int64_t cached_bytes;  // kept for reuse
    int64_t limit_bytes;   // most that may be cached
    int64_t hits;          // allocations served from the cache
    int64_t misses;        // allocations served by the system
};
MemoryStats memory_stats();

// Starts a new peak_bytes from what is in use now.
void reset_peak();

// Gives all cached blocks back to the system; returns how many bytes.
int64_t trim_memory();

// A workspace of `count` values for the lifetime of the object; none where count is 0.
template <typename T>
struct Scratch {
    __attribute__((always_inline)) explicit Scratch(int64_t count)
        : data(count == 0 ? nullptr : static_cast<T*>(allocate(bytes_of(count)))) {}
    __attribute__((always_inline)) ~Scratch() { release(data); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    T* data;

  private:
    // More than there can be where the product is too large to count.
    static __attribute__((always_inline)) size_t bytes_of(int64_t count) {
        size_t bytes = 0;
        return __builtin_mul_overflow(count, sizeof(T), &bytes) ? ~size_t{0} : bytes;
    }
};

}  // namespace plainformer
