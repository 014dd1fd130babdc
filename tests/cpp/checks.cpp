// The checks of csrc/checks on views alone: no Python, no NumPy and no kernel is linked. What a
// binding for another library must find proved here, it may rely on.
//
// tests/test_checks.py builds it together with csrc/checks/*.cpp and runs it.
#include "checks/attention.h"
#include "checks/gemm.h"
#include "checks/ids.h"
#include "checks/norm.h"
#include "checks/optimizer.h"
#include "checks/values.h"
#include "expect.h"

namespace plainformer {

namespace {

float memory[4096];

// A row-major view of `memory` from an element on.
ArrayView view(std::initializer_list<int64_t> shape, int64_t from = 0, DType dtype = DType::float32,
               bool writable = true) {
    ArrayView x;
    int64_t stride = 1;
    for (int i = static_cast<int>(shape.size()) - 1; i >= 0; --i) {
        x.set_axis(i, shape.begin()[i], stride);
        stride *= shape.begin()[i];
    }
    x.set_elements(memory + from, dtype, static_cast<int>(shape.size()), writable);
    return x;
}

ArrayView with_axis(ArrayView x, int axis, int64_t size, int64_t stride) {
    x.set_axis(axis, size, stride);
    return x;
}

void test_views() {
    const ArrayView x = view({2, 3, 4}), none = ArrayView::none(), unusable;
    EXPECT(x.contiguous() && x.size() == 24 && x.dim(-1) == 4 && x.stride(0) == 12);
    EXPECT(none.is_none() && !none.usable() && !none.contiguous() && none.data<float>() == nullptr);
    EXPECT(!unusable.is_none() && !unusable.usable() && !unusable.has_shape({}));
    EXPECT(!with_axis(x, 1, 3, 8).contiguous() &&
           with_axis(view({2, 1, 4}), 1, 1, 99).contiguous());
    EXPECT(with_axis(x, 1, 0, 99).contiguous() && !with_axis(x, 2, 4, 2).last_axis_contiguous());
    EXPECT(x.is_like(view({2, 3, 4}, 7)) && !x.is_like(view({2, 3, 4}, 0, DType::int32)));
    for (DType dtype : {DType::float16, DType::bfloat16})
        EXPECT(view({4}, 0, dtype).item_size() == 2);
    for (int i = 0; i <= static_cast<int>(DType::boolean); ++i)
        EXPECT((element_size(static_cast<DType>(i)) > 0) == (i > 0));
    EXPECT((Device{DeviceKind::cuda, 1} != Device{DeviceKind::cuda, 0}));
}

void test_rows() {
    Rows rows;
    EXPECT(as_rows(view({2, 3, 4}), &rows) && rows.N == 6 && rows.C == 4 && rows.stride == 4);
    EXPECT(as_rows(with_axis(view({6, 4}), 0, 3, 8), &rows) && rows.N == 3 && rows.stride == 8);
    EXPECT(!as_rows(with_axis(view({2, 6, 4}), 1, 3, 8), &rows) || rows.stride != 4);
    EXPECT(!as_rows(with_axis(view({2, 7, 4}), 1, 4, 8), &rows));
    // Nothing is never walked, and has as many rows as its shape says.
    EXPECT(as_rows(with_axis(with_axis(view({2, 7, 4}), 1, 4, 8), 0, 0, 28), &rows) && rows.N == 0);
    EXPECT(as_rows(with_axis(with_axis(view({2, 7, 4}), 1, 3, 8), 2, 0, 1), &rows) && rows.N == 6);
    EXPECT(as_rows(view({2, 3, 4}), 2, &rows) && rows.N == 2 && rows.C == 12);
    Matrices m;
    EXPECT(as_matrices(view({2, 3, 4}), 1, &m) && m.N == 2 && m.L == 3 && m.M == 4);
    EXPECT(!as_matrices(view({2, 3}), 2, &m) && !as_matrices(view({2, 3}), -3, &m));
    int64_t strides[3];
    EXPECT(broadcast_strides(view({3, 1}), {2, 3, 4}, strides) && strides[0] == 0 &&
           strides[1] == 1 && strides[2] == 0);
    EXPECT(!broadcast_strides(view({2, 4}), {2, 3, 4}, strides));
}

void test_overlap() {
    const ArrayView a = view({2, 3}), b = view({2, 3}, 6), late = view({2, 3}, 5);
    const ArrayView none = ArrayView::none();
    EXPECT(are_apart({&a, &b}, {&none}) && !are_apart({&a}, {&late}) &&
           !are_apart({&a, &late}, {}));
    // Half numbers: (2, 3) of them take 12 bytes.
    const ArrayView half = view({2, 3}, 0, DType::float16);
    EXPECT(!are_apart({&half}, {&half}) && !are_apart({&half}, {&a}) && is_distinct(half) &&
           are_apart({&half}, {&late}) && !is_distinct(with_axis(half, 0, 2, 2)));
    // Even and odd elements lie between each other's and share nothing.
    const ArrayView even = with_axis(view({4}), 0, 4, 2), odd = with_axis(view({4}, 1), 0, 4, 2);
    EXPECT(are_apart({&even}, {&odd}) && !are_apart({&even}, {&even}));
    EXPECT(is_distinct(a) && !is_distinct(with_axis(a, 0, 2, 1)) &&
           !is_distinct(with_axis(a, 0, 2, 0)));
    EXPECT(is_output(none, a, {&b}) && is_output(b, a, {&a}) && !is_output(late, a, {&a}));
    EXPECT(!is_output(view({2, 3}, 6, DType::float32, false), a, {&a}));
    EXPECT(may_accumulate(a, a) && may_accumulate(b, a) && !may_accumulate(late, a));
}

void test_products() {
    GemmArgs<float> s{};
    EXPECT(set_operands(&s, view({2, 3, 4}), view({4, 5}, 100), false, false) && s.M == 6 &&
           s.N == 5 && s.K == 4 && s.batch_ndim == 0);
    s = {};
    EXPECT(set_operands(&s, view({2, 3, 4}), view({1, 4, 5}), false, false) && s.batch_ndim == 1 &&
           s.B_batch[0] == 0);
    EXPECT(!set_operands(&s, view({3, 4}), view({5, 6}), false, false));
    EXPECT(is_linear(view({2, 4}), DType::float32, 3, 4, view({3})));
    EXPECT(!is_linear(view({2, 4}), DType::float32, 3, 4, view({4})));
    EXPECT(
        is_linear_gradient(view({2, 3}), view({2, 4}), view({3, 4}), view({3}), ArrayView::none()));
    EXPECT(!is_linear_gradient(view({2, 3}), view({1, 4}), view({3, 4}), view({3}),
                               ArrayView::none()));
}

AttentionNumbers numbers(int layout) {
    return {layout, true, 2, 2, 1.0, 0.0, -1, -1, false, 0.0, 0, 0};
}

void test_attention() {
    const ArrayView q = view({1, 2, 4, 8}), k = view({1, 1, 4, 8}, 64), none = ArrayView::none();
    AttentionProblem dense(numbers(HeadsLayout::bhld));
    EXPECT(dense.set_arrays(q, k, k) && dense.set_sequences(q, k, none, none));
    EXPECT(dense.options.H == 2 && dense.options.KV == 1 && dense.options.k_rows.length == 4);
    EXPECT(dense.set_scores(q.dtype(), view({4, 4}, 0, DType::boolean), view({2})));
    EXPECT(dense.options.mask.kind == MaskKind::boolean && dense.options.mask.batch == 0);
    EXPECT(!dense.set_scores(q.dtype(), view({4, 5}), none));
    EXPECT(dense.layout.is_result(none, q, 2, 8) && dense.layout.is_result(q, q, 2, 8));
    EXPECT(!dense.layout.is_result(with_axis(q, 1, 2, 0), q, 2, 8));
    EXPECT(!AttentionProblem(numbers(3)).set_arrays(q, k, k));
    AttentionNumbers far = numbers(HeadsLayout::bhld);
    far.left = int64_t{1} << 62;
    EXPECT(!AttentionProblem(far).set_arrays(q, k, k));

    const ArrayView rows = view({4, 2, 8}), starts = view({3}, 0, DType::int32);
    AttentionProblem packed(numbers(HeadsLayout::packed));
    EXPECT(packed.set_arrays(rows, rows, rows) && packed.set_sequences(rows, rows, starts, starts));
    EXPECT(packed.options.B == 2 && !packed.set_sequences(rows, rows, starts, none));

    const ArrayView cache = view({1, 1, 8, 8}, 512), lengths = view({1}, 2048, DType::int32);
    AttentionProblem cached(numbers(HeadsLayout::bhld));
    EXPECT(cached.set_cached(q, cache, view({1, 1, 8, 8}, 1024), lengths));
    EXPECT(cached.are_new(q, k, k, cache, view({1, 1, 8, 8}, 1024), {&none, &lengths}));
    EXPECT(!cached.are_new(q, k, k, cache, cache, {&none}));
    EXPECT(!cached.are_new(q, k, none, cache, view({1, 1, 8, 8}, 1024), {}));
    int64_t most_keys = 0;
    EXPECT(cached.set_mask_keys(view({1, 5}), &most_keys) && most_keys == 5);
}

void test_tables() {
    const ArrayView ids = view({3}, 0, DType::int64), x = view({3, 4});
    Rows rows;
    EXPECT(is_embedding(ids, x) && !is_embedding(x, x) && are_ids_of(ids, x, 1));
    EXPECT(is_cross_entropy(x, ids, ArrayView::none(), &rows) && rows.C == 4);
    EXPECT(!is_cross_entropy(x, view({2}, 0, DType::int64), ArrayView::none(), &rows));
    EXPECT(is_table_gradient(view({9, 4}, 100), 9, x, ids) && !is_table_gradient(x, 3, x, ids));
    EXPECT(is_rotary(view({3, 2, 8}), ids, view({5, 4}), view({5, 4})));
    EXPECT(!is_rotary(view({3, 2, 6}), ids, view({5, 4}), view({5, 4})));
    EXPECT(is_norm_parameter(view({3, 4}), view({2, 3, 4}), 2) &&
           !is_norm_parameter(view({4, 3}), view({2, 3, 4}), 2));
}

void test_steps() {
    const ArrayView none = ArrayView::none();
    Step<float> step(2);
    EXPECT(step.add({view({8}), view({8}, 8), view({8}, 16), none, none}) && step.are_apart());
    EXPECT(!step.add({view({8}, 32), view({7}, 8), none, none, none}));
    EXPECT(!step.add({view({8}, 32), none, none, none, none}));
    EXPECT(step.add({view({8}, 23), view({8}, 8), none, none, none}) && !step.are_apart());
}

void test_values() {
    EXPECT(is_id(0, 1) && !is_id(1, 1) && !is_id(-1, 1));
    EXPECT(is_sequence(2, 5, 3) && !is_sequence(2, 5, 2) && !is_sequence(5, 2, 9));
    EXPECT(!is_sequence(INT32_MIN, INT32_MAX, INT32_MAX));
    EXPECT(is_length(3, 1, 4) && !is_length(4, 1, 4) && !is_length(-1, 0, 4));
    EXPECT(!is_length(INT32_MAX, 1, int64_t{1} << 40));
}

}  // namespace

int run_checks() {
    test_views();
    test_rows();
    test_overlap();
    test_products();
    test_attention();
    test_tables();
    test_steps();
    test_values();
    return failures;
}

}  // namespace plainformer

int main() { return plainformer::run_checks() ? 1 : 0; }
