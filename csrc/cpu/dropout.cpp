// Dropout. Formula and shapes: plainformer/dropout.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "plainformer/dropout.h"

#include "isa/dropout_row.h"  // drop_row
#include "isa/rows.h"         // for_rows

namespace plainformer::PF_ISA {

template <typename T>
void dropout(const DropoutArgs<T>& s) {
    const Reach reach = reach_of<T>(2 * s.N * s.C);
    for_rows(s.N, s.C, reach, [&](int64_t n) {
        drop_row(s.y + n * s.C, s.x + n * s.x_stride, s.C, s.rule, n, reach);
    });
}
PF_INSTANTIATE(dropout, DropoutArgs)

}  // namespace plainformer::PF_ISA
