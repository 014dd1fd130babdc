// Values of environment variables, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace plainformer {

// The variable's text without surrounding blanks; nothing if it is unset or blank.
std::optional<std::string> environment_text(const char* name);

// A whole number >= 1; nothing if unset; ConfigError naming the variable for anything else.
std::optional<int64_t> environment_count(const char* name);

// The first number of OMP_NUM_THREADS ("4" or "4,2": a count for each nesting level). The
// variable is not ours: a value that is no such list counts as unset.
std::optional<int64_t> openmp_num_threads();

// Bytes, with an optional suffix K, M, G or T (powers of 1024); otherwise as environment_count,
// but 0 is allowed.
std::optional<int64_t> environment_bytes(const char* name);

// "1" is true, "0" or unset is false, anything else a ConfigError.
bool environment_flag(const char* name);

}  // namespace plainformer
