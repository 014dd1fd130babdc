#include "attention_numbers.h"
#include "families.h"
#include "values.h"

namespace plainformer {

namespace {

// Copies of the starts of packed sequences, and that they are in order.
struct Sequences {
    CheckedStarts q, k;

    bool take(const ArrayView& starts_q, const ArrayView& starts_k, int64_t q_rows, int64_t k_rows,
              AttentionOptions* o) {
        if (starts_q.is_none()) return true;
        if (!q.take(starts_q, false, q_rows, o->q_rows.length) ||
            !k.take(starts_k, true, k_rows, o->k_rows.length))
            return false;
        o->q_rows.starts = q.starts(), o->k_rows.starts = k.starts();
        return true;
    }
};

// The array given, or a new one with the shape of `like` but for heads and width.
template <typename T>
py::object heads_result(const Lent& out, const HeadsLayout& layout, const ArrayView& like,
                        int64_t heads, int64_t width, HeadsView<T>* view) {
    if (!out.is_none()) {
        *view = layout.writable<T>(out);
        return py::reinterpret_borrow<py::object>(out.object);
    }
    T* data;
    const Shape shape = layout.shape(like, heads, width);
    py::object fresh = new_array(shape, &data);
    *view = layout.contiguous(data, shape);
    return fresh;
}

// y, or (y, lse).
py::object attention(const ArrayView& q, const ArrayView& k, const ArrayView& v,
                     const ArrayView& mask, const ArrayView& alibi, const ArrayView& starts_q,
                     const ArrayView& starts_k, const AttentionNumbers& numbers, const Lent& out,
                     bool return_lse) {
    AttentionProblem problem(numbers);
    const HeadsLayout& layout = problem.layout;
    AttentionOptions& o = problem.options;
    Sequences sequences;
    if (!problem.set_arrays(q, k, v) || !problem.set_sequences(q, k, starts_q, starts_k) ||
        !problem.set_scores(q.dtype(), mask, alibi) || !layout.is_result(out, q, o.H, o.Dv) ||
        !are_apart({&out}, {&q, &k, &v, &mask, &alibi, &starts_q, &starts_k}) ||
        !sequences.take(starts_q, starts_k, q.dim(layout.row()), k.dim(layout.row()), &o))
        return py::none();
    return for_dtype(q.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        AttentionArgs<T> s{};
        s.options = o;
        const py::object y = heads_result(out, layout, q, o.H, o.Dv, &s.out);
        s.q = layout.view<T>(q), s.k = layout.view<T>(k), s.v = layout.view<T>(v);
        py::object lse;
        if (return_lse) {
            acc_t<T>* data;
            lse = new_array(layout.row_numbers_shape(q), &data);
            s.lse = layout.row_numbers(data, q);
        }
        // However many the heads without rows are.
        if (q.size() > 0) run(dispatch<T>().attention, s);
        return return_lse ? py::object(py::make_tuple(y, lse)) : y;
    });
}

// The gradient of an additive mask has the mask's own shape, its missing leading axes as 1.
void set_mask_shape(int64_t (&shape)[4], const ArrayView& mask) {
    for (int i = 0; i < 4; ++i) shape[i] = i < 4 - mask.ndim() ? 1 : mask.dim(i - 4);
}

// Gradients of queries, keys and values into the arrays given or new ones, and of the mask.
py::object attention_backward(const ArrayView& grad, const ArrayView& q, const ArrayView& k,
                              const ArrayView& v, const ArrayView& out, const ArrayView& lse,
                              const ArrayView& mask, const ArrayView& alibi,
                              const ArrayView& starts_q, const ArrayView& starts_k,
                              const AttentionNumbers& numbers, const Lent& out_dq,
                              const Lent& out_dk, const Lent& out_dv, bool mask_grad) {
    AttentionProblem problem(numbers);
    const HeadsLayout& layout = problem.layout;
    AttentionOptions& o = problem.options;
    Sequences sequences;
    if (!problem.set_arrays(q, k, v) || !problem.set_sequences(q, k, starts_q, starts_k) ||
        !problem.set_scores(q.dtype(), mask, alibi) || !layout.is_heads_like(grad, q, o.H, o.Dv) ||
        !layout.is_heads_like(out, q, o.H, o.Dv) || !layout.are_row_numbers(lse, q) ||
        (mask_grad && o.mask.kind != MaskKind::additive) ||
        !layout.is_result(out_dq, q, o.H, o.D) || !layout.is_result(out_dk, k, o.KV, o.D) ||
        !layout.is_result(out_dv, k, o.KV, o.Dv) ||
        !are_apart({&out_dq, &out_dk, &out_dv},
                   {&grad, &q, &k, &v, &out, &lse, &mask, &alibi, &starts_q, &starts_k}) ||
        !sequences.take(starts_q, starts_k, q.dim(layout.row()), k.dim(layout.row()), &o))
        return py::none();
    return for_dtype(q.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        AttentionBackwardArgs<T> s{};
        s.options = o;
        const py::object dq = heads_result(out_dq, layout, q, o.H, o.D, &s.dq),
                         dk = heads_result(out_dk, layout, k, o.KV, o.D, &s.dk),
                         dv = heads_result(out_dv, layout, k, o.KV, o.Dv, &s.dv);
        s.grad_out = layout.view<T>(grad), s.out = layout.view<T>(out);
        s.q = layout.view<T>(q), s.k = layout.view<T>(k), s.v = layout.view<T>(v);
        s.lse = layout.row_numbers(lse.data<acc_t<T>>(), q);
        py::object dmask = py::none();
        if (mask_grad) {
            dmask = output_like(mask, &s.dmask);
            set_mask_shape(s.mask_shape, mask);
        }
        if (q.size() > 0 || k.size() > 0)
            run(dispatch<T>().attention_backward, s);
        else if (s.dmask)  // no row had a gradient
            fill_zero(s.dmask, mask.size());
        return py::make_tuple(dq, dk, dv, dmask);
    });
}

