// Activations: grids. Kernels: activation.cuh
#include "activation.cuh"

#include "elementwise_launch.h"
#include "operations.h"
#include "row_grid.h"  // are_chunks

namespace plainformer::cuda {

namespace {

template <typename T, int W>
void launch_activation(const ActivationArgs<T>& s, const Context& context) {
    launch(elementwise_grid(s.N / W, chunks_in_flight<W, 1>, context), activation_elements<T, W>,
           s);
}

template <typename T, int W>
void launch_activation_backward(const ActivationBackwardArgs<T>& s, const Context& context) {
    launch(elementwise_grid(s.N / W, chunks_in_flight<W, 2>, context),
           activation_backward_elements<T, W>, s);
}

template <typename T, int W>
void launch_gated(const GatedActivationArgs<T>& s, const Context& context) {
    launch(elementwise_grid(s.N * (s.C / W), chunks_in_flight<W, 2>, context),
           gated_activation_rows<T, W>, s, Divisor(s.C / W));
}

template <typename T, int W>
void launch_gated_backward(const GatedActivationBackwardArgs<T>& s, const Context& context) {
    launch(elementwise_grid(s.N * (s.C / W), chunks_in_flight<W, 4>, context),
           gated_activation_backward_rows<T, W>, s, Divisor(s.C / W));
}

}  // namespace

template <typename T>
void activation(const ActivationArgs<T>& s, Context& context) {
    if (s.N == 0) return;
    constexpr int W = vector_width<T>;
    const bool in_chunks = are_chunks<W>(s.N, {s.y, s.x}, {});
    in_chunks ? launch_activation<T, W>(s, context) : launch_activation<T, 1>(s, context);
}
PF_INSTANTIATE(activation, ActivationArgs)

template <typename T>
void activation_backward(const ActivationBackwardArgs<T>& s, Context& context) {
    if (s.N == 0) return;
    constexpr int W = vector_width<T>;
    const bool in_chunks = are_chunks<W>(s.N, {s.dx, s.dy, s.x}, {});
    in_chunks ? launch_activation_backward<T, W>(s, context)
              : launch_activation_backward<T, 1>(s, context);
}
PF_INSTANTIATE(activation_backward, ActivationBackwardArgs)

template <typename T>
void gated_activation(const GatedActivationArgs<T>& s, Context& context) {
    if (s.N == 0 || s.C == 0) return;
    constexpr int W = vector_width<T>;
    const bool in_chunks = are_chunks<W>(s.C, {s.y, s.gate, s.up}, {s.gate_stride, s.up_stride});
    in_chunks ? launch_gated<T, W>(s, context) : launch_gated<T, 1>(s, context);
}
PF_INSTANTIATE(gated_activation, GatedActivationArgs)

template <typename T>
void gated_activation_backward(const GatedActivationBackwardArgs<T>& s, Context& context) {
    if (s.N == 0 || s.C == 0) return;
    constexpr int W = vector_width<T>;
    const bool in_chunks = are_chunks<W>(s.C, {s.dgate, s.dup, s.dy, s.gate, s.up},
                                         {s.dy_stride, s.gate_stride, s.up_stride});
    in_chunks ? launch_gated_backward<T, W>(s, context) : launch_gated_backward<T, 1>(s, context);
}
PF_INSTANTIATE(gated_activation_backward, GatedActivationBackwardArgs)

}  // namespace plainformer::cuda
