// The k largest of each row. Order and shapes: plainformer/topk.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// The result's row is a heap with the worst of the best at its root, past which few elements of a
// long row get; at the end the heap is sorted in place.
#include "plainformer/topk.h"

#include "isa/rows.h"  // for_rows

namespace plainformer::PF_ISA {

namespace {

// Whether element i of value a ranks before element j of value b.
template <typename A>
PF_INLINE bool ranks_before(A a, int64_t i, A b, int64_t j) {
    if (a > b) return true;
    if (a < b) return false;
    const bool a_is_nan = a != a, b_is_nan = b != b;
    return a_is_nan == b_is_nan ? i < j : b_is_nan;
}

template <typename T>
struct Heap {
    T* values;
    int64_t* indices;

    PF_INLINE bool is_before(int64_t i, int64_t j) const {
        return ranks_before(to_float(values[i]), indices[i], to_float(values[j]), indices[j]);
    }
    PF_INLINE void swap(int64_t i, int64_t j) {
        const T value = values[i];
        const int64_t index = indices[i];
        values[i] = values[j], indices[i] = indices[j];
        values[j] = value, indices[j] = index;
    }
    // Moves entry i down until none below it ranks after it.
    PF_INLINE void sink(int64_t i, int64_t size) {
        for (;;) {
            int64_t worst = i;
            for (int64_t child = 2 * i + 1; child < least(2 * i + 3, size); ++child)
                if (is_before(worst, child)) worst = child;
            if (worst == i) return;
            swap(i, worst);
            i = worst;
        }
    }
};

template <typename T>
PF_INLINE void topk_row(Heap<T> heap, const T* x, int64_t C, int64_t k) {
    for (int64_t c = 0; c < k; ++c) heap.values[c] = x[c], heap.indices[c] = c;
    for (int64_t i = k / 2 - 1; i >= 0; --i) heap.sink(i, k);
    for (int64_t c = k; c < C; ++c) {
        if (!ranks_before(to_float(x[c]), c, to_float(heap.values[0]), heap.indices[0])) continue;
        heap.values[0] = x[c], heap.indices[0] = c;
        heap.sink(0, k);
    }
    for (int64_t end = k - 1; end > 0; --end) {
        heap.swap(0, end);
        heap.sink(0, end);
    }
}

}  // namespace

template <typename T>
void topk(const TopkArgs<T>& s) {
    if (s.k == 0) return;
    for_rows(s.N, s.C, Reach::near, [&](int64_t n) {
        topk_row(Heap<T>{s.values + n * s.k, s.indices + n * s.k}, s.x + n * s.x_stride, s.C, s.k);
    });
}
PF_INSTANTIATE(topk, TopkArgs)

}  // namespace plainformer::PF_ISA
