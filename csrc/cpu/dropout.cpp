// Dropout. Formula and shapes: plainformer/dropout.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "plainformer/dropout.h"

#include "isa/dropout.h"  // dropout_values, dropout_kept
#include "isa/rows.h"     // for_rows, put

namespace plainformer::PF_ISA {

namespace {

// Row n of the counter is its low 32 bits; its high bits stand where attention counts heads.
template <typename T>
PF_INLINE void drop_row(const DropoutArgs<T>& s, int64_t n, bool past_caches) {
    const T* x_n = s.x + n * s.x_stride;
    T* y_n = s.y + n * s.C;
    const auto row = static_cast<uint32_t>(n), head = static_cast<uint32_t>(n >> 32);
    const VecOf<T> scale(static_cast<acc_t<T>>(s.rule.scale)), zero(acc_t<T>(0));
    alignas(64) uint16_t values[dropout_block];
    for (int64_t begin = 0; begin < s.C; begin += dropout_block) {
        dropout_values(s.rule, head, row, begin, values);
        const int64_t size = least(s.C - begin, dropout_block);
        for_lanes_to(y_n + begin, x_n + begin, size, past_caches, [&](int64_t i, auto tail) {
            const auto kept = dropout_kept<acc_t<T>>(s.rule, values + i, tail);
            put(y_n + begin + i, tail, select(kept, load(x_n + begin + i, tail) * scale, zero),
                past_caches);
        });
    }
}

}  // namespace

template <typename T>
void dropout(const DropoutArgs<T>& s) {
    const bool past_caches = goes_past_caches<T>(s.N * s.C);
    for_rows(s.N, s.C, past_caches, [&](int64_t n) { drop_row(s, n, past_caches); });
}
PF_INSTANTIATE(dropout, DropoutArgs)

}  // namespace plainformer::PF_ISA
