// Optimizer steps and the gradient norm: one launch for all tensors of a call. Kernels:
// optimizer.cuh, squared_norm.cuh
#include "optimizer.cuh"

#include <cmath>
#include <vector>

#include "operations.h"
#include "plainformer/arith.h"
#include "squared_norm.cuh"

namespace plainformer::cuda {

namespace {

// The tensors on the device, and how many blocks they make.
template <typename T>
struct UploadedSlots {
    SlotList<T> list;
    int64_t blocks;
};

template <typename T>
UploadedSlots<T> upload_slots(const ParameterSlot<T>* slots, int64_t count, Context& context) {
    std::vector<PlacedSlot<T>> placed;
    placed.reserve(static_cast<size_t>(count));
    int64_t blocks = 0;
    for (int64_t i = 0; i < count; ++i) {
        if (slots[i].size == 0) continue;
        placed.push_back({slots[i], blocks});
        blocks += ceil_div(slots[i].size, slot_block_elements);
    }
    const int64_t kept = static_cast<int64_t>(placed.size());
    return {{kept ? context.upload(placed.data(), kept) : nullptr, kept}, blocks};
}

LaunchConfig block_config(int64_t blocks, int threads, size_t shared_bytes, Context& context) {
    LaunchConfig config{};
    config.grid = dim3(static_cast<unsigned>(blocks));
    config.block = dim3(static_cast<unsigned>(threads));
    config.shared_bytes = shared_bytes;
    config.stream = context.stream();
    return config;
}

template <typename T, typename Rule>
void launch_step(const ParameterSlot<T>* slots, int64_t count, const Rule& rule, Context& context) {
    const UploadedSlots<T> uploaded = upload_slots(slots, count, context);
    if (uploaded.blocks == 0) return;
    launch(block_config(uploaded.blocks, slot_block_threads, 0, context), take_step<T, Rule>,
           uploaded.list, rule);
}

}  // namespace

template <typename T>
void adamw_step(const AdamWStepArgs<T>& s, Context& context) {
    const AdamWRule& o = s.rule;
    const auto single = [](double x) { return static_cast<float>(x); };
    AdamW rule{};
    rule.keep = single(1 - o.lr * o.weight_decay), rule.grad_scale = single(o.grad_scale);
    rule.beta1 = single(o.beta1), rule.one_minus_beta1 = single(1 - o.beta1);
    rule.beta2 = single(o.beta2), rule.one_minus_beta2 = single(1 - o.beta2);
    rule.step_size = single(o.lr / o.correction1), rule.eps = single(o.eps);
    rule.denominator_scale = single(1 / std::sqrt(o.correction2));
    launch_step(s.slots, s.count, rule, context);
}
PF_INSTANTIATE(adamw_step, AdamWStepArgs)

template <typename T>
void sgd_step(const SgdStepArgs<T>& s, Context& context) {
    const SgdRule& o = s.rule;
    const auto single = [](double x) { return static_cast<float>(x); };
    const Sgd rule{single(o.lr), single(o.momentum), single(o.weight_decay), single(o.grad_scale),
                   o.nesterov};
    launch_step(s.slots, s.count, rule, context);
}
PF_INSTANTIATE(sgd_step, SgdStepArgs)

template <typename T>
void squared_norm(const SquaredNormArgs<T>& s, Context& context) {
    *s.result = 0;
    const UploadedSlots<T> uploaded = upload_slots(s.slots, s.count, context);
    if (uploaded.blocks == 0) return;
    double* const parts = context.workspace<double>(uploaded.blocks + 1);
    double* const sum = parts + uploaded.blocks;
    launch(block_config(uploaded.blocks, slot_block_threads, sizeof(SquaresShared), context),
           square_blocks<T>, parts, uploaded.list);
    launch(block_config(1, square_sum_threads, sizeof(SquaresShared), context), sum_squares, sum,
           parts, uploaded.blocks);
    context.download(s.result, sum, 1);
}
PF_INSTANTIATE(squared_norm, SquaredNormArgs)

}  // namespace plainformer::cuda
