#include "checks/ids.h"
#include "families.h"
#include "function.h"
#include "values.h"

namespace plainformer {

namespace {

py::object embedding(const ArrayView& ids, const ArrayView& weight) {
    CheckedIds checked;
    if (!is_embedding(ids, weight) || !checked.take(ids, weight.dim(0))) return py::none();
    return for_dtype(weight.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        Shape shape;
        for (int i = 0; i < ids.ndim(); ++i) shape.push(ids.dim(i));
        shape.push(weight.dim(1));
        EmbeddingArgs<T> s{};
        py::object y = new_array(shape, &s.y);
        s.weight = weight.data<T>(), s.ids = checked.ids();
        s.N = ids.size(), s.V = weight.dim(0), s.C = weight.dim(1),
        s.weight_stride = weight.stride(0);
        run(dispatch<T>().embedding, s);
        return y;
    });
}

// out may be None (a fresh gradient), in dy's type or float32.
py::object embedding_backward(const ArrayView& dy, const ArrayView& ids, int64_t V, const Lent& out,
                              bool accumulate) {
    CheckedIds checked;
    Rows rows;
    if (V < 0 || !as_rows(dy, &rows) || !are_ids_of(ids, dy, 1) ||
        !is_table_gradient(out, V, dy, ids) || !checked.take(ids, V))
        return py::none();
    return for_dtype(dy.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        EmbeddingBackwardArgs<T> s{};
        s.dy = dy.data<T>(), s.ids = checked.ids();
        s.N = rows.N, s.V = V, s.C = rows.C, s.dy_stride = rows.stride;
        s.accumulate = accumulate && !out.is_none();
        py::object dweight = py::reinterpret_borrow<py::object>(out.object);
        if (out.is_none()) {
            dweight = new_array({V, rows.C}, &s.dweight);
        } else if (out.dtype() == dtype_of<T>) {
            s.dweight = out.mutable_data<T>();
        } else {
            s.dweight_acc = out.mutable_data<acc_t<T>>();
        }
        if (rows.C > 0) run(dispatch<T>().embedding_backward, s);
        return dweight;
    });
}

}  // namespace

void bind_embedding(py::module_& module) {
    def<&embedding>(module, "embedding");
    def<&embedding_backward>(module, "embedding_backward");
}

}  // namespace plainformer
