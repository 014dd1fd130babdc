// Lists of arrays (parameters, gradients) as a binding takes them.
#pragma once
#include <vector>

#include "operand.h"

namespace plainformer {

// The arrays of a Python list; empty where the argument is None.
inline std::vector<Operand> operands_of(py::handle list) {
    std::vector<Operand> operands;
    if (list.is_none()) return operands;
    for (py::handle item : py::cast<py::list>(list)) operands.emplace_back(item);
    return operands;
}

}  // namespace plainformer
