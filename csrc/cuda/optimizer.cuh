// Optimizer steps and the gradient norm. Formulas: plainformer/optimizer.h
//
// The arithmetic of csrc/cpu/optimizer.cpp in the same order: constants are made in double, steps
// taken in float32.
#pragma once
#include "parameter_slots.cuh"

namespace plainformer::cuda {

template <int W, typename T>
__device__ __forceinline__ void load_parameters(float (&p)[W], const ParameterSlot<T>& slot,
                                                int64_t i) {
    if (slot.master)
        to_floats(p, load_chunk<W>(slot.master + i));
    else
        to_floats(p, load_chunk<W>(slot.p + i));
}

template <int W, typename T>
__device__ __forceinline__ void store_parameters(const ParameterSlot<T>& slot, int64_t i,
                                                 const float (&p)[W]) {
    if (slot.master) store_chunk(slot.master + i, to_chunk<float>(p));
    store_chunk(slot.p + i, to_chunk<T>(p));
}

struct AdamW {
    float keep, grad_scale, beta1, one_minus_beta1, beta2, one_minus_beta2;
    float step_size, denominator_scale, eps;

    template <int W, typename T>
    __device__ __forceinline__ void take(const ParameterSlot<T>& slot, int64_t i) {
        float g[W], m[W], v[W], p[W];
        load_gradient(g, slot, i);
        to_floats(m, load_chunk<W>(slot.m + i));
        to_floats(v, load_chunk<W>(slot.v + i));
        load_parameters(p, slot, i);
#pragma unroll
        for (int j = 0; j < W; ++j) {
            const float scaled = g[j] * grad_scale;
            m[j] = fmaf(beta1, m[j], one_minus_beta1 * scaled);
            v[j] = fmaf(beta2, v[j], one_minus_beta2 * scaled * scaled);
            const float update = m[j] / fmaf(sqrtf(v[j]), denominator_scale, eps);
            p[j] = fmaf(-step_size, update, p[j] * keep);
        }
        store_chunk(slot.m + i, to_chunk<float>(m));
        store_chunk(slot.v + i, to_chunk<float>(v));
        store_parameters(slot, i, p);
    }
};

struct Sgd {
    float lr, momentum, weight_decay, grad_scale;
    bool nesterov;

    template <int W, typename T>
    __device__ __forceinline__ void take(const ParameterSlot<T>& slot, int64_t i) {
        float g[W], buffer[W], p[W];
        load_gradient(g, slot, i);
        if (slot.m) to_floats(buffer, load_chunk<W>(slot.m + i));
        load_parameters(p, slot, i);
#pragma unroll
        for (int j = 0; j < W; ++j) {
            g[j] = fmaf(weight_decay, p[j], g[j] * grad_scale);
            if (slot.m) {
                buffer[j] = fmaf(momentum, buffer[j], g[j]);
                g[j] = nesterov ? fmaf(momentum, buffer[j], g[j]) : buffer[j];
            }
            p[j] = fmaf(-lr, g[j], p[j]);
        }
        if (slot.m) store_chunk(slot.m + i, to_chunk<float>(buffer));
        store_parameters(slot, i, p);
    }
};

template <typename T, typename Rule>
__global__ void __launch_bounds__(slot_block_threads) take_step(SlotList<T> list, Rule rule) {
    for_block_elements(list, rule);
}

}  // namespace plainformer::cuda
