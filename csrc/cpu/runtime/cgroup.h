// Limits that control groups (containers, services, batch systems) put on this process.
#pragma once

#include <cstdint>
#include <string>

namespace plainformer {

// Processors that the CPU quota allows, rounded up, or 0 without a quota. Reads versions 1 and 2,
// every level from this process's group to the root, and takes the smallest. `root` stands before
// "/proc/self/cgroup" and "/sys/fs/cgroup", for tests.
int64_t cgroup_cpu_limit(const std::string& root = "");

// Bytes of memory allowed, or 0 without a limit; read in the same way.
int64_t cgroup_memory_limit(const std::string& root = "");

}  // namespace plainformer
