// Activations, forward and backward. Formulas: plainformer/activation.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "isa/activations.h"  // Relu, Gelu, ..., with_activation
#include "isa/rows.h"         // fill, fill_blocks, fill_two, for_rows

namespace plainformer::PF_ISA {

template <typename T>
void activation(const ActivationArgs<T>& s) {
    const Reach reach = reach_of<T>(2 * s.N);
    with_activation(s.kind, [&](auto f) {
        fill_blocks(s.y, s.N, reach,
                    [&](int64_t i, auto tail) { return f.value(load(s.x + i, tail)); });
    });
}
PF_INSTANTIATE(activation, ActivationArgs)

template <typename T>
void activation_backward(const ActivationBackwardArgs<T>& s) {
    const Reach reach = reach_of<T>(3 * s.N);
    with_activation(s.kind, [&](auto f) {
        fill_blocks(s.dx, s.N, reach, [&](int64_t i, auto tail) {
            return f.gradient(load(s.x + i, tail), load(s.dy + i, tail));
        });
    });
}
PF_INSTANTIATE(activation_backward, ActivationBackwardArgs)

template <typename T>
void gated_activation(const GatedActivationArgs<T>& s) {
    const Reach reach = reach_of<T>(3 * s.N * s.C);
    with_activation(s.kind, [&](auto f) {
        for_rows(s.N, s.C, reach, [&](int64_t n) {
            const T *gate = s.gate + n * s.gate_stride, *up = s.up + n * s.up_stride;
            fill(s.y + n * s.C, s.C, reach, [&](int64_t c, auto tail) {
                return f.value(load(gate + c, tail)) * load(up + c, tail);
            });
        });
    });
}
PF_INSTANTIATE(gated_activation, GatedActivationArgs)

template <typename T>
void gated_activation_backward(const GatedActivationBackwardArgs<T>& s) {
    const Reach reach = reach_of<T>(5 * s.N * s.C);
    with_activation(s.kind, [&](auto f) {
        for_rows(s.N, s.C, reach, [&](int64_t n) {
            const T *gate = s.gate + n * s.gate_stride, *up = s.up + n * s.up_stride;
            const T* dy = s.dy + n * s.dy_stride;
            fill_two(s.dgate + n * s.C, s.dup + n * s.C, s.C, reach,
                     [&](int64_t c, auto tail) -> TwoRegisters<T> {
                         const auto g = load(gate + c, tail), d = load(dy + c, tail);
                         return {f.gradient(g, d * load(up + c, tail)), d * f.value(g)};
                     });
        });
    });
}
PF_INSTANTIATE(gated_activation_backward, GatedActivationBackwardArgs)

}  // namespace plainformer::PF_ISA
