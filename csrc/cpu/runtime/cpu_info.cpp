#include "runtime/cpu_info.h"

#include <algorithm>
#include <atomic>

#include "runtime/caches.h"
#include "runtime/cgroup.h"
#include "runtime/core_caches.h"
#include "runtime/environment.h"
#include "runtime/errors.h"

namespace plainformer {
namespace {

#define PF_NAME(level) #level,
constexpr const char* level_names[] = {PF_LEVELS(PF_NAME)};
#undef PF_NAME

}  // namespace

const char* level_name(Level level) { return level_names[static_cast<int>(level)]; }

Level level_from_name(const std::string& name) {
    std::string known;
    for (int i = 0; i < level_count; ++i) {
        if (name == level_names[i]) return static_cast<Level>(i);
        known += (i == 0 ? "" : ", ") + std::string(level_names[i]);
    }
    throw ConfigError("ISA level: got \"" + name + "\", expected one of " + known);
}

Level best_level() {
    static const Level best = [] {
        int level = static_cast<int>(Level::amx_emulated) - 1;
        while (!cpu_supports(static_cast<Level>(level))) --level;  // generic needs nothing
        return static_cast<Level>(level);
    }();
    return best;
}

std::optional<Level> forced_level() {
    const std::optional<std::string> name = environment_text("PLAINFORMER_CPU_ISA");
    if (!name) return std::nullopt;
    try {
        const Level level = level_from_name(*name);
        if (cpu_supports(level)) return level;
    } catch (const ConfigError& unknown) {
        throw ConfigError(std::string("PLAINFORMER_CPU_ISA: ") + unknown.what());
    }
    throw ConfigError("PLAINFORMER_CPU_ISA: got \"" + *name + "\", but this processor goes up to " +
                      level_name(best_level()) + "; choose that or a lower level, or unset it");
}

int64_t memory_bytes() {
    const int64_t limit = cgroup_memory_limit();
    return limit == 0 ? physical_memory() : std::min(limit, physical_memory());
}

int64_t available_processors() {
    static const int64_t count = [] {
        const int64_t quota = cgroup_cpu_limit();
        return quota == 0 ? affinity_count() : std::min(quota, affinity_count());
    }();
    return count;
}

DefaultThreads default_threads() {
    DefaultThreads threads{affinity_count(), "processors this process may run on"};
    const auto cap = [&](int64_t count, const char* reason) {
        if (count < threads.count) threads = {count, reason};
    };
    const int64_t quota = cgroup_cpu_limit();
    if (quota != 0) cap(quota, "CPU quota of the control group");
    if (const auto ours = environment_count("PLAINFORMER_NUM_THREADS")) {
        cap(*ours, "PLAINFORMER_NUM_THREADS");
    } else if (const auto openmp = openmp_num_threads()) {
        cap(*openmp, "OMP_NUM_THREADS");
    }
    return threads;
}

namespace {

// Sizes that kernels go by; 0: not yet known.
std::atomic<int64_t> l1_cache{0}, l2_cache{0}, last_cache{0};

int64_t own_last_cache() {
    constexpr int64_t usual = int64_t{32} << 20;
    for (int level = 3; level > 1; --level)
        if (cache_bytes(level) > 0) return cache_bytes(level);
    return usual;
}

int64_t own_core_cache(int level) {
    if (cache_bytes(level) > 0) return cache_bytes(level);
    return level == 1 ? int64_t{32} << 10 : int64_t{256} << 10;
}

template <typename Own>
int64_t known(std::atomic<int64_t>& size, const Own& own) {
    int64_t bytes = size.load(std::memory_order_relaxed);
    if (bytes == 0) size.store(bytes = own(), std::memory_order_relaxed);
    return bytes;
}

}  // namespace

bool outgrows_caches(int64_t bytes) { return bytes >= known(last_cache, own_last_cache); }

void set_last_cache(int64_t bytes) { last_cache.store(bytes, std::memory_order_relaxed); }

CoreCaches core_caches() {
    return {known(l1_cache, [] { return own_core_cache(1); }),
            known(l2_cache, [] { return own_core_cache(2); }), known(last_cache, own_last_cache)};
}

void set_core_caches(int64_t l1, int64_t l2) {
    l1_cache.store(l1, std::memory_order_relaxed);
    l2_cache.store(l2, std::memory_order_relaxed);
}

}  // namespace plainformer
