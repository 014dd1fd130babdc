#include "runtime/cpu_info.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "runtime/caches.h"
#include "runtime/cgroup.h"
#include "runtime/environment.h"
#include "runtime/errors.h"

namespace plainformer {
namespace {

constexpr const char* level_names[level_count] = {"generic", "avx2", "avx512", "avx512bf16"};

#if defined(__x86_64__)

enum Register { eax, ebx, ecx, edx };

// Registers of a cpuid leaf; all 0 for a leaf the processor lacks.
struct Leaf {
    unsigned value[4] = {0, 0, 0, 0};
    Leaf(unsigned leaf, unsigned subleaf) {
        __get_cpuid_count(leaf, subleaf, &value[eax], &value[ebx], &value[ecx], &value[edx]);
    }
};

// Register state the operating system saves (XCR0): bits 1-2 ymm, 5-7 zmm and mask registers.
unsigned saved_state() {
    constexpr unsigned osxsave = 1u << 27;
    if (!(Leaf(1, 0).value[ecx] & osxsave)) return 0;
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

// One bit of cpuid, and the first level that needs it.
struct Feature {
    const char* name;
    Level level;
    unsigned leaf, subleaf;
    Register reg;
    int bit;
};

constexpr Feature features[] = {
    {"fma", Level::avx2, 1, 0, ecx, 12},
    {"avx", Level::avx2, 1, 0, ecx, 28},
    {"bmi1", Level::avx2, 7, 0, ebx, 3},
    {"avx2", Level::avx2, 7, 0, ebx, 5},
    {"bmi2", Level::avx2, 7, 0, ebx, 8},
    {"avx512f", Level::avx512, 7, 0, ebx, 16},
    {"avx512dq", Level::avx512, 7, 0, ebx, 17},
    {"avx512bw", Level::avx512, 7, 0, ebx, 30},
    {"avx512vl", Level::avx512, 7, 0, ebx, 31},
    {"avx512_vnni", Level::avx512bf16, 7, 0, ecx, 11},
    {"avx512_bf16", Level::avx512bf16, 7, 1, eax, 5},
};

bool has(const Feature& feature) {
    constexpr unsigned ymm_state = 0x06, zmm_state = 0xe6;
    const unsigned needed = feature.level == Level::avx2 ? ymm_state : zmm_state;
    const unsigned bits = Leaf(feature.leaf, feature.subleaf).value[feature.reg];
    return (bits >> feature.bit & 1) != 0 && (saved_state() & needed) == needed;
}

#endif

int64_t physical_memory() {
    return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
}

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

bool cpu_supports([[maybe_unused]] Level level) {
#if defined(__x86_64__)
    return std::all_of(std::begin(features), std::end(features),
                       [=](const Feature& f) { return f.level > level || has(f); });
#else
    return level == Level::generic;
#endif
}

Level best_level() {
    static const Level best = [] {
        int level = level_count - 1;
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

std::vector<std::string> cpu_features() {
    std::vector<std::string> names;
#if defined(__x86_64__)
    for (const Feature& feature : features) {
        if (has(feature)) names.emplace_back(feature.name);
    }
#endif
    return names;
}

std::string cpu_name() {
#if defined(__x86_64__)
    constexpr unsigned first_leaf = 0x80000002;  // three leaves of 16 characters
    char text[49] = {};
    for (unsigned i = 0; i < 3; ++i) std::memcpy(text + 16 * i, Leaf(first_leaf + i, 0).value, 16);
    const std::string name(text);
    const size_t end = name.find_last_not_of(' ');
    if (end != std::string::npos) return name.substr(name.find_first_not_of(' '), end + 1);
#endif
    return "unknown";
}

int64_t cache_bytes(int level) {
    // Not sysconf: for a virtual processor it adds up the third-level caches of the whole host.
    for (int i = 0; i < 8; ++i) {
        const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i);
        std::ifstream level_file(folder + "/level"), type_file(folder + "/type"),
            size_file(folder + "/size");
        int found = 0;
        std::string type;
        int64_t kibibytes = 0;
        if (!(level_file >> found && type_file >> type && size_file >> kibibytes)) break;
        if (found == level && type != "Instruction") return kibibytes * 1024;  // written as "32K"
    }
    return 0;
}

int64_t memory_bytes() {
    const int64_t limit = cgroup_memory_limit();
    return limit == 0 ? physical_memory() : std::min(limit, physical_memory());
}

int64_t affinity_count() {
#if defined(__linux__)
    // Masks grow until the kernel's fits; getpid(): the process, not a thread that was pinned.
    for (int processors = 1024; processors <= 1 << 20; processors *= 4) {
        const size_t bytes = CPU_ALLOC_SIZE(processors);
        cpu_set_t* mask = CPU_ALLOC(processors);
        const bool read = mask != nullptr && sched_getaffinity(getpid(), bytes, mask) == 0;
        const int count = read ? CPU_COUNT_S(bytes, mask) : 0;
        CPU_FREE(mask);
        if (count > 0) return count;
    }
#endif
    return std::max(1u, std::thread::hardware_concurrency());
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

std::atomic<int64_t> last_cache{0};  // 0: not yet known

int64_t own_last_cache() {
    constexpr int64_t usual = int64_t{32} << 20;
    for (int level = 3; level > 1; --level)
        if (cache_bytes(level) > 0) return cache_bytes(level);
    return usual;
}

}  // namespace

bool outgrows_caches(int64_t bytes) {
    int64_t last = last_cache.load(std::memory_order_relaxed);
    if (last == 0) last_cache.store(last = own_last_cache(), std::memory_order_relaxed);
    return bytes >= last;
}

void set_last_cache(int64_t bytes) { last_cache.store(bytes, std::memory_order_relaxed); }

}  // namespace plainformer
