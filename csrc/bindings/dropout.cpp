#include "plainformer/dropout.h"

#include "families.h"
#include "function.h"

namespace plainformer {

namespace {

py::object dropout(const ArrayView& x, double p, uint64_t seed, uint32_t offset) {
    Rows rows;
    if (!x.usable() || !is_probability(p) || (x.ndim() > 0 && !as_rows(x, &rows)))
        return py::none();
    rows = without_empty(rows);
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        DropoutArgs<T> s{};
        py::object y = output_like(x, &s.y);
        s.x = x.data<T>();
        s.N = rows.N, s.C = rows.C, s.x_stride = rows.stride;
        s.rule = dropout_rule(p, seed, offset);
        run(dispatch<T>().dropout, s);
        return y;
    });
}

// One call of the generator, for its known-answer tests.
py::object philox_words(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
    const philox::Words x = philox::generate(seed, {{c0, c1, c2, c3}});
    return py::make_tuple(x.w[0], x.w[1], x.w[2], x.w[3]);
}

}  // namespace

void bind_dropout(py::module_& module) {
    def<&dropout>(module, "dropout");
    def<&philox_words>(module, "philox");
}

}  // namespace plainformer
