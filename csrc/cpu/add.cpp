// Elementwise sum. Formula and shapes: plainformer/add.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "plainformer/add.h"

#include "isa/vec.h"              // Vec, load, store, for_lanes
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

// A block is large enough that handing it out costs nothing beside the 12 bytes an element.
constexpr int64_t block = 1 << 15;

template <typename T>
void add(const AddArgs<T>& s) {
    parallel_for((s.N + block - 1) / block, 1, [&](int64_t task) {
        const int64_t begin = task * block;
        const int64_t size = s.N - begin < block ? s.N - begin : block;
        for_lanes<T>(size, [&](int64_t i, auto tail) {
            store(s.y + begin + i, tail, load(s.a + begin + i, tail) + load(s.b + begin + i, tail));
        });
    });
}
PF_INSTANTIATE(add, AddArgs)

}  // namespace plainformer::PF_ISA
