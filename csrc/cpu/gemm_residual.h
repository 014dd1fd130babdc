// What becomes of a block of a product once it is whole, while it is in L2: the residual stream is
// added to it, or to what dropout leaves of it. Each step is rounded to T, as by the kernels
// `dropout` and `add`, so that the bytes are theirs.
#pragma once
#include "isa/dropout_row.h"  // dropout_values, dropout_kept
#include "isa/rows.h"         // fill
#include "packed_gemm.h"

namespace plainformer::PF_ISA {

// y (columns) = what is kept of it, scaled; y begins at column n of row m of the mask.
template <typename T>
PF_INLINE void drop_part(T* y, int64_t columns, const DropoutRule& rule, int64_t m, int64_t n) {
    const auto row = static_cast<uint32_t>(m), head = static_cast<uint32_t>(m >> 32);
    const VecOf<T> scale(static_cast<acc_t<T>>(rule.scale)), zero(acc_t<T>(0));
    alignas(64) uint16_t values[dropout_block];
    for (int64_t done = 0; done < columns;) {
        const int64_t skipped = (n + done) % 8;  // a call of Philox makes eight columns
        dropout_values(rule, head, row, n + done - skipped, values);
        const int64_t size = least(columns - done, dropout_block - skipped);
        fill(y + done, size, Reach::near, [&](int64_t i, auto tail) {
            const auto kept = dropout_kept<acc_t<T>>(rule, values + skipped + i, tail);
            return select(kept, load(y + done + i, tail) * scale, zero);
        });
        done += size;
    }
}

// Rows [m, m + rows), columns [n, n + columns) of C.
template <typename T>
void add_residual(const PackedGemmArgs<T>& s, int64_t m, int64_t rows, int64_t n, int64_t columns) {
    if (!s.residual) return;
    for (int64_t r = m; r < m + rows; ++r) {
        T* const y = s.C + r * s.C_row + n;
        const T* const residual = s.residual + r * s.residual_row + n;
        if (s.dropout.threshold > 0) drop_part(y, columns, s.dropout, r, n);
        fill(y, columns, Reach::near,
             [&](int64_t i, auto tail) { return load(y + i, tail) + load(residual + i, tail); });
    }
}

}  // namespace plainformer::PF_ISA
