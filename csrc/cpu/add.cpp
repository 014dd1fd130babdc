// Elementwise sum. Formula and shapes: plainformer/add.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "plainformer/add.h"

#include "isa/rows.h"  // for_row_blocks

namespace plainformer::PF_ISA {

template <typename T>
void add(const AddArgs<T>& s) {
    for_row_blocks(s.N, 1, false, [&](int64_t begin, int64_t end) {
        for_lanes<T>(end - begin, [&](int64_t i, auto tail) {
            store(s.y + begin + i, tail, load(s.a + begin + i, tail) + load(s.b + begin + i, tail));
        });
    });
}
PF_INSTANTIATE(add, AddArgs)

template <typename T>
void accumulate(const AccumulateArgs<T>& s) {
    for_row_blocks(s.N, 1, false, [&](int64_t begin, int64_t end) {
        for_lanes<T>(end - begin, [&](int64_t i, auto tail) {
            const auto sum = load(s.out + begin + i, tail) + load(s.x + begin + i, tail);
            store(s.out + begin + i, tail, sum);
        });
    });
}
PF_INSTANTIATE(accumulate, AccumulateArgs)

}  // namespace plainformer::PF_ISA
