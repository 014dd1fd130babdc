// Integer ids (tokens, labels) of either width that NumPy users hand us.
#pragma once
#include "plainformer/types.h"

namespace plainformer {

struct Ids {
    const void* data;
    bool wide;  // int64, else int32

    PF_INLINE int64_t operator[](int64_t i) const {
        return wide ? static_cast<const int64_t*>(data)[i] : static_cast<const int32_t*>(data)[i];
    }
};

}  // namespace plainformer
