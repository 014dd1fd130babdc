#include "plainformer/rotary.h"

#include "checks/ids.h"
#include "families.h"
#include "function.h"
#include "values.h"

namespace plainformer {

namespace {

// x with its pairs turned by the angles of each row's position, or back by them with `inverse`.
py::object rotary(const ArrayView& x, const ArrayView& positions, const ArrayView& cos,
                  const ArrayView& sin, bool interleaved, bool inverse) {
    CheckedIds rows;
    if (!is_rotary(x, positions, cos, sin) || !rows.take(positions, cos.dim(0))) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        RotaryArgs<T> s{};
        py::object y = output_like(x, &s.y);
        s.x = x.data<T>();
        s.row_ndim = positions.ndim();
        for (int i = 0; i < s.row_ndim; ++i) s.rows[i] = x.dim(i), s.x_row[i] = x.stride(i);
        s.x_head = x.stride(-2);
        s.positions = rows.ids();
        s.cos = cos.data<float>(), s.cos_row = cos.stride(0);
        s.sin = sin.data<float>(), s.sin_row = sin.stride(0);
        s.table_rows = cos.dim(0);
        s.N = positions.size(), s.H = x.dim(-2), s.D = x.dim(-1), s.R = 2 * cos.dim(1);
        s.interleaved = interleaved, s.inverse = inverse;
        if (x.size() > 0) run(dispatch<T>().rotary, s);
        return y;
    });
}

}  // namespace

void bind_rotary(py::module_& module) { def<&rotary>(module, "rotary"); }

}  // namespace plainformer
