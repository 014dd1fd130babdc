// What this machine offers: instruction sets, caches, and the processors we may use.
// Units compiled once only (standard headers); kernels learn what they need from their arguments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace plainformer {

// ---- instruction sets -----------------------------------------------------------------------

// The ISA levels of an architecture, each including the ones before it. Their flags stand in
// cmake/levels.cmake, what they need of a processor in cpu_features.cpp. The last one is AMX's
// kernels on plain instructions, for tests: every machine has it, and for none is it the best.
#if defined(__x86_64__)
#define PF_LEVELS(X) X(generic) X(avx2) X(avx512) X(avx512bf16) X(amx) X(amx_emulated)
#elif defined(__aarch64__)
#define PF_LEVELS(X) X(generic) X(neon) X(neon_bf16) X(amx_emulated)
#else
#define PF_LEVELS(X) X(generic) X(amx_emulated)
#endif

#define PF_ENUMERATOR(level) level,
enum class Level : int { PF_LEVELS(PF_ENUMERATOR) };
#undef PF_ENUMERATOR
#define PF_ONE(level) +1
constexpr int level_count = PF_LEVELS(PF_ONE);
#undef PF_ONE

const char* level_name(Level level);

// Level of that name; ConfigError listing the names for an unknown one.
Level level_from_name(const std::string& name);

// Whether this processor, and the operating system (which saves the registers), support a level.
bool cpu_supports(Level level);

// The best level this machine supports.
Level best_level();

// The level that the environment variable PLAINFORMER_CPU_ISA asks for, nothing if it is unset;
// ConfigError for an unknown name or a level this processor lacks.
std::optional<Level> forced_level();

// Names, as Linux writes them, of the instruction sets present among those the levels ask for.
std::vector<std::string> cpu_features();

// The processor's own name, e.g. "AMD EPYC 9B14", or the machine's, e.g. "Raspberry Pi 5 Model B";
// "unknown" where it has none.
std::string cpu_name();

// ---- caches, memory and processors ----------------------------------------------------------

// Bytes of one core's data cache at `level` 1, 2 or 3 (3: the part shared by its cores); 0 if
// the system does not say.
int64_t cache_bytes(int level);

// Bytes of memory of the machine; 0 if the system does not say.
int64_t physical_memory();

// Bytes of memory this process may use: the smaller of the machine's and the control group's.
int64_t memory_bytes();

// Processors in the affinity mask of the process.
int64_t affinity_count();

// Processors we can count on: the smaller of affinity_count() and the CPU quota. Read once.
int64_t available_processors();

// A default number of threads, and in words what set it.
struct DefaultThreads {
    int64_t count;
    std::string reason;
};

// min(available_processors(), PLAINFORMER_NUM_THREADS or else OMP_NUM_THREADS). Read at each
// call. Throws ConfigError if PLAINFORMER_NUM_THREADS is no whole number >= 1.
DefaultThreads default_threads();

}  // namespace plainformer
