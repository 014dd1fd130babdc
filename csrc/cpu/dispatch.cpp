// Chooses the operation tables. The level is one atomic, so that tests and the bench may switch it
// while other threads compute.
#include "dispatch.h"

#include <atomic>
#include <optional>
#include <string>

#include "runtime/errors.h"

namespace plainformer {

// PF_BUILT_LEVELS, X(generic) X(avx2) ..., comes from CMake.
#define X(level)                                               \
    namespace level {                                          \
    extern const OperationTable<float> float32_operations;     \
    extern const OperationTable<bfloat16> bfloat16_operations; \
    }
PF_BUILT_LEVELS
#undef X

namespace generic {
extern const OperationTable<double> float64_operations;
}

namespace {

struct Tables {
    const OperationTable<float>* for_float32;
    const OperationTable<bfloat16>* for_bfloat16;
};

// Null where the build has no such level.
Tables tables_of(Level level) {
    switch (level) {
#define X(level)       \
    case Level::level: \
        return {&level::float32_operations, &level::bfloat16_operations};
        PF_BUILT_LEVELS
#undef X
        default:
            return {nullptr, nullptr};
    }
}

constexpr int not_chosen = -1;
std::atomic<int> chosen_level{not_chosen};

// The level that PLAINFORMER_CPU_ISA asks for, or the best that this processor and build have.
Level choose_level() {
    if (const std::optional<Level> forced = forced_level()) {
        if (level_is_built(*forced)) return *forced;
        throw ConfigError(std::string("PLAINFORMER_CPU_ISA: this build has no level ") +
                          level_name(*forced) + "; build it (PLAINFORMER_LEVELS) or unset it");
    }
    int level = static_cast<int>(best_level());
    while (!level_is_built(static_cast<Level>(level))) --level;
    return static_cast<Level>(level);
}

}  // namespace

bool level_is_built(Level level) { return tables_of(level).for_float32 != nullptr; }

Level current_level() {
    int level = chosen_level.load(std::memory_order_relaxed);
    if (level == not_chosen) {
        level = static_cast<int>(choose_level());
        chosen_level.store(level, std::memory_order_relaxed);
    }
    return static_cast<Level>(level);
}

void set_level(Level level) {
    if (!level_is_built(level)) throw ConfigError("this build has no such ISA level");
    chosen_level.store(static_cast<int>(level), std::memory_order_relaxed);
}

template <>
const OperationTable<float>& dispatch<float>(Level level) {
    return *tables_of(level).for_float32;
}
template <>
const OperationTable<bfloat16>& dispatch<bfloat16>(Level level) {
    return *tables_of(level).for_bfloat16;
}
template <>
const OperationTable<double>& dispatch<double>(Level) {
    return generic::float64_operations;
}

}  // namespace plainformer
