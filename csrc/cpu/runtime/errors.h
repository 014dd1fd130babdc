// What units that are compiled once may throw. A kernel throws nothing but std::bad_alloc, where
// there is no memory for what it works with.
#pragma once

#include <stdexcept>

namespace plainformer {

// An option or environment variable has a value that is not allowed: errors.ConfigError in Python.
struct ConfigError : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

}  // namespace plainformer
