#include "families.h"
#include "ids.h"
#include "operand.h"
#include "plainformer/rotary.h"

namespace plainformer {

namespace {

bool is_table(const Operand& table) {
    return table.dtype() == DType::float32 && table.ndim() == 2 && table.last_axis_contiguous();
}

bool is_rotary(const Operand& x, const Operand& positions, const Operand& cos, const Operand& sin,
               CheckedIds* rows) {
    if (!x.usable() || x.ndim() < 2 || !x.last_axis_contiguous()) return false;
    if (!is_table(cos) || !is_table(sin) || !cos.same_shape(sin)) return false;
    if (2 * cos.dim(1) > x.dim(-1)) return false;
    if (!is_ids(positions) || positions.ndim() != x.ndim() - 2) return false;
    for (int i = 0; i < positions.ndim(); ++i)
        if (positions.dim(i) != x.dim(i)) return false;
    return rows->take(positions, cos.dim(0));
}

// x with its pairs turned by the angles of each row's position, or back by them with `inverse`.
py::object rotary(py::handle x_, py::handle positions_, py::handle cos_, py::handle sin_,
                  bool interleaved, bool inverse) {
    const Operand x(x_), positions(positions_), cos(cos_), sin(sin_);
    CheckedIds rows;
    if (!is_rotary(x, positions, cos, sin, &rows)) return py::none();
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        py::array y = new_array_like(x);
        RotaryArgs<T> s{};
        s.y = data_of<T>(y), s.x = x.data<T>();
        s.row_ndim = positions.ndim();
        for (int i = 0; i < s.row_ndim; ++i) s.rows[i] = x.dim(i), s.x_row[i] = x.stride(i);
        s.x_head = x.stride(-2);
        s.positions = rows.ids();
        s.cos = cos.data<float>(), s.cos_row = cos.stride(0);
        s.sin = sin.data<float>(), s.sin_row = sin.stride(0);
        s.N = positions.size(), s.H = x.dim(-2), s.D = x.dim(-1), s.R = 2 * cos.dim(1);
        s.interleaved = interleaved, s.inverse = inverse;
        if (x.size() > 0) run(dispatch<T>().rotary, s);
        return y;
    });
}

}  // namespace

void bind_rotary(py::module_& module) { module.def("rotary", &rotary); }

}  // namespace plainformer
