#include <algorithm>

#include "attention_arguments.h"
#include "families.h"
#include "outputs.h"

namespace plainformer {

namespace {

// Keys of each row of the cache once `added` are appended; false if a row would not hold them.
bool set_lengths(const Operand& lengths, int64_t batch, int64_t added, int64_t capacity,
                 std::vector<int32_t>* to) {
    if (!lengths.has_shape({batch}) || !copy_integers(lengths, to)) return false;
    for (int32_t& length : *to) {
        if (length < 0 || length > capacity - added) return false;
        if (length + added > INT32_MAX) return false;
        length += static_cast<int32_t>(added);
    }
    return true;
}

// A mask's keys: one for all, or at least those of the longest row, at most those of the cache.
bool set_mask_keys(const Operand& mask, const std::vector<int32_t>& lengths, int64_t capacity,
                   AttentionOptions* o) {
    o->k_rows.length = 1;
    if (mask.is_none() || mask.ndim() == 0 || mask.dim(-1) == 1) return true;
    o->k_rows.length = mask.dim(-1);
    const int64_t longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
    return longest <= mask.dim(-1) && mask.dim(-1) <= capacity;
}

// Both new keys and new values, or neither.
bool are_new(const HeadsLayout& layout, const Operand& q, const Operand& k, const Operand& v,
             const Operand& k_cache, const Operand& v_cache) {
    if (k.is_none() || v.is_none()) return k.is_none() && v.is_none();
    for (const Operand* x : {&k, &v})
        if (!layout.is_heads(*x, q.dtype())) return false;
    const int64_t heads = k_cache.dim(layout.head());
    if (!layout.has_shape(k, q, heads, k_cache.dim(-1))) return false;
    if (!layout.has_shape(v, q, heads, v_cache.dim(-1))) return false;
    for (const Operand* cache : {&k_cache, &v_cache})
        if (!cache->writeable() || !cache->is_distinct()) return false;
    return true;
}

py::object cached_attention(py::handle q_, py::handle k_cache_, py::handle v_cache_, py::handle k_,
                            py::handle v_, py::handle lengths_, py::handle mask_, py::handle alibi_,
                            const py::tuple& options) {
    const Operand q(q_), k_cache(k_cache_), v_cache(v_cache_), k(k_), v(v_), mask(mask_);
    const Operand alibi(alibi_), given_lengths(lengths_);
    AttentionProblem problem(options);
    const HeadsLayout& layout = problem.layout;
    AttentionOptions& o = problem.options;
    if (!problem.set_arrays(q, k_cache, v_cache) || layout.is_packed() || o.dropout.threshold)
        return py::none();
    if (!are_new(layout, q, k, v, k_cache, v_cache)) return py::none();
    if (!k.is_none() &&
        !are_apart({&k_cache, &v_cache}, {&q, &k, &v, &mask, &alibi, &given_lengths}))
        return py::none();
    const int64_t capacity = k_cache.dim(layout.row());
    o.B = q.dim(0), o.q_rows.length = q.dim(layout.row());
    std::vector<int32_t> lengths;
    py::object out = py::none();
    if (!set_lengths(given_lengths, o.B, k.is_none() ? 0 : o.q_rows.length, capacity, &lengths) ||
        !set_mask_keys(mask, lengths, capacity, &o) ||
        !problem.set_scores(q.dtype(), mask, alibi) || !heads_result(&out, layout, q, o.H, o.Dv))
        return py::none();
    return for_dtype(q.dtype(), [&](auto type) -> py::object {
        using T = decltype(type);
        CachedAttentionArgs<T> s{};
        s.options = o;
        s.lengths = lengths.data();
        s.out = layout.writable<T>(Operand(out)), s.q = layout.view<T>(q);
        s.k = layout.writable<T>(k_cache), s.v = layout.writable<T>(v_cache);
        if (!k.is_none()) s.new_k = layout.view<T>(k), s.new_v = layout.view<T>(v);
        if (q.size() > 0) run(dispatch<T>().cached_attention, s);
        return out;
    });
}

}  // namespace

void bind_attention_cached(py::module_& module) {
    module.def("cached_attention", &cached_attention);
}

}  // namespace plainformer
