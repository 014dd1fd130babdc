#include "runtime/pages.h"

#include <cstdlib>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#elif defined(_WIN32)
#include <malloc.h>
#endif

namespace plainformer {

#if defined(__linux__)

namespace {

// Maps `bytes` at a multiple of huge_page: maps that much more and unmaps both ends.
void* map_aligned(size_t bytes) {
    const size_t padded = bytes + huge_page;
    if (padded < bytes) return nullptr;
    void* memory =
        mmap(nullptr, padded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    char* const begin = static_cast<char*>(memory);
    const size_t before = -reinterpret_cast<size_t>(begin) & (huge_page - 1);
    const size_t after = huge_page - before;
    if (before > 0) munmap(begin, before);
    if (after > 0) munmap(begin + before + bytes, after);
    return begin + before;
}

// ARM's systems have pages of 4, 16 or 64 KB: unmapping an end that starts inside a page fails.
size_t whole_pages(size_t bytes) {
    static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

}  // namespace

void* system_allocate(size_t bytes) {
    if (bytes < huge_page) return std::aligned_alloc(64, bytes);
    void* memory = map_aligned(whole_pages(bytes));
    if (memory != nullptr) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: may be refused
    return memory;
}

void system_release(void* memory, size_t bytes) {
    if (bytes < huge_page) {
        std::free(memory);
    } else {
        munmap(memory, whole_pages(bytes));
    }
}

#elif defined(_WIN32)

// Huge pages need a privilege there that users lack.
void* system_allocate(size_t bytes) { return _aligned_malloc(bytes, 64); }
void system_release(void* memory, size_t) { _aligned_free(memory); }

#else

void* system_allocate(size_t bytes) { return std::aligned_alloc(64, bytes); }
void system_release(void* memory, size_t) { std::free(memory); }

#endif

}  // namespace plainformer
