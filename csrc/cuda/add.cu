// Elementwise sums: grids. Kernels: add.cuh
#include "add.cuh"

#include "elementwise_launch.h"
#include "operations.h"
#include "row_grid.h"  // are_chunks

namespace plainformer::cuda {

namespace {

template <typename T, int W>
void launch_add(const AddArgs<T>& s, const Context& context) {
    launch(elementwise_grid(s.N / W, chunks_in_flight<W, 2>, context), add_elements<T, W>, s);
}

template <typename T, int W>
void launch_accumulate(const AccumulateArgs<T>& s, const Context& context) {
    launch(elementwise_grid(s.N / W, chunks_in_flight<W, 2>, context), accumulate_elements<T, W>,
           s);
}

}  // namespace

template <typename T>
void add(const AddArgs<T>& s, Context& context) {
    if (s.N == 0) return;
    constexpr int W = vector_width<T>;
    const bool in_chunks = are_chunks<W>(s.N, {s.y, s.a, s.b}, {});
    in_chunks ? launch_add<T, W>(s, context) : launch_add<T, 1>(s, context);
}
PF_INSTANTIATE(add, AddArgs)

template <typename T>
void accumulate(const AccumulateArgs<T>& s, Context& context) {
    if (s.N == 0) return;
    constexpr int W = vector_width<T>;
    const bool in_chunks = are_chunks<W>(s.N, {s.out, s.x}, {});
    in_chunks ? launch_accumulate<T, W>(s, context) : launch_accumulate<T, 1>(s, context);
}
PF_INSTANTIATE(accumulate, AccumulateArgs)

}  // namespace plainformer::cuda
