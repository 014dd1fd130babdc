// Elementwise sum. Formula and shapes: plainformer/add.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "plainformer/add.h"

#include "isa/rows.h"  // fill_blocks

namespace plainformer::PF_ISA {

template <typename T>
void add(const AddArgs<T>& s) {
    fill_blocks(s.y, s.N, reach_of<T>(3 * s.N),
                [&](int64_t i, auto tail) { return load(s.a + i, tail) + load(s.b + i, tail); });
}
PF_INSTANTIATE(add, AddArgs)

// out has been read when it is written: there is no line to save the reading of.
template <typename T>
void accumulate(const AccumulateArgs<T>& s) {
    fill_blocks(s.out, s.N, kept(reach_of<T>(2 * s.N)),
                [&](int64_t i, auto tail) { return load(s.out + i, tail) + load(s.x + i, tail); });
}
PF_INSTANTIATE(accumulate, AccumulateArgs)

}  // namespace plainformer::PF_ISA
