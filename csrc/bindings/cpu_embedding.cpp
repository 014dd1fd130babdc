#include "families.h"
#include "ids.h"
#include "operand.h"
#include "outputs.h"

namespace plainformer {

static py::object embedding(py::handle ids_, py::handle weight_) {
    const Operand ids(ids_), weight(weight_);
    CheckedIds checked;
    if (!is_ids(ids) || weight.ndim() != 2 || !weight.last_axis_contiguous() ||
        ids.ndim() >= Operand::max_ndim || !checked.take(ids, weight.dim(0)))
        return py::none();
    return for_dtype(weight.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        int64_t shape[Operand::max_ndim];
        for (int i = 0; i < ids.ndim(); ++i) shape[i] = ids.dim(i);
        shape[ids.ndim()] = weight.dim(1);
        py::array y = new_array(weight.dtype(), shape, ids.ndim() + 1);
        EmbeddingArgs<T> s{};
        s.y = data_of<T>(y), s.weight = weight.data<T>(), s.ids = checked.ids();
        s.N = ids.size(), s.C = weight.dim(1), s.weight_stride = weight.stride(0);
        run(dispatch<T>().embedding, s);
        return y;
    });
}

// out may be None (a fresh gradient), in dy's type or float32.
static py::object embedding_backward(py::handle dy_, py::handle ids_, int64_t V, py::handle out_,
                                     bool accumulate) {
    const Operand dy(dy_), ids(ids_), out(out_);
    CheckedIds checked;
    int64_t N, C, dy_stride;
    if (V < 0 || !is_ids(ids) || !dy.as_rows(&N, &C, &dy_stride) || dy.ndim() != ids.ndim() + 1 ||
        N != ids.size() || !checked.take(ids, V))
        return py::none();
    for (int i = 0; i < ids.ndim(); ++i)
        if (ids.dim(i) != dy.dim(i)) return py::none();
    return for_dtype(dy.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        using A = acc_t<T>;
        EmbeddingBackwardArgs<T> s{};
        s.dy = dy.data<T>(), s.ids = checked.ids();
        s.N = N, s.V = V, s.C = C, s.dy_stride = dy_stride, s.accumulate = accumulate;
        py::object result;
        if (out.is_none()) {
            py::array fresh = new_array(dy.dtype(), {V, C});
            s.dweight = data_of<T>(fresh);
            s.accumulate = false;
            result = fresh;
        } else {
            if (!out.contiguous() || !out.writeable() || !out.has_shape({V, C}) ||
                !are_apart({&out}, {&dy, &ids}))
                return py::none();
            if (out.dtype() == dy.dtype())
                s.dweight = out.mutable_data<T>();
            else if (out.dtype() == dtype_of<A>)
                s.dweight_acc = out.mutable_data<A>();
            else
                return py::none();
            result = py::reinterpret_borrow<py::object>(out_);
        }
        if (C > 0) run(dispatch<T>().embedding_backward, s);
        return result;
    });
}

void bind_embedding(py::module_& module) {
    module.def("embedding", &embedding);
    module.def("embedding_backward", &embedding_backward);
}

}  // namespace plainformer
