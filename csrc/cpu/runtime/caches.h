// What kernels ask of the machine's caches.
#pragma once
#include <cstdint>

namespace plainformer {

// Whether an output of so many bytes fills more than half of the last cache. It would push
// everything else out, and is gone from it before anyone reads it: it is written past the caches.
bool outgrows_caches(int64_t bytes);

}  // namespace plainformer
