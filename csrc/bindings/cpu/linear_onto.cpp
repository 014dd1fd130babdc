#include "families.h"
#include "function.h"
#include "weight.h"

namespace plainformer {

namespace {

// The rows of a residual (..., N) beside those of x (..., K), one matrix each.
bool are_rows_beside(const ArrayView& residual, const ArrayView& x, int64_t N, MatrixView* added,
                     MatrixView* rows) {
    return residual.dtype() == x.dtype() && linear_shape(x, N).is_of(residual) &&
           residual.last_axis_contiguous() && flatten(residual, added) && flatten(x, rows);
}

// residual + dropout(activation(x weight^T + bias)); with `keep_z` also the argument of the
// activation.
py::object linear_onto(const ArrayView& residual, const ArrayView& x, const Weight& weight,
                       const ArrayView& bias, int activation, double dropout_p, uint64_t seed,
                       uint32_t offset, bool keep_z) {
    MatrixView added, rows;
    if (!weight.usable() || !is_linear(x, weight.dtype(), weight.N(), weight.K(), bias) ||
        !is_activation(activation) || !is_probability(dropout_p) ||
        !are_rows_beside(residual, x, weight.N(), &added, &rows))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        PackedGemmArgs<T> s{};
        weight.set_b(&s);
        set_a(&s, x, rows);
        const Shape shape = linear_shape(x, s.N);
        py::object y = new_array(shape, &s.C), z;
        s.C_row = s.N;
        s.bias = bias.data<T>();
        s.activation = static_cast<Activation>(activation);
        s.residual = residual.data<T>(), s.residual_row = added.row;
        s.dropout = dropout_rule(dropout_p, seed, offset);
        if (keep_z) z = new_array(shape, &s.preactivation);
        weight.multiply_onto(&s);
        return keep_z ? py::object(py::make_tuple(y, z)) : y;
    });
}

}  // namespace

void bind_linear_onto(py::module_& module) { def<&linear_onto>(module, "linear_onto"); }

}  // namespace plainformer
