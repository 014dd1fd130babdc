#include "families.h"
#include "operand.h"
#include "outputs.h"
#include "plainformer/dropout.h"

namespace plainformer {

static py::object dropout(py::handle x_, double p, uint64_t seed, uint64_t offset) {
    const Operand x(x_);
    int64_t N = 1, C = 1, x_stride = 1;
    if (!x.usable() || !is_probability(p) || offset > UINT32_MAX ||
        (x.ndim() > 0 && !x.as_rows(&N, &C, &x_stride)))
        return py::none();
    const DropoutRule rule = dropout_rule(p, seed, static_cast<uint32_t>(offset));
    if (C == 0) N = 0;  // however many the rows of nothing are
    return for_dtype(x.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        T* y;
        py::object result = output_like(x, &y);
        DropoutArgs<T> s{};
        s.y = y, s.x = x.data<T>();
        s.N = N, s.C = C, s.x_stride = x_stride;
        s.rule = rule;
        run(dispatch<T>().dropout, s);
        return result;
    });
}

// One call of the generator, for its known-answer tests.
static py::tuple philox_words(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
    const philox::Words x = philox::generate(seed, {{c0, c1, c2, c3}});
    return py::make_tuple(x.w[0], x.w[1], x.w[2], x.w[3]);
}

void bind_dropout(py::module_& module) {
    module.def("dropout", &dropout);
    module.def("philox", &philox_words);
}

}  // namespace plainformer
