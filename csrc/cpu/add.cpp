// Elementwise sum. Formula and shapes: plainformer/add.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "plainformer/add.h"

#include "isa/vec.h"              // Vec, load, store, for_lanes
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

// A block is large enough that handing it out costs nothing beside the 12 bytes an element.
constexpr int64_t block = 1 << 15;

// f(begin, size) for every block of N elements.
template <typename F>
static void for_blocks(int64_t N, const F& f) {
    parallel_for((N + block - 1) / block, 1, [&](int64_t task) {
        const int64_t begin = task * block;
        f(begin, N - begin < block ? N - begin : block);
    });
}

template <typename T>
void add(const AddArgs<T>& s) {
    for_blocks(s.N, [&](int64_t begin, int64_t size) {
        for_lanes<T>(size, [&](int64_t i, auto tail) {
            store(s.y + begin + i, tail, load(s.a + begin + i, tail) + load(s.b + begin + i, tail));
        });
    });
}
PF_INSTANTIATE(add, AddArgs)

template <typename T>
void accumulate(const AccumulateArgs<T>& s) {
    for_blocks(s.N, [&](int64_t begin, int64_t size) {
        for_lanes<T>(size, [&](int64_t i, auto tail) {
            const auto sum = load(s.out + begin + i, tail) + load(s.x + begin + i, tail);
            store(s.out + begin + i, tail, sum);
        });
    });
}
PF_INSTANTIATE(accumulate, AccumulateArgs)

}  // namespace plainformer::PF_ISA
