// Token and label ids as a binding takes them.
#pragma once
#include "operand.h"
#include "plainformer/ids.h"

namespace plainformer {

inline bool is_ids(const Operand& ids) {
    return ids.contiguous() && (ids.dtype() == DType::int32 || ids.dtype() == DType::int64);
}

inline Ids ids_of(const Operand& ids) { return {ids.data<void>(), ids.dtype() == DType::int64}; }

// Every id lies in [0, limit), or equals *except where that is given: checked before any kernel
// reads memory by it.
inline bool ids_in_range(const Operand& operand, int64_t limit, const int64_t* except = nullptr) {
    const Ids ids = ids_of(operand);
    const int64_t n = operand.size();
    bool good = true;
    for (int64_t i = 0; i < n; ++i)
        good &= (ids[i] >= 0 && ids[i] < limit) || (except && ids[i] == *except);
    return good;
}

}  // namespace plainformer
