#include "checks/ids.h"
#include "families.h"
#include "function.h"
#include "values.h"

namespace plainformer {

namespace {

// (loss, label_weight, lse), one of each a row.
py::object cross_entropy(const ArrayView& x, const ArrayView& target, const ArrayView& weight,
                         int64_t ignore_index, double smoothing) {
    Rows rows;
    CheckedIds labels;
    if (!is_cross_entropy(x, target, weight, &rows) || !labels.take(target, rows.C, &ignore_index))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        CrossEntropyArgs<T> s{};
        py::object loss = new_array({rows.N}, &s.loss),
                   label_weight = new_array({rows.N}, &s.label_weight),
                   lse = new_array({rows.N}, &s.lse);
        s.x = x.data<T>(), s.target = labels.ids(), s.weight = weight.data<A>();
        s.N = rows.N, s.V = rows.C, s.x_stride = rows.stride;
        s.ignore_index = ignore_index, s.smoothing = static_cast<A>(smoothing);
        run(dispatch<T>().cross_entropy, s);
        return py::make_tuple(loss, label_weight, lse);
    });
}

py::object cross_entropy_backward(const ArrayView& grad, const ArrayView& x,
                                  const ArrayView& target, const ArrayView& lse,
                                  const ArrayView& weight, int64_t ignore_index, double smoothing) {
    Rows rows;
    CheckedIds labels;
    if (!is_cross_entropy(x, target, weight, &rows) || !is_row_numbers(grad, rows.N, x) ||
        !is_row_numbers(lse, rows.N, x) || !labels.take(target, rows.C, &ignore_index))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        CrossEntropyBackwardArgs<T> s{};
        py::object dx = output_like(x, &s.dx);
        s.grad = grad.data<A>(), s.x = x.data<T>();
        s.target = labels.ids(), s.lse = lse.data<A>(), s.weight = weight.data<A>();
        s.N = rows.N, s.V = rows.C, s.x_stride = rows.stride;
        s.ignore_index = ignore_index, s.smoothing = static_cast<A>(smoothing);
        run(dispatch<T>().cross_entropy_backward, s);
        return dx;
    });
}

}  // namespace

void bind_cross_entropy(py::module_& module) {
    def<&cross_entropy>(module, "cross_entropy");
    def<&cross_entropy_backward>(module, "cross_entropy_backward");
}

}  // namespace plainformer
