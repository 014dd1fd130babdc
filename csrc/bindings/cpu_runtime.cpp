#include <string>

#include "families.h"
#include "operand.h"
#include "runtime/cpu_info.h"

namespace plainformer {

static constexpr const char* level_names[] = {"generic", "avx2", "avx512", "avx512bf16"};
static constexpr int level_count = 4;

static std::string level_name() { return level_names[static_cast<int>(current_level())]; }

static py::list available_levels() {
    py::list names;
    for (int i = 0; i < level_count; ++i)
        if (level_is_built(static_cast<Level>(i)) && i <= static_cast<int>(best_level()))
            names.append(level_names[i]);
    return names;
}

static void set_level_by_name(const std::string& name) {
    for (int i = 0; i <= static_cast<int>(best_level()); ++i)
        if (name == level_names[i]) return set_level(static_cast<Level>(i));
    throw py::value_error("level: got '" + name + "', which this processor or build does not have");
}

void bind_runtime(py::module_& module) {
    module.def("set_bfloat16_dtype", &set_bfloat16_dtype);
    module.def("current_level", &level_name);
    module.def("available_levels", &available_levels);
    module.def("set_level", &set_level_by_name);
}

}  // namespace plainformer
