// A weight in the panels of one ISA level: what pack_weight makes and linear takes.
#pragma once
#include "adapter.h"

namespace plainformer {

struct PackedWeight {
    DType dtype;
    Level level;
    int64_t N, K;  // (out, in)
    void* panels = nullptr;
    int64_t bytes = 0;

    PackedWeight(DType dtype_, Level level_, int64_t N_, int64_t K_)
        : dtype(dtype_), level(level_), N(N_), K(K_) {}
    ~PackedWeight();
    PackedWeight(const PackedWeight&) = delete;
    PackedWeight& operator=(const PackedWeight&) = delete;

    // Whether the level in use reads these panels.
    bool is_current() const;
};

// The PackedWeight behind a Python object, or null.
const PackedWeight* packed_weight_of(py::handle object);

}  // namespace plainformer
