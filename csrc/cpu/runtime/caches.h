// What kernels ask of the machine's caches.
#pragma once
#include <cstdint>

namespace plainformer {

// Whether what a kernel reads and writes, so many bytes in all, leaves no room for it in the last
// cache. Its outputs would push everything else out, and be gone before anyone reads them: they are
// written past the caches. No byte of a result may depend on it.
bool outgrows_caches(int64_t bytes);

// For tests: the size of the last cache from now on; 0 is the machine's own.
void set_last_cache(int64_t bytes);

}  // namespace plainformer
