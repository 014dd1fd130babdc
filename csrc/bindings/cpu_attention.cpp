#include "families.h"
#include "operand.h"
#include "plainformer/attention.h"

namespace plainformer {

namespace {

constexpr int64_t widest_head = 256;

// Axes of (B, H, L, D) in an array: "bhld" or "blhd".
struct Layout {
    bool length_first;
    int head() const { return length_first ? 2 : 1; }
    int row() const { return length_first ? 1 : 2; }

    int64_t H(const Operand& x) const { return x.dim(head()); }
    int64_t L(const Operand& x) const { return x.dim(row()); }
    bool has_shape(const Operand& x, int64_t B, int64_t H, int64_t L, int64_t D) const {
        return length_first ? x.has_shape({B, L, H, D}) : x.has_shape({B, H, L, D});
    }
    py::array make(DType dtype, int64_t B, int64_t H, int64_t L, int64_t D) const {
        return length_first ? new_array(dtype, {B, L, H, D}) : new_array(dtype, {B, H, L, D});
    }
    template <typename T>
    HeadsView<const T> view(const Operand& x) const {
        return {x.data<T>(), x.stride(0), x.stride(head()), x.stride(row())};
    }
    template <typename T>
    HeadsView<T> writable(const Operand& x) const {
        return {x.mutable_data<T>(), x.stride(0), x.stride(head()), x.stride(row())};
    }
};

struct Dropout {
    double p;
    uint64_t seed;
    uint32_t offset;
};

bool is_heads(const Operand& x, DType dtype) {
    return x.usable() && x.ndim() == 4 && x.dtype() == dtype && x.last_axis_contiguous();
}

// The mask's strides along (B, H, Lq, Lk); false if it does not broadcast to that shape.
bool set_mask(AttentionOptions* o, const Operand& mask, DType dtype) {
    if (mask.is_none()) return true;
    if (!mask.usable() || mask.ndim() > 4) return false;
    if (mask.dtype() != DType::boolean && mask.dtype() != dtype) return false;
    const int64_t wanted[4] = {o->B, o->H, o->Lq, o->Lk};
    int64_t strides[4] = {};
    for (int i = 4 - mask.ndim(); i < 4; ++i) {
        const int64_t n = mask.dim(i - 4);
        if (n != wanted[i] && n != 1) return false;
        strides[i] = n == 1 ? 0 : mask.stride(i - 4);
    }
    o->mask.kind = mask.dtype() == DType::boolean ? MaskKind::boolean : MaskKind::additive;
    o->mask.data = mask.data<void>();
    o->mask.batch = strides[0], o->mask.head = strides[1];
    o->mask.row = strides[2], o->mask.column = strides[3];
    return true;
}

// Everything that the forward and the backward have in common; false if not canonical.
bool set_options(AttentionOptions* o, const Layout& layout, const Operand& q, const Operand& k,
                 const Operand& v, const Operand& mask, double scale, bool causal, bool gqa,
                 const Dropout& dropout) {
    const DType dtype = q.dtype();
    if (!is_heads(q, dtype) || !is_heads(k, dtype) || !is_heads(v, dtype)) return false;
    *o = {};
    o->B = q.dim(0), o->H = layout.H(q), o->KV = layout.H(k);
    o->Lq = layout.L(q), o->Lk = layout.L(k);
    o->D = q.dim(3), o->Dv = v.dim(3);
    if (!layout.has_shape(k, o->B, o->KV, o->Lk, o->D)) return false;
    if (!layout.has_shape(v, o->B, o->KV, o->Lk, o->Dv)) return false;
    if (o->D < 1 || o->D > widest_head || o->Dv < 1 || o->Dv > widest_head) return false;
    if (o->KV != o->H && (!gqa || o->KV < 1 || o->H % o->KV != 0)) return false;
    o->scale = scale;
    o->causal = causal;
    o->dropout = dropout_rule(dropout.p, dropout.seed, dropout.offset);
    return set_mask(o, mask, dtype);
}

// No two elements share memory because of a stride of 0.
bool is_distinct(const Operand& x) {
    for (int i = 0; i < x.ndim(); ++i)
        if (x.dim(i) > 1 && x.stride(i) == 0) return false;
    return true;
}

// An array to write: the one given, or a new one where there is none; false if it cannot be it.
bool result(py::object* out, const Layout& layout, DType dtype, int64_t B, int64_t H, int64_t L,
            int64_t D, std::initializer_list<const Operand*> inputs) {
    const Operand given(*out);
    if (given.is_none()) {
        *out = layout.make(dtype, B, H, L, D);
        return true;
    }
    if (!is_heads(given, dtype) || !layout.has_shape(given, B, H, L, D)) return false;
    for (const Operand* input : inputs)
        if (!input->is_none() && !given.disjoint(*input)) return false;
    return given.writeable() && is_distinct(given);
}

// y, or (y, lse).
py::object attention(py::handle q_, py::handle k_, py::handle v_, py::handle mask_, double p,
                     bool causal, double scale, bool gqa, bool length_first, py::object out,
                     bool return_lse, uint64_t seed, uint32_t offset) {
    const Operand q(q_), k(k_), v(v_), mask(mask_);
    const Layout layout{length_first};
    AttentionOptions o;
    if (!set_options(&o, layout, q, k, v, mask, scale, causal, gqa, {p, seed, offset}))
        return py::none();
    if (!result(&out, layout, q.dtype(), o.B, o.H, o.Lq, o.Dv, {&q, &k, &v, &mask}))
        return py::none();
    return for_dtype(q.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        AttentionArgs<T> s{};
        s.options = o;
        s.out = layout.writable<T>(Operand(out));
        s.q = layout.view<T>(q), s.k = layout.view<T>(k), s.v = layout.view<T>(v);
        if (!return_lse) {
            run(dispatch<T>().attention, s);
            return out;
        }
        py::array lse = new_array(dtype_of<acc_t<T>>, {o.B, o.H, o.Lq});
        s.lse = data_of<acc_t<T>>(lse);
        run(dispatch<T>().attention, s);
        return py::make_tuple(out, lse);
    });
}

// The gradient of an additive mask has the mask's own shape, its missing leading axes as 1.
void set_mask_shape(int64_t (&shape)[4], const Operand& mask) {
    for (int i = 0; i < 4; ++i) shape[i] = i < 4 - mask.ndim() ? 1 : mask.dim(i - 4);
}

// Gradients of queries, keys and values into the arrays given or new ones, and of the mask.
py::object attention_backward(py::handle grad_, py::handle q_, py::handle k_, py::handle v_,
                              py::handle out_, py::handle lse_, py::handle mask_, double p,
                              bool causal, double scale, bool gqa, bool length_first, py::object dq,
                              py::object dk, py::object dv, bool mask_grad, uint64_t seed,
                              uint32_t offset) {
    const Operand grad(grad_), q(q_), k(k_), v(v_), out(out_), lse(lse_), mask(mask_);
    const Layout layout{length_first};
    AttentionOptions o;
    if (!set_options(&o, layout, q, k, v, mask, scale, causal, gqa, {p, seed, offset}))
        return py::none();
    const DType dtype = q.dtype();
    for (const Operand* y : {&grad, &out})
        if (!is_heads(*y, dtype) || !layout.has_shape(*y, o.B, o.H, o.Lq, o.Dv)) return py::none();
    if (!lse.contiguous() || !lse.has_shape({o.B, o.H, o.Lq})) return py::none();
    if (mask_grad && o.mask.kind != MaskKind::additive) return py::none();
    const auto inputs = {&grad, &q, &k, &v, &out, &lse, &mask};
    if (!result(&dq, layout, dtype, o.B, o.H, o.Lq, o.D, inputs)) return py::none();
    if (!result(&dk, layout, dtype, o.B, o.KV, o.Lk, o.D, inputs)) return py::none();
    if (!result(&dv, layout, dtype, o.B, o.KV, o.Lk, o.Dv, inputs)) return py::none();
    return for_dtype(dtype, [&](auto type) -> py::object {
        using T = decltype(type);
        if (lse.dtype() != dtype_of<acc_t<T>>) return py::none();
        AttentionBackwardArgs<T> s{};
        s.options = o;
        s.dq = layout.writable<T>(Operand(dq)), s.dk = layout.writable<T>(Operand(dk));
        s.dv = layout.writable<T>(Operand(dv));
        s.grad_out = layout.view<T>(grad), s.out = layout.view<T>(out);
        s.q = layout.view<T>(q), s.k = layout.view<T>(k), s.v = layout.view<T>(v);
        s.lse = lse.data<acc_t<T>>();
        py::object dmask = py::none();
        if (mask_grad) {
            py::array fresh = new_array_like(mask);
            set_mask_shape(s.mask_shape, mask);
            s.dmask = data_of<T>(fresh), dmask = fresh;
        }
        run(dispatch<T>().attention_backward, s);
        return py::make_tuple(dq, dk, dv, dmask);
    });
}

}  // namespace

void bind_attention(py::module_& module) {
    module.def("attention", &attention);
    module.def("attention_backward", &attention_backward);
}

}  // namespace plainformer
