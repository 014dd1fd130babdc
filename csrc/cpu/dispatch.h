// The table from operation to the best level of this machine.
#pragma once
#include "operations.h"
#include "runtime/cpu_info.h"

namespace plainformer {

// One function pointer an operation, filled once a level by level_table.cpp.
template <typename T>
struct OperationTable {
#define PF_MEMBER(op, Args) void (*op)(const Args<T>&);
    PF_TABLE(PF_MEMBER)
#undef PF_MEMBER
};

// The level in use: PLAINFORMER_CPU_ISA or the best the processor has, until set_level is called.
Level current_level();
void set_level(Level level);

// The operations for T at a level. float64 is served from the generic level everywhere.
template <typename T>
const OperationTable<T>& dispatch(Level level);

template <typename T>
const OperationTable<T>& dispatch() {
    return dispatch<T>(current_level());
}

// The level that serves T when `level` is in use: float64 has one.
template <typename T>
Level level_for(Level level) {
    return dtype_of<T> == DType::float64 ? Level::generic : level;
}

// Whether this build contains the level (one that targets another architecture has only generic).
bool level_is_built(Level level);

}  // namespace plainformer
