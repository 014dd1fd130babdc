// The elementwise half of a linear layer's backward: grids. Kernels: linear_grad.cuh
#include "linear_grad.cuh"

#include "column_sums.h"
#include "operations.h"

namespace plainformer::cuda {

namespace {

// Rows of a block, one partial row of sums each: 1 / 64 of the memory traffic. More where there
// would be more partial rows than one block each adds up quickly.
constexpr int64_t part_rows = 128, most_parts = 1024;

template <typename T, int W>
void launch_rows(const LinearGradArgs<T>& s, Context& context) {
    const int64_t rows = greatest(part_rows, ceil_div(s.M, most_parts));
    const int64_t count = ceil_div(s.M, rows);
    float* const parts = s.grad_bias ? context.workspace<float>(count * s.N) : nullptr;
    if (count > 0) {
        LaunchConfig config{};
        config.grid =
            dim3(static_cast<unsigned>(ceil_div(s.N, W * warp_size)), static_cast<unsigned>(count));
        config.block = dim3(linear_grad_warps * warp_size);
        config.shared_bytes = sizeof(LinearGradShared<W>);
        config.stream = context.stream();
        launch(config, linear_grad_rows<T, W>, s, parts, rows);
    }
    if (s.grad_bias) sum_columns(s.grad_bias, parts, count, s.N, context);
}

}  // namespace

template <typename T>
void linear_grad(const LinearGradArgs<T>& s, Context& context) {
    if (s.N == 0) return;
    constexpr int W = vector_width<T>;
    const bool in_chunks = s.N % W == 0 && is_vector_aligned(s.grad_y, s.grad_y_row) &&
                           is_vector_aligned(s.grad_z) && is_vector_aligned(s.z);
    in_chunks ? launch_rows<T, W>(s, context) : launch_rows<T, 1>(s, context);
}
PF_INSTANTIATE(linear_grad, LinearGradArgs)

}  // namespace plainformer::cuda
