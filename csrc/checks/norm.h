// The arrays of layer norm and RMS norm.
#pragma once
#include "checks/dtypes.h"
#include "checks/rows.h"

namespace plainformer {

// How many trailing axes of x have the shape; 0 where they have another.
inline int normalized_ndim(const ArrayView& x, const int64_t* shape, int ndim) {
    if (ndim < 1 || ndim > x.ndim()) return 0;
    for (int i = 0; i < ndim; ++i)
        if (shape[i] != x.dim(x.ndim() - ndim + i)) return 0;
    return ndim;
}

// None, or an array like x, as rows.
inline bool is_like_rows(const ArrayView& array, const ArrayView& x, int ndim, Rows* rows) {
    return array.is_none() || (array.is_like(x) && as_rows(array, ndim, rows));
}

// A weight or bias of x's trailing axes, in x's type or the accumulator's; or none.
inline bool is_norm_parameter(const ArrayView& parameter, const ArrayView& x, int ndim) {
    if (parameter.is_none()) return true;
    return parameter.contiguous() && parameter.has_shape(x.shape() + x.ndim() - ndim, ndim) &&
           (parameter.dtype() == x.dtype() || parameter.dtype() == acc_dtype(x.dtype()));
}

inline bool are_norm_parameters(const ArrayView& weight, const ArrayView& bias, const ArrayView& x,
                                int ndim) {
    return is_norm_parameter(weight, x, ndim) && is_norm_parameter(bias, x, ndim) &&
           (weight.is_none() || bias.is_none() || weight.dtype() == bias.dtype());
}

// One number a row, in the shape of x's leading axes.
inline bool is_norm_stats(const ArrayView& stats, const ArrayView& x, int ndim) {
    return stats.contiguous() && stats.dtype() == acc_dtype(x.dtype()) &&
           stats.has_shape(x.shape(), x.ndim() - ndim);
}

}  // namespace plainformer
