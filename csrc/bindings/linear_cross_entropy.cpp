#include "checks/ids.h"
#include "families.h"
#include "function.h"
#include "values.h"
#include "weight.h"

namespace plainformer {

namespace {

// A gradient that is a sum over rows: 0 where there are none.
template <typename A>
py::object new_sum(const Shape& shape, bool of_nothing, A** data) {
    py::object sum = new_array(shape, data);
    int64_t size = 1;
    for (int i = 0; i < shape.ndim; ++i) size *= shape.dims[i];
    if (of_nothing) fill_zero(*data, size);
    return sum;
}

// (loss (N), label_weight (N), dx, dweight, dbias); the gradients are None unless asked for, which
// takes a weight that is an array.
py::object linear_cross_entropy(const ArrayView& x, const Weight& weight, const ArrayView& target,
                                const ArrayView& bias, int64_t ignore_index, double smoothing,
                                double grad, bool gradients) {
    CheckedIds labels;
    Rows rows;
    if (!weight.usable() || (gradients && !weight.is_array()) ||
        !is_linear_cross_entropy(x, weight.dtype(), weight.N(), weight.K(), bias, target, &rows) ||
        !labels.take(target, weight.N(), &ignore_index))
        return py::none();
    const int64_t N = rows.N, V = weight.N(), C = rows.C;
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        LinearCrossEntropyArgs<T> s{};
        py::object loss = new_array({N}, &s.loss), label_weight = new_array({N}, &s.label_weight);
        weight.set_head(&s);
        s.x = x.data<T>(), s.target = labels.ids();
        s.bias = bias.data<T>();
        s.N = N, s.V = V, s.C = C, s.x_stride = rows.stride, s.ignore_index = ignore_index;
        s.smoothing = static_cast<A>(smoothing), s.grad = static_cast<A>(grad);
        py::object dx = py::none(), dweight = py::none(), dbias = py::none();
        if (gradients) {
            dx = output_like(x, &s.dx);
            dweight = new_sum({V, C}, N == 0, &s.dweight);
            if (s.bias) dbias = new_sum({V}, N == 0, &s.dbias);
        }
        weight.lose(s);
        return py::make_tuple(loss, label_weight, dx, dweight, dbias);
    });
}

}  // namespace

void bind_linear_cross_entropy(py::module_& module) {
    def<&linear_cross_entropy>(module, "linear_cross_entropy");
}

}  // namespace plainformer
