// Files read, for a group at PATH (cgroups(7); kernel docs, cgroup-v1 and cgroup-v2):
//   version 2: <mount>/PATH/cpu.max "QUOTA|max PERIOD", <mount>/PATH/memory.max "BYTES|max"
//   version 1: <mount>/cpu/PATH/cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us,
//              <mount>/memory/PATH/memory.limit_in_bytes (near 2^63: none)
// Inside a container the path may name groups that only the host sees; its own limit is then at
// the root of the mount, so missing files are passed over on the way up.
#include "runtime/cgroup.h"

#include <fstream>
#include <functional>
#include <sstream>
#include <vector>

#include "plainformer/arith.h"

namespace plainformer {
namespace {

// One line of /proc/self/cgroup, "id:controllers:path"; version 2 has no controllers.
struct Membership {
    std::string controllers, path;
};

std::vector<Membership> memberships(const std::string& root) {
    std::vector<Membership> found;
    std::ifstream file(root + "/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        found.push_back({line.substr(first + 1, second - first - 1), line.substr(second + 1)});
    }
    return found;
}

bool lists(const std::string& controllers, const std::string& name) {
    return ("," + controllers + ",").find("," + name + ",") != std::string::npos;
}

// Smaller of two limits of which 0 means none.
int64_t tighter(int64_t a, int64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

// A positive number from the start of a file; 0 for "max", -1, or a file that is not there.
int64_t read_positive(const std::string& file_name) {
    std::ifstream file(file_name);
    int64_t value = 0;
    return file >> value && value > 0 ? value : 0;
}

int64_t cpu_limit_v2(const std::string& group) {
    std::ifstream file(group + "/cpu.max");
    int64_t quota = 0, period = 0;
    return file >> quota >> period && quota > 0 && period > 0 ? ceil_div(quota, period) : 0;
}

int64_t cpu_limit_v1(const std::string& group) {
    const int64_t quota = read_positive(group + "/cpu.cfs_quota_us");
    const int64_t period = read_positive(group + "/cpu.cfs_period_us");
    return quota > 0 && period > 0 ? ceil_div(quota, period) : 0;
}

constexpr int64_t no_memory_limit = int64_t{1} << 60;  // version 1 writes 2^63 less a page

int64_t memory_limit(const std::string& file_name) {
    const int64_t bytes = read_positive(file_name);
    return bytes < no_memory_limit ? bytes : 0;
}

using GroupLimit = std::function<int64_t(const std::string& group)>;

// Tightest limit of `path` and all groups above it, under `mount`.
int64_t tightest(const std::string& mount, std::string path, const GroupLimit& limit_of) {
    int64_t limit = limit_of(mount);
    while (path.size() > 1) {
        limit = tighter(limit, limit_of(mount + path));
        path.erase(path.rfind('/'));
    }
    return limit;
}

int64_t limit_of_process(const std::string& root, const std::string& controller,
                         const GroupLimit& version1, const GroupLimit& version2) {
    const std::string mount = root + "/sys/fs/cgroup";
    int64_t limit = 0;
    for (const Membership& group : memberships(root)) {
        if (group.controllers.empty()) {
            limit = tighter(limit, tightest(mount, group.path, version2));
            limit = tighter(limit, tightest(mount + "/unified", group.path, version2));
        } else if (lists(group.controllers, controller)) {
            limit = tighter(limit, tightest(mount + "/" + controller, group.path, version1));
            limit = tighter(limit, tightest(mount + "/" + group.controllers, group.path, version1));
        }
    }
    return limit;
}

}  // namespace

int64_t cgroup_cpu_limit(const std::string& root) {
    return limit_of_process(root, "cpu", cpu_limit_v1, cpu_limit_v2);
}

int64_t cgroup_memory_limit(const std::string& root) {
    const auto version1 = [](const std::string& group) {
        return memory_limit(group + "/memory.limit_in_bytes");
    };
    const auto version2 = [](const std::string& group) {
        return memory_limit(group + "/memory.max");
    };
    return limit_of_process(root, "memory", version1, version2);
}

}  // namespace plainformer
