#include "families.h"
#include "ids.h"
#include "operand.h"

namespace plainformer {

namespace {

struct Rows {
    int64_t N, V, stride;
};

// Logits (N, V) with labels (N), class weights (V) or None in the accumulator type.
bool check(const Operand& x, const Operand& target, const Operand& weight, int64_t ignore_index,
           Rows* rows, CheckedIds* labels) {
    if (x.ndim() != 2 || !x.as_rows(&rows->N, &rows->V, &rows->stride)) return false;
    if (!is_ids(target) || !target.has_shape({rows->N})) return false;
    const DType acc = x.dtype() == DType::float64 ? DType::float64 : DType::float32;
    if (!weight.is_none() &&
        (!weight.contiguous() || weight.dtype() != acc || !weight.has_shape({rows->V})))
        return false;
    return labels->take(target, rows->V, &ignore_index);
}

template <typename A>
const A* data_or_null(const Operand& operand) {
    return operand.is_none() ? nullptr : operand.data<A>();
}

// (loss, label_weight, lse), one of each a row.
py::object cross_entropy(py::handle x_, py::handle target_, py::handle weight_,
                         int64_t ignore_index, double smoothing) {
    const Operand x(x_), target(target_), weight(weight_);
    Rows rows;
    CheckedIds labels;
    if (!check(x, target, weight, ignore_index, &rows, &labels)) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        py::array loss = new_array(dtype_of<A>, {rows.N}),
                  label_weight = new_array(dtype_of<A>, {rows.N}),
                  lse = new_array(dtype_of<A>, {rows.N});
        CrossEntropyArgs<T> s{};
        s.loss = data_of<A>(loss), s.label_weight = data_of<A>(label_weight);
        s.lse = data_of<A>(lse);
        s.x = x.data<T>(), s.target = labels.ids(), s.weight = data_or_null<A>(weight);
        s.N = rows.N, s.V = rows.V, s.x_stride = rows.stride;
        s.ignore_index = ignore_index, s.smoothing = static_cast<A>(smoothing);
        run(dispatch<T>().cross_entropy, s);
        return py::make_tuple(loss, label_weight, lse);
    });
}

py::object cross_entropy_backward(py::handle grad_, py::handle x_, py::handle target_,
                                  py::handle lse_, py::handle weight_, int64_t ignore_index,
                                  double smoothing) {
    const Operand grad(grad_), x(x_), target(target_), lse(lse_), weight(weight_);
    Rows rows;
    CheckedIds labels;
    if (!check(x, target, weight, ignore_index, &rows, &labels)) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        for (const Operand* each : {&grad, &lse})
            if (!each->contiguous() || each->dtype() != dtype_of<A> || !each->has_shape({rows.N}))
                return py::none();
        py::array dx = new_array_like(x);
        CrossEntropyBackwardArgs<T> s{};
        s.dx = data_of<T>(dx), s.grad = grad.data<A>(), s.x = x.data<T>();
        s.target = labels.ids(), s.lse = lse.data<A>(), s.weight = data_or_null<A>(weight);
        s.N = rows.N, s.V = rows.V, s.x_stride = rows.stride;
        s.ignore_index = ignore_index, s.smoothing = static_cast<A>(smoothing);
        run(dispatch<T>().cross_entropy_backward, s);
        return dx;
    });
}

}  // namespace

void bind_cross_entropy(py::module_& module) {
    module.def("cross_entropy", &cross_entropy);
    module.def("cross_entropy_backward", &cross_entropy_backward);
}

}  // namespace plainformer