py::object cached_attention(const ArrayView& q, const ArrayView& k_cache, const ArrayView& v_cache,
                            const ArrayView& k, const ArrayView& v, const ArrayView& lengths,
                            const ArrayView& mask, const ArrayView& alibi,
                            const AttentionNumbers& numbers) {
    AttentionProblem problem(numbers);
    const HeadsLayout& layout = problem.layout;
    AttentionOptions& o = problem.options;
    CheckedLengths keys;
    int64_t most_keys;
    if (!problem.set_cached(q, k_cache, v_cache, lengths) ||
        !problem.are_new(q, k, v, k_cache, v_cache, {&mask, &alibi, &lengths}) ||
        !problem.set_mask_keys(mask, &most_keys) || !problem.set_scores(q.dtype(), mask, alibi) ||
        !keys.take(lengths, k.is_none() ? 0 : o.q_rows.length, most_keys))
        return py::none();
    o.k_rows.length = most_keys;
    return for_dtype(q.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        CachedAttentionArgs<T> s{};
        s.options = o;
        s.lengths = keys.lengths();
        const py::object y =
            heads_result(Lent{ArrayView::none(), {}}, layout, q, o.H, o.Dv, &s.out);
        s.q = layout.view<T>(q);
        s.k = layout.writable<T>(k_cache), s.v = layout.writable<T>(v_cache);
        if (!k.is_none()) s.new_k = layout.view<T>(k), s.new_v = layout.view<T>(v);
        if (q.size() > 0) run(dispatch<T>().cached_attention, s);
        return y;
    });
}

}  // namespace

void bind_attention(py::module_& module) {
    def<&attention>(module, "attention");
    def<&attention_backward>(module, "attention_backward");
    def<&cached_attention>(module, "cached_attention");
}

}  // namespace plainformer
