// Caches, memory and processors, as each operating system tells of them.
#include <algorithm>
#include <cstddef>
#include <thread>

#include "runtime/cpu_info.h"

#if defined(_WIN32)
#define NOMINMAX
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#else
#include <sched.h>
#include <unistd.h>

#include <fstream>
#endif

namespace plainformer {

#if defined(_WIN32)

int64_t cache_bytes(int level) {
    SYSTEM_LOGICAL_PROCESSOR_INFORMATION parts[1024];  // one for each core, cache, node, package
    DWORD bytes = sizeof parts;
    if (!GetLogicalProcessorInformation(parts, &bytes)) return 0;
    for (size_t i = 0; i < bytes / sizeof parts[0]; ++i) {
        if (parts[i].Relationship == RelationCache && parts[i].Cache.Level == level &&
            parts[i].Cache.Type != CacheInstruction)
            return parts[i].Cache.Size;
    }
    return 0;
}

int64_t physical_memory() {
    MEMORYSTATUSEX status = {};
    status.dwLength = sizeof status;
    return GlobalMemoryStatusEx(&status) ? static_cast<int64_t>(status.ullTotalPhys) : 0;
}

int64_t affinity_count() {
    DWORD_PTR ours = 0, all = 0;
    int64_t count = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &ours, &all))
        for (; ours != 0; ours &= ours - 1) ++count;
    return count > 0 ? count : std::max(1u, std::thread::hardware_concurrency());
}

#elif defined(__APPLE__)

namespace {

// A number of sysctl; 0 if it has none of that name.
int64_t system_number(const char* name) {
    int64_t value = 0;  // whoever writes 32 bits writes the lower half
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}

}  // namespace

int64_t cache_bytes(int level) {
    // Of the fast cores first; Intel's machines have but one kind. L2 is shared by a cluster of
    // Apple's cores, and stands before no L3 that the system would tell of.
    const char* const of_fast_cores[] = {"hw.perflevel0.l1dcachesize", "hw.perflevel0.l2cachesize",
                                         "hw.perflevel0.l3cachesize"};
    const char* const of_all[] = {"hw.l1dcachesize", "hw.l2cachesize", "hw.l3cachesize"};
    if (level < 1 || level > 3) return 0;
    const int64_t bytes = system_number(of_fast_cores[level - 1]);
    return bytes > 0 ? bytes : system_number(of_all[level - 1]);
}

int64_t physical_memory() { return system_number("hw.memsize"); }

// There are no masks. Slow cores count too: whoever is fast takes more chunks.
int64_t affinity_count() { return std::max(1u, std::thread::hardware_concurrency()); }

#else

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

int64_t physical_memory() {
    return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
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

#endif

}  // namespace plainformer
