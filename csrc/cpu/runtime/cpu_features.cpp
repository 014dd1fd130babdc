// Instruction sets of the processor, an architecture at a time, and the processor's name.
#include <algorithm>
#include <cstring>
#include <iterator>

#include "runtime/cpu_info.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

#include <fstream>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace plainformer {
namespace {

#if defined(__x86_64__)

enum Register { eax, ebx, ecx, edx };

// Registers of a cpuid leaf; all 0 for a leaf the processor lacks.
struct Leaf {
    unsigned value[4] = {0, 0, 0, 0};
    Leaf(unsigned leaf, unsigned subleaf) {
        __get_cpuid_count(leaf, subleaf, &value[eax], &value[ebx], &value[ecx], &value[edx]);
    }
};

// Register state the operating system saves (XCR0): bits 1-2 ymm, 5-7 zmm and mask registers,
// 17-18 tiles.
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
    {"amx_bf16", Level::amx, 7, 0, edx, 22},
    {"amx_tile", Level::amx, 7, 0, edx, 24},
    {"amx_int8", Level::amx, 7, 0, edx, 25},
};

unsigned state_of(Level level) {
    constexpr unsigned ymm_state = 0x06, zmm_state = 0xe6, tile_state = 0x60000;
    if (level == Level::avx2) return ymm_state;
    return level == Level::amx ? zmm_state | tile_state : zmm_state;
}

bool has(const Feature& feature) {
    const unsigned needed = state_of(feature.level);
    const unsigned bits = Leaf(feature.leaf, feature.subleaf).value[feature.reg];
    return (bits >> feature.bit & 1) != 0 && (saved_state() & needed) == needed;
}

#elif defined(__aarch64__)

// An instruction set as Linux names it, the first level that needs it, and what tells of it: a bit
// of a word of the auxiliary vector on Linux, a name of sysctl on macOS.
struct Feature {
    const char* name;
    Level level;
    unsigned long word, bit;
    const char* sysctl_name;
};

constexpr unsigned long hwcap = 16, hwcap2 = 26;  // AT_HWCAP and AT_HWCAP2
constexpr Feature features[] = {
    {"asimd", Level::neon, hwcap, 1, "hw.optional.AdvSIMD"},
    {"atomics", Level::neon_bf16, hwcap, 8, "hw.optional.arm.FEAT_LSE"},
    {"asimdrdm", Level::neon_bf16, hwcap, 12, "hw.optional.arm.FEAT_RDM"},
    {"bf16", Level::neon_bf16, hwcap2, 14, "hw.optional.arm.FEAT_BF16"},
};

#if defined(__linux__)
bool has(const Feature& feature) { return (getauxval(feature.word) >> feature.bit & 1) != 0; }
#elif defined(__APPLE__)
bool has(const Feature& feature) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(feature.sysctl_name, &value, &size, nullptr, 0) == 0 && value != 0;
}
#else
bool has(const Feature& feature) { return feature.level == Level::neon; }  // AArch64 has NEON
#endif

#else

struct Feature {
    const char* name;
    Level level;
};
constexpr Feature features[] = {{"", Level::generic}};
bool has(const Feature&) { return false; }

#endif

// What stands before its first and after its last character that is no space.
std::string trimmed(const std::string& text) {
    const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
    return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

#if defined(__x86_64__)

std::string own_name() {
    constexpr unsigned first_leaf = 0x80000002;  // three leaves of 16 characters
    char text[49] = {};
    for (unsigned i = 0; i < 3; ++i) std::memcpy(text + 16 * i, Leaf(first_leaf + i, 0).value, 16);
    return text;
}

#elif defined(__APPLE__)

std::string own_name() {
    char text[128] = {};
    size_t size = sizeof text - 1;
    return sysctlbyname("machdep.cpu.brand_string", text, &size, nullptr, 0) == 0 ? text : "";
}

#elif defined(__linux__)

// ARM's processors carry numbers: what a board or a hypervisor calls the machine says more.
std::string own_name() {
    for (const char* file_name :
         {"/sys/firmware/devicetree/base/model", "/sys/devices/virtual/dmi/id/product_name"}) {
        std::ifstream file(file_name);
        std::string line;
        if (std::getline(file, line, '\0')) return line.substr(0, line.find('\n'));
    }
    return "";
}

#else

std::string own_name() { return ""; }

#endif

#if defined(__x86_64__)
// Linux saves tiles only for processes that ask for it (Documentation/arch/x86/xstate.rst).
bool may_use_tiles() {
#if defined(__linux__)
    constexpr long request_permission = 0x1023, tile_data = 18;
    static const bool granted = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
    return granted;
#else
    return false;
#endif
}
#endif

}  // namespace

bool cpu_supports(Level level) {
    if (level == Level::amx_emulated) return true;
    const bool has_all = std::all_of(
        std::begin(features), std::end(features),
        [=](const Feature& f) { return f.level == Level::generic || f.level > level || has(f); });
#if defined(__x86_64__)
    if (level == Level::amx) return has_all && may_use_tiles();
#endif
    return has_all;
}

std::vector<std::string> cpu_features() {
    std::vector<std::string> names;
    for (const Feature& feature : features) {
        if (has(feature)) names.emplace_back(feature.name);
    }
    return names;
}

std::string cpu_name() {
    const std::string name = trimmed(own_name());
    return name.empty() ? "unknown" : name;
}

}  // namespace plainformer
