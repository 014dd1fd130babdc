// Sleeping until a 32-bit word changes: a futex on Linux, a condition variable elsewhere.
#pragma once

#include <atomic>
#include <cstdint>

namespace plainformer {

// Sleeps while `word` holds `value`; may also return for no reason, so call it in a loop.
void park_while(std::atomic<uint32_t>& word, uint32_t value);

// Wakes up to `count` threads that sleep on `word`. Change the word first. The word may already
// have been reused by somebody else: then they see a wake-up for no reason.
void unpark(std::atomic<uint32_t>& word, int count);

// Makes the functions above usable in the child of a fork.
void reset_parking_after_fork();

}  // namespace plainformer
