// Activations, forward and backward. Formulas: plainformer/activation.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "isa/activations.h"  // Relu, Gelu, ..., with_activation
#include "isa/rows.h"         // for_blocks, put

namespace plainformer::PF_ISA {

template <typename T>
void activation(const ActivationArgs<T>& s) {
    const bool past_caches = goes_past_caches<T>(s.N);
    with_activation(s.kind, [&](auto f) {
        for_blocks(s.y, s.x, s.N, past_caches, [&](int64_t i, auto tail) {
            put(s.y + i, tail, f.value(load(s.x + i, tail)), past_caches);
        });
    });
}
PF_INSTANTIATE(activation, ActivationArgs)

template <typename T>
void activation_backward(const ActivationBackwardArgs<T>& s) {
    const bool past_caches = goes_past_caches<T>(s.N);
    with_activation(s.kind, [&](auto f) {
        for_blocks(s.dx, s.x, s.N, past_caches, [&](int64_t i, auto tail) {
            const auto dx = f.gradient(load(s.x + i, tail), load(s.dy + i, tail));
            put(s.dx + i, tail, dx, past_caches);
        });
    });
}
PF_INSTANTIATE(activation_backward, ActivationBackwardArgs)

template <typename T>
void gated_activation(const GatedActivationArgs<T>& s) {
    with_activation(s.kind, [&](auto f) {
        for_rows(s.N, s.C, false, [&](int64_t n) {
            const T *gate = s.gate + n * s.gate_stride, *up = s.up + n * s.up_stride;
            for_lanes_to(s.y + n * s.C, gate, s.C, false, [&](int64_t c, auto tail) {
                const auto v = f.value(load(gate + c, tail)) * load(up + c, tail);
                store(s.y + n * s.C + c, tail, v);
            });
        });
    });
}
PF_INSTANTIATE(gated_activation, GatedActivationArgs)

template <typename T>
void gated_activation_backward(const GatedActivationBackwardArgs<T>& s) {
    with_activation(s.kind, [&](auto f) {
        for_rows(s.N, s.C, false, [&](int64_t n) {
            const T *gate = s.gate + n * s.gate_stride, *up = s.up + n * s.up_stride;
            const T* dy = s.dy + n * s.dy_stride;
            for_lanes_to(s.dgate + n * s.C, gate, s.C, false, [&](int64_t c, auto tail) {
                const auto g = load(gate + c, tail), d = load(dy + c, tail);
                store(s.dup + n * s.C + c, tail, d * f.value(g));
                store(s.dgate + n * s.C + c, tail, f.gradient(g, d * load(up + c, tail)));
            });
        });
    });
}
PF_INSTANTIATE(gated_activation_backward, GatedActivationBackwardArgs)

}  // namespace plainformer::PF_ISA
