#include "runtime/allocator.h"

#include <cstdlib>
#include <new>

namespace plainformer {

void* allocate(size_t bytes) {
    void* p = std::aligned_alloc(64, (bytes + 64) / 64 * 64);
    if (!p) throw std::bad_alloc();
    return p;
}
void release(void* block) { std::free(block); }

}  // namespace plainformer
