// Rotary position embedding: grid. Kernel: rotary.cuh
#include "rotary.cuh"

#include "operations.h"
#include "plainformer/arith.h"

namespace plainformer::cuda {

namespace {

template <typename T>
RowAxes row_axes(const RotaryArgs<T>& s) {
    RowAxes axes;
    int64_t length = 1;  // of the axis that grows, and the stride of its elements
    int64_t& stride = axes.first_stride;
    for (int i = s.row_ndim - 1; i >= 0; --i) {
        if (s.rows[i] == 1) continue;
        if (length > 1 && s.x_row[i] != length * stride) {
            axes.lengths[axes.count] = Divisor(length);
            axes.strides[axes.count++] = stride;
            length = 1;
        }
        if (length == 1) stride = s.x_row[i];
        length *= s.rows[i];
    }
    return axes;
}

// Whether all that the kernel moves lies at multiples of 16 bytes.
template <typename T>
bool is_rotary_in_chunks(const RotaryArgs<T>& s) {
    constexpr int W = vector_width<T>;
    bool fits = is_vector_aligned(s.x, s.x_head) && is_vector_aligned(s.y, s.D);
    for (int i = 0; i < s.row_ndim; ++i) fits &= s.x_row[i] % W == 0;
    return fits && is_vector_aligned(s.cos, s.cos_row) && is_vector_aligned(s.sin, s.sin_row) &&
           s.R % (2 * W) == 0;
}

template <typename T, int W>
void launch_rotary(const RotaryArgs<T>& s, Context& context) {
    const int64_t units = s.R / 2 / W + ceil_div(s.D - s.R, 2 * W);
    const int64_t groups = ceil_div(s.H, rotary_heads);
    LaunchConfig config{};
    config.grid = dim3(static_cast<unsigned>(ceil_div(s.N * groups * units, rotary_threads)));
    config.block = dim3(rotary_threads);
    config.stream = context.stream();
    launch(config, rotary_rows<T, W>, s, row_axes(s), Divisor(units), Divisor(groups),
           context.errors());
}

}  // namespace

template <typename T>
void rotary(const RotaryArgs<T>& s, Context& context) {
    if (s.N == 0 || s.H == 0 || s.D == 0) return;
    if (is_rotary_in_chunks(s))
        launch_rotary<T, vector_width<T>>(s, context);
    else
        launch_rotary<T, 1>(s, context);
}
PF_INSTANTIATE(rotary, RotaryArgs)

}  // namespace plainformer::cuda
