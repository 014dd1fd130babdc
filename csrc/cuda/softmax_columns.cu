// softmax along an axis that is not the last: grids. Kernels: softmax_columns.cuh
#include "softmax_columns.cuh"

#include "operations.h"
#include "plainformer/arith.h"
#include "softmax_columns.h"

namespace plainformer::cuda {

namespace {

// Blocks of columns of one matrix, and all that are launched for N matrices.
template <typename T, int W>
int64_t column_blocks(int64_t M) {
    return ceil_div(M, ColumnBlock<T, W>::columns);
}
LaunchConfig column_grid(int64_t blocks, const Context& context) {
    LaunchConfig config{};
    config.grid = dim3(static_cast<unsigned>(blocks));
    config.block = dim3(column_threads);
    config.shared_bytes = sizeof(ColumnShared);
    config.stream = context.stream();
    return config;
}

template <typename T, int W>
void launch_columns(const SoftmaxArgs<T>& s, const Context& context) {
    const int64_t blocks = column_blocks<T, W>(s.M);
    launch(column_grid(s.N * blocks, context), softmax_columns<T, W>, s, Divisor(blocks));
}

template <typename T, int W>
void launch_backward_columns(const SoftmaxBackwardArgs<T>& s, const Context& context) {
    const int64_t blocks = column_blocks<T, W>(s.M);
    launch(column_grid(s.N * blocks, context), softmax_backward_columns<T, W>, s, Divisor(blocks));
}

}  // namespace

template <typename T>
void softmax_along_columns(const SoftmaxArgs<T>& s, Context& context) {
    const bool fits = is_vector_aligned(s.y, s.M) && is_vector_aligned(s.x, s.x_stride);
    fits ? launch_columns<T, vector_width<T>>(s, context) : launch_columns<T, 1>(s, context);
}
PF_INSTANTIATE(softmax_along_columns, SoftmaxArgs)

template <typename T>
void softmax_backward_along_columns(const SoftmaxBackwardArgs<T>& s, Context& context) {
    const bool fits = is_vector_aligned(s.dx, s.M) && is_vector_aligned(s.dy, s.dy_stride) &&
                      is_vector_aligned(s.y, s.y_stride);
    fits ? launch_backward_columns<T, vector_width<T>>(s, context)
         : launch_backward_columns<T, 1>(s, context);
}
PF_INSTANTIATE(softmax_backward_along_columns, SoftmaxBackwardArgs)

}  // namespace plainformer::cuda
