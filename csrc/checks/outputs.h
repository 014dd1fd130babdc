// Outputs that the caller may lend.
#pragma once
#include "checks/dtypes.h"
#include "checks/overlap.h"

namespace plainformer {

// A writable row-major array that is to be filled, or added to.
inline bool is_writable(const ArrayView& out, DType dtype) {
    return out.contiguous() && out.writable() && out.dtype() == dtype;
}

// `out` is none, or a writable row-major array like x that shares no memory with the inputs.
inline bool is_output(const ArrayView& out, const ArrayView& x,
                      std::initializer_list<const ArrayView*> inputs) {
    if (out.is_none()) return true;
    return is_writable(out, x.dtype()) && out.same_shape(x) && are_apart({&out}, inputs);
}

// `out` may be x itself: each element is read before it is written. Any other overlap would write
// elements of x that are still to be read.
inline bool may_accumulate(const ArrayView& out, const ArrayView& x) {
    if (!is_writable(out, acc_dtype(x.dtype())) || !x.contiguous() || !out.same_shape(x))
        return false;
    const bool is_x = out.data<void>() == x.data<void>() && out.dtype() == x.dtype();
    return is_x || are_apart({&out}, {&x});
}

}  // namespace plainformer
