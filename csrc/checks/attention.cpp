#include "checks/attention.h"

namespace plainformer {

namespace {

constexpr int64_t farthest = int64_t{1} << 62;  // sums of a distance and a place do not overflow

bool is_distance(int64_t keys) { return keys >= -1 && keys < farthest; }

bool are_numbers(const ArrayView& x) { return x.dtype() == DType::int32 && x.ndim() == 1; }

}  // namespace

Shape HeadsLayout::shape(const ArrayView& like, int64_t heads, int64_t width) const {
    Shape shape;
    for (int i = 0; i < ndim(); ++i) shape.push(like.dim(i));
    shape.dims[head()] = heads;
    shape.dims[ndim() - 1] = width;
    return shape;
}

bool HeadsLayout::is_heads_like(const ArrayView& x, const ArrayView& like, int64_t heads,
                                int64_t width) const {
    return is_heads(x, like.dtype()) && shape(like, heads, width).is_of(x);
}

bool HeadsLayout::is_result(const ArrayView& out, const ArrayView& like, int64_t heads,
                            int64_t width) const {
    if (out.is_none()) return true;
    return is_heads_like(out, like, heads, width) && out.writable() && is_distinct(out);
}

Shape HeadsLayout::row_numbers_shape(const ArrayView& q) const {
    Shape shape;
    if (!is_packed()) shape.push(q.dim(0));
    shape.push(q.dim(head()));
    shape.push(q.dim(row()));
    return shape;
}

bool HeadsLayout::are_row_numbers(const ArrayView& x, const ArrayView& q) const {
    return x.contiguous() && x.dtype() == acc_dtype(q.dtype()) && row_numbers_shape(q).is_of(x);
}

AttentionProblem::AttentionProblem(const AttentionNumbers& n)
    : layout(n.layout), may_share_heads_(n.may_share_heads), dropout_p_(n.dropout_p) {
    options.q_rows.length = n.longest_q;
    options.k_rows.length = n.longest_k;
    options.scale = n.scale;
    options.softcap = n.softcap;
    options.window = {n.left, n.right, n.bottom_right};
    options.dropout = dropout_rule(n.dropout_p, n.seed, n.offset);
}

bool AttentionProblem::are_numbers_good() const {
    const AttentionOptions& o = options;
    return layout.is_known() && o.q_rows.length >= 0 && o.k_rows.length >= 0 &&
           is_distance(o.window.left) && is_distance(o.window.right) && is_probability(dropout_p_);
}

bool AttentionProblem::set_arrays(const ArrayView& q, const ArrayView& k, const ArrayView& v) {
    if (!are_numbers_good()) return false;
    for (const ArrayView* x : {&q, &k, &v})
        if (!layout.is_heads(*x, q.dtype())) return false;
    AttentionOptions& o = options;
    o.H = q.dim(layout.head()), o.KV = k.dim(layout.head());
    o.D = q.dim(-1), o.Dv = v.dim(-1);
    if (k.dim(-1) != o.D || !layout.is_heads_like(v, k, o.KV, o.Dv)) return false;
    if (!layout.is_packed() && k.dim(0) != q.dim(0)) return false;
    if (o.D < 1 || o.D > widest_head || o.Dv < 1 || o.Dv > widest_head) return false;
    return o.KV == o.H || (may_share_heads_ && o.KV > 0 && o.H % o.KV == 0);
}

bool AttentionProblem::set_sequences(const ArrayView& q, const ArrayView& k,
                                     const ArrayView& starts_q, const ArrayView& starts_k) {
    AttentionOptions& o = options;
    if (!layout.is_packed()) {
        o.B = q.dim(0);
        o.q_rows.length = q.dim(layout.row()), o.k_rows.length = k.dim(layout.row());
        return starts_q.is_none() && starts_k.is_none();
    }
    if (!are_numbers(starts_q) || !are_numbers(starts_k)) return false;
    o.q_rows.rows = q.dim(layout.row()), o.k_rows.rows = k.dim(layout.row());
    o.B = starts_q.dim(0) - 1;
    return o.B >= 0 && starts_k.same_shape(starts_q);
}

bool AttentionProblem::set_scores(DType dtype, const ArrayView& mask, const ArrayView& alibi) {
    AttentionOptions& o = options;
    int64_t strides[4];
    if (!mask.is_none()) {
        if (mask.dtype() != DType::boolean && mask.dtype() != dtype) return false;
        if (!broadcast_strides(mask, {o.B, o.H, o.q_rows.length, o.k_rows.length}, strides))
            return false;
        o.mask.kind = mask.dtype() == DType::boolean ? MaskKind::boolean : MaskKind::additive;
        o.mask.data = mask.data<void>();
        o.mask.batch = strides[0], o.mask.head = strides[1];
        o.mask.row = strides[2], o.mask.column = strides[3];
    }
    if (!alibi.is_none()) {
        if (alibi.dtype() != DType::float32 || !broadcast_strides(alibi, {o.B, o.H}, strides))
            return false;
        o.alibi = {alibi.data<float>(), strides[0], strides[1]};
    }
    return true;
}

bool AttentionProblem::set_cached(const ArrayView& q, const ArrayView& k_cache,
                                  const ArrayView& v_cache, const ArrayView& lengths) {
    if (layout.is_packed() || options.dropout.threshold || !set_arrays(q, k_cache, v_cache))
        return false;
    options.B = q.dim(0);
    options.q_rows.length = q.dim(layout.row()), options.k_rows.length = k_cache.dim(layout.row());
    return are_numbers(lengths) && lengths.dim(0) == options.B;
}

bool AttentionProblem::are_new(const ArrayView& q, const ArrayView& k, const ArrayView& v,
                               const ArrayView& k_cache, const ArrayView& v_cache,
                               std::initializer_list<const ArrayView*> others) const {
    if (k.is_none() || v.is_none()) return k.is_none() && v.is_none();
    if (!layout.is_heads_like(k, q, options.KV, options.D) ||
        !layout.is_heads_like(v, q, options.KV, options.Dv))
        return false;
    for (const ArrayView* cache : {&k_cache, &v_cache})
        if (!cache->writable() || !is_distinct(*cache) || !are_apart({cache}, others)) return false;
    return are_apart({&k_cache, &v_cache}, {&q, &k, &v});
}

bool AttentionProblem::set_mask_keys(const ArrayView& mask, int64_t* most_keys) {
    const int64_t capacity = *most_keys = options.k_rows.length;
    options.k_rows.length = 1;
    if (mask.is_none() || mask.ndim() == 0 || mask.dim(-1) == 1) return true;
    options.k_rows.length = *most_keys = mask.dim(-1);
    return mask.dim(-1) <= capacity;
}

}  // namespace plainformer
