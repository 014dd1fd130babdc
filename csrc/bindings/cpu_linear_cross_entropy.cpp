#include "families.h"
#include "ids.h"
#include "operand.h"

namespace plainformer {

// (loss (N), label_weight (N), dx, dweight, dbias); the gradients are None unless asked for.
static py::object linear_cross_entropy(py::handle x_, py::handle weight_, py::handle target_,
                                       py::handle bias_, int64_t ignore_index, double smoothing,
                                       double grad, bool gradients) {
    const Operand x(x_), weight(weight_), target(target_), bias(bias_);
    CheckedIds labels;
    int64_t N, C, x_stride;
    if (x.ndim() != 2 || !x.as_rows(&N, &C, &x_stride) || weight.dtype() != x.dtype() ||
        weight.ndim() != 2 || weight.dim(1) != C)
        return py::none();
    const int64_t V = weight.dim(0);
    if (V == 0 || !is_ids(target) || !target.has_shape({N}) ||
        !labels.take(target, V, &ignore_index))
        return py::none();
    if (!bias.is_none() &&
        (!bias.contiguous() || bias.dtype() != x.dtype() || !bias.has_shape({V})))
        return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        py::array loss = new_array(dtype_of<A>, {N}), label_weight = new_array(dtype_of<A>, {N});
        LinearCrossEntropyArgs<T> s{};
        s.loss = data_of<A>(loss), s.label_weight = data_of<A>(label_weight);
        s.x = x.data<T>(), s.weight = weight.data<T>(), s.target = labels.ids();
        if (!bias.is_none()) s.bias = bias.data<T>();
        s.N = N, s.V = V, s.C = C, s.x_stride = x_stride, s.ignore_index = ignore_index;
        s.weight_row = weight.stride(0), s.weight_column = weight.stride(1);
        s.smoothing = static_cast<A>(smoothing), s.grad = static_cast<A>(grad);
        py::object dx = py::none(), dweight = py::none(), dbias = py::none();
        if (gradients) {
            py::array x_like = new_array(x.dtype(), {N, C}),
                      w_like = new_array(dtype_of<A>, {V, C});
            s.dx = data_of<T>(x_like), s.dweight = data_of<A>(w_like);
            if (N == 0) __builtin_memset(s.dweight, 0, sizeof(A) * static_cast<size_t>(V * C));
            dx = x_like, dweight = w_like;
            if (s.bias) {
                py::array b_like = new_array(dtype_of<A>, {V});
                s.dbias = data_of<A>(b_like);
                if (N == 0) __builtin_memset(s.dbias, 0, sizeof(A) * static_cast<size_t>(V));
                dbias = b_like;
            }
        }
        run(dispatch<T>().linear_cross_entropy, s);
        return py::make_tuple(loss, label_weight, dx, dweight, dbias);
    });
}

void bind_linear_cross_entropy(py::module_& module) {
    module.def("linear_cross_entropy", &linear_cross_entropy);
}

}  // namespace plainformer
