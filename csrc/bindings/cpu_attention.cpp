#include <cstring>

#include "attention_arguments.h"
#include "families.h"
#include "outputs.h"

namespace plainformer {

namespace {

// y, or (y, lse).
py::object attention(py::handle q_, py::handle k_, py::handle v_, py::handle mask_,
                     py::handle alibi_, py::handle starts_q_, py::handle starts_k_,
                     const py::tuple& options, py::object out, bool return_lse) {
    const Operand q(q_), k(k_), v(v_), mask(mask_), alibi(alibi_);
    const Operand starts_q(starts_q_), starts_k(starts_k_), given(out);
    AttentionProblem problem(options);
    const HeadsLayout& layout = problem.layout;
    const AttentionOptions& o = problem.options;
    if (!problem.set_arrays(q, k, v) || !problem.set_sequences(q, k, starts_q, starts_k) ||
        !problem.set_scores(q.dtype(), mask, alibi) || !heads_result(&out, layout, q, o.H, o.Dv) ||
        !are_apart({&given}, {&q, &k, &v, &mask, &alibi, &starts_q, &starts_k}))
        return py::none();
    return for_dtype(q.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        AttentionArgs<T> s{};
        s.options = o;
        s.out = layout.writable<T>(Operand(out));
        s.q = layout.view<T>(q), s.k = layout.view<T>(k), s.v = layout.view<T>(v);
        const bool is_empty = q.size() == 0;  // however many the heads without rows are
        if (!return_lse) {
            if (!is_empty) run(dispatch<T>().attention, s);
            return out;
        }
        const std::vector<int64_t> shape = layout.row_numbers_shape(q);
        py::array lse = new_array(dtype_of<acc_t<T>>, shape.data(), static_cast<int>(shape.size()));
        s.lse = layout.row_numbers(data_of<acc_t<T>>(lse), q);
        if (!is_empty) run(dispatch<T>().attention, s);
        return py::make_tuple(out, lse);
    });
}

// The gradient of an additive mask has the mask's own shape, its missing leading axes as 1.
void set_mask_shape(int64_t (&shape)[4], const Operand& mask) {
    for (int i = 0; i < 4; ++i) shape[i] = i < 4 - mask.ndim() ? 1 : mask.dim(i - 4);
}

// Gradients of queries, keys and values into the arrays given or new ones, and of the mask.
py::object attention_backward(py::handle grad_, py::handle q_, py::handle k_, py::handle v_,
                              py::handle out_, py::handle lse_, py::handle mask_, py::handle alibi_,
                              py::handle starts_q_, py::handle starts_k_, const py::tuple& options,
                              py::object dq, py::object dk, py::object dv, bool mask_grad) {
    const Operand grad(grad_), q(q_), k(k_), v(v_), out(out_), lse(lse_), mask(mask_);
    const Operand alibi(alibi_), starts_q(starts_q_), starts_k(starts_k_);
    const Operand given_dq(dq), given_dk(dk), given_dv(dv);
    AttentionProblem problem(options);
    const HeadsLayout& layout = problem.layout;
    const AttentionOptions& o = problem.options;
    const DType dtype = q.dtype();
    if (!problem.set_arrays(q, k, v) || !problem.set_sequences(q, k, starts_q, starts_k) ||
        !problem.set_scores(dtype, mask, alibi))
        return py::none();
    for (const Operand* y : {&grad, &out})
        if (!layout.is_heads(*y, dtype) || !layout.has_shape(*y, q, o.H, o.Dv)) return py::none();
    if (!layout.are_row_numbers(lse, q)) return py::none();
    if (mask_grad && o.mask.kind != MaskKind::additive) return py::none();
    if (!are_apart({&given_dq, &given_dk, &given_dv},
                   {&grad, &q, &k, &v, &out, &lse, &mask, &alibi, &starts_q, &starts_k}))
        return py::none();
    if (!heads_result(&dq, layout, q, o.H, o.D) || !heads_result(&dk, layout, k, o.KV, o.D) ||
        !heads_result(&dv, layout, k, o.KV, o.Dv))
        return py::none();
    return for_dtype(dtype, [&](auto type) -> py::object {
        using T = decltype(type);
        if (lse.dtype() != dtype_of<acc_t<T>>) return py::none();
        AttentionBackwardArgs<T> s{};
        s.options = o;
        s.dq = layout.writable<T>(Operand(dq)), s.dk = layout.writable<T>(Operand(dk));
        s.dv = layout.writable<T>(Operand(dv));
        s.grad_out = layout.view<T>(grad), s.out = layout.view<T>(out);
        s.q = layout.view<T>(q), s.k = layout.view<T>(k), s.v = layout.view<T>(v);
        s.lse = layout.row_numbers(lse.data<acc_t<T>>(), q);
        py::object dmask = py::none();
        if (mask_grad) {
            py::array fresh = new_array_like(mask);
            set_mask_shape(s.mask_shape, mask);
            s.dmask = data_of<T>(fresh), dmask = fresh;
        }
        if (q.size() > 0 || k.size() > 0)
            run(dispatch<T>().attention_backward, s);
        else if (s.dmask)  // no row had a gradient
            std::memset(s.dmask, 0, sizeof(T) * static_cast<size_t>(mask.size()));
        return py::make_tuple(dq, dk, dv, dmask);
    });
}

}  // namespace

void bind_attention(py::module_& module) {
    module.def("attention", &attention);
    module.def("attention_backward", &attention_backward);
}

}  // namespace plainformer
