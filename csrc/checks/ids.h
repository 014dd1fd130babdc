// Arrays of ids as the operations take them that read rows of a table by them. Whether each id is
// in range is a check of the values: checks/values.h.
#pragma once
#include "checks/dtypes.h"
#include "checks/outputs.h"
#include "checks/rows.h"

namespace plainformer {

inline bool is_ids(const ArrayView& ids) {
    return ids.contiguous() && (ids.dtype() == DType::int32 || ids.dtype() == DType::int64);
}

// Whether ids name a row each for the leading axes of x, all but the last `trailing`.
inline bool are_ids_of(const ArrayView& ids, const ArrayView& x, int trailing) {
    return is_ids(ids) && x.ndim() >= trailing && ids.has_shape(x.shape(), x.ndim() - trailing);
}

// The ids of an embedding and its table (V, C).
inline bool is_embedding(const ArrayView& ids, const ArrayView& weight) {
    return is_ids(ids) && ids.ndim() < ArrayView::max_ndim && weight.ndim() == 2 &&
           weight.last_axis_contiguous();
}

// The gradient of a table (V, C): none, or writable, in dy's type or the accumulator's.
inline bool is_table_gradient(const ArrayView& out, int64_t V, const ArrayView& dy,
                              const ArrayView& ids) {
    if (out.is_none()) return true;
    return (is_writable(out, dy.dtype()) || is_writable(out, acc_dtype(dy.dtype()))) &&
           out.has_shape({V, dy.dim(-1)}) && are_apart({&out}, {&dy, &ids});
}

// Numbers (N) of labels or classes, in the accumulator's type of x.
inline bool is_row_numbers(const ArrayView& numbers, int64_t N, const ArrayView& x) {
    return is_vector(numbers, acc_dtype(x.dtype()), N);
}

// Logits (N, V) with labels (N) and class weights (V) or none.
inline bool is_cross_entropy(const ArrayView& x, const ArrayView& target, const ArrayView& weight,
                             Rows* rows) {
    return x.ndim() == 2 && as_rows(x, rows) && are_ids_of(target, x, 1) &&
           (weight.is_none() || is_row_numbers(weight, rows->C, x));
}

// Rows x (N, C) with a head (V, C) of their type, V > 0, which may be no array, with or without
// bias, and labels (N).
inline bool is_linear_cross_entropy(const ArrayView& x, DType weight_dtype, int64_t V, int64_t C,
                                    const ArrayView& bias, const ArrayView& target, Rows* rows) {
    if (x.ndim() != 2 || !as_rows(x, rows) || weight_dtype != x.dtype() || C != rows->C || V == 0 ||
        !are_ids_of(target, x, 1))
        return false;
    return bias.is_none() || is_vector(bias, x.dtype(), V);
}

// Heads x (..., H, D), a position for each row of heads, and tables (positions, R / 2).
inline bool is_rotary(const ArrayView& x, const ArrayView& positions, const ArrayView& cos,
                      const ArrayView& sin) {
    for (const ArrayView* table : {&cos, &sin})
        if (table->dtype() != DType::float32 || table->ndim() != 2 ||
            !table->last_axis_contiguous())
            return false;
    return x.last_axis_contiguous() && are_ids_of(positions, x, 2) && cos.same_shape(sin) &&
           2 * cos.dim(1) <= x.dim(-1);
}

}  // namespace plainformer
