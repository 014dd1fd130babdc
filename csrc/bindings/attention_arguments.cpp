#include "attention_arguments.h"

#include <algorithm>

namespace plainformer {

namespace {

bool equal(const Operand& x, const std::vector<int64_t>& shape) {
    if (!x.usable() || x.ndim() != static_cast<int>(shape.size())) return false;
    for (int i = 0; i < x.ndim(); ++i)
        if (x.dim(i) != shape[i]) return false;
    return true;
}

template <typename T>
T item(const py::tuple& options, int i) {
    return options[i].cast<T>();
}

constexpr int64_t farthest = int64_t{1} << 62;  // sums of a distance and a place do not overflow

bool is_distance(int64_t keys) { return keys >= -1 && keys < farthest; }

// Rows before each sequence, from 0 up to `rows`, none longer than `longest`.
bool are_starts(const int32_t* starts, int64_t count, int64_t rows, int64_t longest) {
    if (starts[0] != 0 || starts[count] != rows) return false;
    for (int64_t b = 0; b < count; ++b)
        if (starts[b + 1] < starts[b] || starts[b + 1] - starts[b] > longest) return false;
    return true;
}

// Strides along `wanted` of an array that broadcasts to it, 0 where it is broadcast.
bool broadcast_strides(const Operand& x, std::initializer_list<int64_t> wanted, int64_t* strides) {
    const int ndim = static_cast<int>(wanted.size());
    if (!x.usable() || x.ndim() > ndim) return false;
    std::fill(strides, strides + ndim, 0);
    for (int i = ndim - x.ndim(); i < ndim; ++i) {
        const int64_t n = x.dim(i - ndim);
        if (n != wanted.begin()[i] && n != 1) return false;
        strides[i] = n == 1 ? 0 : x.stride(i - ndim);
    }
    return true;
}

}  // namespace

bool copy_integers(const Operand& x, std::vector<int32_t>* to) {
    if (x.dtype() != DType::int32 || x.ndim() != 1) return false;
    const int32_t* from = x.data<int32_t>();
    for (int64_t i = 0; i < x.dim(0); ++i) to->push_back(from[i * x.stride(0)]);
    return true;
}

std::vector<int64_t> HeadsLayout::shape(const Operand& like, int64_t heads, int64_t width) const {
    std::vector<int64_t> shape;
    for (int i = 0; i < ndim(); ++i) shape.push_back(like.dim(i));
    shape[head()] = heads;
    shape.back() = width;
    return shape;
}

bool HeadsLayout::has_shape(const Operand& x, const Operand& like, int64_t heads,
                            int64_t width) const {
    return equal(x, shape(like, heads, width));
}

std::vector<int64_t> HeadsLayout::row_numbers_shape(const Operand& q) const {
    if (is_packed()) return {q.dim(head()), q.dim(row())};
    return {q.dim(0), q.dim(head()), q.dim(row())};
}

bool HeadsLayout::are_row_numbers(const Operand& x, const Operand& q) const {
    return x.contiguous() && equal(x, row_numbers_shape(q));
}

AttentionProblem::AttentionProblem(const py::tuple& o)
    : layout(item<int>(o, 0)),
      is_layout_known_(HeadsLayout::is_known(item<int>(o, 0))),
      may_share_heads_(item<bool>(o, 1)),
      dropout_p_(item<double>(o, 9)) {
    options.q_rows.length = item<int64_t>(o, 2);
    options.k_rows.length = item<int64_t>(o, 3);
    options.scale = item<double>(o, 4);
    options.softcap = item<double>(o, 5);
    options.window = {item<int64_t>(o, 6), item<int64_t>(o, 7), item<bool>(o, 8)};
    options.dropout = dropout_rule(dropout_p_, item<uint64_t>(o, 10), item<uint32_t>(o, 11));
}

bool AttentionProblem::are_options_good() const {
    const AttentionOptions& o = options;
    return is_layout_known_ && o.q_rows.length >= 0 && o.k_rows.length >= 0 &&
           is_distance(o.window.left) && is_distance(o.window.right) && is_probability(dropout_p_);
}

bool AttentionProblem::set_arrays(const Operand& q, const Operand& k, const Operand& v) {
    if (!are_options_good()) return false;
    for (const Operand* x : {&q, &k, &v})
        if (!layout.is_heads(*x, q.dtype())) return false;
    AttentionOptions& o = options;
    o.H = q.dim(layout.head()), o.KV = k.dim(layout.head());
    o.D = q.dim(-1), o.Dv = v.dim(-1);
    if (k.dim(-1) != o.D || !layout.has_shape(v, k, o.KV, o.Dv)) return false;
    if (!layout.is_packed() && k.dim(0) != q.dim(0)) return false;
    if (o.D < 1 || o.D > widest_head || o.Dv < 1 || o.Dv > widest_head) return false;
    return o.KV == o.H || (may_share_heads_ && o.KV > 0 && o.H % o.KV == 0);
}

bool AttentionProblem::set_sequences(const Operand& q, const Operand& k, const Operand& starts_q,
                                     const Operand& starts_k) {
    AttentionOptions& o = options;
    const int64_t q_rows = q.dim(layout.row()), k_rows = k.dim(layout.row());
    if (!layout.is_packed()) {
        o.B = q.dim(0);
        o.q_rows.length = q_rows, o.k_rows.length = k_rows;
        return starts_q.is_none() && starts_k.is_none();
    }
    if (!copy_integers(starts_q, &starts_) || !copy_integers(starts_k, &starts_)) return false;
    const int64_t count = starts_q.dim(0);
    if (count < 1 || starts_k.dim(0) != count) return false;
    o.B = count - 1;
    o.q_rows.starts = starts_.data(), o.k_rows.starts = starts_.data() + count;
    return are_starts(o.q_rows.starts, o.B, q_rows, o.q_rows.length) &&
           are_starts(o.k_rows.starts, o.B, k_rows, o.k_rows.length);
}

bool AttentionProblem::set_scores(DType dtype, const Operand& mask, const Operand& alibi) {
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

bool heads_result(py::object* out, const HeadsLayout& layout, const Operand& like, int64_t heads,
                  int64_t width) {
    const Operand given(*out);
    if (given.is_none()) {
        const std::vector<int64_t> shape = layout.shape(like, heads, width);
        *out = new_array(like.dtype(), shape.data(), static_cast<int>(shape.size()));
        return true;
    }
    return layout.is_heads(given, like.dtype()) && layout.has_shape(given, like, heads, width) &&
           given.writeable() && given.is_distinct();
}

}  // namespace plainformer
