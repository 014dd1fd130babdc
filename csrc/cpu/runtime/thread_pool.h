#pragma once
#include <cstdint>

namespace plainformer {

template <typename F>
void parallel_for(int64_t n, int64_t, const F& f) {
    for (int64_t i = 0; i < n; ++i) f(i);
}

}  // namespace plainformer
