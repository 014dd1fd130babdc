#include "plainformer/topk.h"

#include "families.h"
#include "function.h"

namespace plainformer {

namespace {

// (values, indices) of the k largest of each row.
py::object topk(const ArrayView& x, int64_t k) {
    Rows rows;
    if (!x.usable() || !as_rows(x, &rows) || k < 0 || k > rows.C) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        TopkArgs<T> s{};
        Shape shape;
        for (int i = 0; i + 1 < x.ndim(); ++i) shape.push(x.dim(i));
        shape.push(k);
        void* indices;
        const py::object of_values = new_array(shape, &s.values),
                         of_indices = new_array(DType::int64, shape.dims, shape.ndim, &indices);
        s.indices = static_cast<int64_t*>(indices);
        s.x = x.data<T>();
        s.N = rows.N, s.C = rows.C, s.k = k, s.x_stride = rows.stride;
        run(dispatch<T>().topk, s);
        return py::make_tuple(of_values, of_indices);
    });
}

}  // namespace

void bind_topk(py::module_& module) { def<&topk>(module, "topk"); }

}  // namespace plainformer
