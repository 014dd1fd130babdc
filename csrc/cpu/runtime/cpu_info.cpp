#include "runtime/cpu_info.h"

namespace plainformer {

Level best_level() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bf16")) return Level::avx512bf16;
    if (__builtin_cpu_supports("avx512bw")) return Level::avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Level::avx2;
#endif
    return Level::generic;
}
Level initial_level() { return best_level(); }

}  // namespace plainformer
