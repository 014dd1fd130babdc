// Dropout of one row, for the kernel of that name and for those that drop on their way.
#pragma once
#include "isa/dropout.h"  // dropout_values, dropout_kept
#include "isa/rows.h"     // fill

namespace plainformer::PF_ISA {

PF_INLINE double second_value(const uint16_t* values, Far) { return values[1]; }

// y (C) = what is kept of row n of x (C), scaled. Row n of the counter is its low 32 bits; its high
// bits stand where attention counts heads.
template <typename T>
PF_INLINE void drop_row(T* y, const T* x, int64_t C, const DropoutRule& rule, int64_t n,
                        Reach reach) {
    const auto row = static_cast<uint32_t>(n), head = static_cast<uint32_t>(n >> 32);
    const VecOf<T> scale(static_cast<acc_t<T>>(rule.scale)), zero(acc_t<T>(0));
    alignas(64) uint16_t values[dropout_block];
    for (int64_t begin = 0; begin < C; begin += dropout_block) {
        dropout_values(rule, head, row, begin, values);
        const int64_t size = least(C - begin, dropout_block);
        fill(y + begin, size, reach, [&](int64_t i, auto tail) {
            const auto kept = dropout_kept<acc_t<T>>(rule, values + i, tail);
            return select(kept, load(x + begin + i, tail) * scale, zero);
        });
    }
}

}  // namespace plainformer::PF_ISA
