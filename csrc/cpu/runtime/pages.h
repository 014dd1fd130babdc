// Memory from the system, for the allocator.
#pragma once

#include <cstddef>

namespace plainformer {

// `bytes` bytes (a multiple of 64) aligned to 64, or nullptr. From `huge_page` bytes on the
// block starts at a huge page and asks for huge pages: one page fault for 512.
constexpr size_t huge_page = size_t{2} << 20;
void* system_allocate(size_t bytes);

// Gives back what system_allocate(bytes) returned.
void system_release(void* memory, size_t bytes);

}  // namespace plainformer
