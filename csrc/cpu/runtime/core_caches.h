// The caches of one core, as the blocks of matrix products are cut to them. In a header of its own:
// few kernels ask.
#pragma once
#include <cstdint>

namespace plainformer {

// Bytes of the data caches that one core has and of the last, which it shares.
struct CoreCaches {
    int64_t l1, l2, last;
};

// The machine's; where the system does not say, the least that processors of today have.
CoreCaches core_caches();

// For tests: other sizes from now on; 0 is the machine's own. set_last_cache of caches.h is for the
// last.
void set_core_caches(int64_t l1, int64_t l2);

}  // namespace plainformer
