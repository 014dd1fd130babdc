// Dropout: grid. Kernel: dropout.cuh
#include "dropout.cuh"

#include "elementwise_launch.h"
#include "operations.h"
#include "row_grid.h"  // are_chunks

namespace plainformer::cuda {

namespace {

template <typename T, int W>
void launch_dropout(const DropoutArgs<T>& s, const Context& context) {
    const int64_t per_row = ceil_div(s.C, dropout_columns);
    launch(elementwise_grid(s.N * per_row, dropout_groups<T>, context), dropout_rows<T, W>, s,
           static_cast<float>(s.rule.scale), Divisor(per_row));
}

}  // namespace

template <typename T>
void dropout(const DropoutArgs<T>& s, Context& context) {
    if (s.N == 0 || s.C == 0) return;
    constexpr int W = vector_width<T>;
    const bool in_chunks = are_chunks<W>(s.C, {s.y, s.x}, {s.x_stride});
    in_chunks ? launch_dropout<T, W>(s, context) : launch_dropout<T, 1>(s, context);
}
PF_INSTANTIATE(dropout, DropoutArgs)

}  // namespace plainformer::cuda
