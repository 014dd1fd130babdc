// Errors of the runtime, for units compiled once (kernels never throw).
#pragma once

#include <stdexcept>

namespace plainformer {

// An option or environment variable has a value that is not allowed; `errors.ConfigError` in
// Python.
struct ConfigError : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

}  // namespace plainformer
