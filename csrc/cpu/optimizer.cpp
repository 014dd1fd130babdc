// Optimizer steps and the gradient norm. Formulas and shapes: plainformer/optimizer.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
//
// All tensors of a call are cut into blocks of one size and handed out together: a model has many
// small tensors, and one fork-join a tensor would cost more than their arithmetic.
#include "plainformer/optimizer.h"
#include "isa/vec.h"              // Vec, load, store, for_lanes
#include "runtime/allocator.h"    // Scratch
#include "runtime/caches.h"       // outgrows_caches
#include "runtime/thread_pool.h"  // parallel_for
#include "tuning.h"

namespace plainformer::PF_ISA {

namespace {

int64_t blocks_of(int64_t size) { return ceil_div(size, task_elements); }

// f(slot, begin, size, number) for every block of every tensor; `number` counts all blocks.
template <typename T, typename F>
void for_slot_blocks(const ParameterSlot<T>* slots, int64_t count, const F& f) {
    Scratch<int64_t> first(count + 1);
    first.data[0] = 0;
    for (int64_t i = 0; i < count; ++i)
        first.data[i + 1] = first.data[i] + blocks_of(slots[i].size);
    parallel_for(first.data[count], 1, [&](int64_t number) {
        int64_t low = 0, high = count;  // the last tensor that starts at or before this block
        while (high - low > 1) {
            const int64_t middle = (low + high) / 2;
            (first.data[middle] <= number ? low : high) = middle;
        }
        const int64_t begin = (number - first.data[low]) * task_elements;
        const int64_t rest = slots[low].size - begin;
        f(slots[low], begin, least(rest, task_elements), number);
    });
}

// f(i, tail, g) for the elements [begin, begin + size) of a tensor, g their gradient.
template <typename T, typename F>
PF_INLINE void for_gradient(const ParameterSlot<T>& slot, int64_t begin, int64_t size, const F& f) {
    if (slot.grad_acc)
        for_lanes<T>(size, [&](int64_t i, auto tail) {
            f(begin + i, tail, load(slot.grad_acc + begin + i, tail));
        });
    else
        for_lanes<T>(size, [&](int64_t i, auto tail) {
            f(begin + i, tail, load(slot.grad + begin + i, tail));
        });
}

template <typename T, typename Lanes>
PF_INLINE VecOf<T> load_parameter(const ParameterSlot<T>& slot, int64_t i, Lanes tail) {
    return slot.master ? load(slot.master + i, tail) : load(slot.p + i, tail);
}

template <typename T, typename Lanes>
PF_INLINE void store_parameter(const ParameterSlot<T>& slot, int64_t i, Lanes tail, VecOf<T> p) {
    if (slot.master) store(slot.master + i, tail, p);
    store(slot.p + i, tail, p);
}

}  // namespace

template <typename T>
void adamw_step(const AdamWStepArgs<T>& s) {
    using A = acc_t<T>;
    const auto splat = [](double x) { return VecOf<T>(static_cast<A>(x)); };
    const AdamWRule& o = s.rule;
    const auto keep = splat(1 - o.lr * o.weight_decay), scale = splat(o.grad_scale);
    const auto beta1 = splat(o.beta1), one_minus_beta1 = splat(1 - o.beta1);
    const auto beta2 = splat(o.beta2), one_minus_beta2 = splat(1 - o.beta2);
    const auto step_size = splat(o.lr / o.correction1), eps = splat(o.eps);
    const auto denominator_scale = splat(1 / __builtin_sqrt(o.correction2));
    for_slot_blocks(s.slots, s.count, [&](const auto& slot, int64_t begin, int64_t size, int64_t) {
        for_gradient(slot, begin, size, [&](int64_t i, auto tail, auto raw) {
            const auto g = raw * scale;
            const auto m = fma(beta1, load(slot.m + i, tail), one_minus_beta1 * g);
            const auto v = fma(beta2, load(slot.v + i, tail), one_minus_beta2 * g * g);
            const auto update = m / fma(sqrt(v), denominator_scale, eps);
            const auto p = fnma(step_size, update, load_parameter(slot, i, tail) * keep);
            store(slot.m + i, tail, m);
            store(slot.v + i, tail, v);
            store_parameter(slot, i, tail, p);
        });
    });
}
PF_INSTANTIATE(adamw_step, AdamWStepArgs)

template <typename T>
void sgd_step(const SgdStepArgs<T>& s) {
    using A = acc_t<T>;
    const auto splat = [](double x) { return VecOf<T>(static_cast<A>(x)); };
    const SgdRule& o = s.rule;
    const auto lr = splat(o.lr), momentum = splat(o.momentum), decay = splat(o.weight_decay);
    const auto scale = splat(o.grad_scale);
    for_slot_blocks(s.slots, s.count, [&](const auto& slot, int64_t begin, int64_t size, int64_t) {
        for_gradient(slot, begin, size, [&](int64_t i, auto tail, auto raw) {
            const auto p = load_parameter(slot, i, tail);
            const auto g = fma(decay, p, raw * scale);
            auto direction = g;
            if (slot.m) {
                const auto buffer = fma(momentum, load(slot.m + i, tail), g);
                store(slot.m + i, tail, buffer);
                direction = o.nesterov ? fma(momentum, buffer, g) : buffer;
            }
            store_parameter(slot, i, tail, fnma(lr, direction, p));
        });
    });
}
PF_INSTANTIATE(sgd_step, SgdStepArgs)

namespace {

// In double, for the rare block whose squares leave float32's range.
template <typename G>
double squares_in_double(const G* g, int64_t size) {
    double sum = 0;
    for (int64_t i = 0; i < size; ++i) {
        const double x = to_float(g[i]);
        sum += x * x;
    }
    return sum;
}

// total += the squares of `runs` neighboring runs of g, each summed by itself and added in order.
// Several at once: one alone would wait for its own additions. From memory it need not, and one
// stream is prefetched best.
template <int runs, typename G>
PF_INLINE void add_squares(double* total, const G* g, int64_t size_of_run) {
    VecOf<G> sums[runs];
    for (auto& sum : sums) sum = VecOf<G>(acc_t<G>(0));
    for_lanes<G>(size_of_run, [&](int64_t i, auto tail) {
        for (int run = 0; run < runs; ++run) {
            const auto x = load(g + run * size_of_run + i, tail);
            sums[run] = fma(x, x, sums[run]);
        }
    });
    for (const auto& sum : sums) *total += reduce_add(sum);
}

// Lanes are emptied into a double every few hundred additions, so that float32 keeps seven digits.
template <typename G>
double squared_norm_of_block(const G* g, int64_t size, bool from_memory) {
    constexpr int64_t run = squares_in_float;
    double total = 0;
    int64_t i = 0;
    for (; !from_memory && i + 4 * run <= size; i += 4 * run) add_squares<4>(&total, g + i, run);
    for (; i < size; i += run) add_squares<1>(&total, g + i, least(size - i, run));
    constexpr double smallest = 1e-25, largest = 1e37;  // squares are normal numbers in between
    const bool in_range = total > smallest && total < largest;
    return in_range ? total : squares_in_double(g, size);
}

}  // namespace

template <typename T>
void squared_norm(const SquaredNormArgs<T>& s) {
    int64_t blocks = 0, bytes = 0;
    for (int64_t i = 0; i < s.count; ++i) {
        const auto& slot = s.slots[i];
        blocks += blocks_of(slot.size);
        bytes += slot.size * static_cast<int64_t>(slot.grad_acc ? sizeof(acc_t<T>) : sizeof(T));
    }
    const bool from_memory = outgrows_caches(bytes);
    const Scratch<double> partial(blocks);
    for_slot_blocks(s.slots, s.count,
                    [&](const auto& slot, int64_t begin, int64_t size, int64_t i) {
                        const auto norm = [&](const auto* grad) {
                            return squared_norm_of_block(grad + begin, size, from_memory);
                        };
                        partial.data[i] = slot.grad_acc ? norm(slot.grad_acc) : norm(slot.grad);
                    });
    *s.result = 0;
    for (int64_t i = 0; i < blocks; ++i) *s.result += partial.data[i];
}
PF_INSTANTIATE(squared_norm, SquaredNormArgs)

}  // namespace plainformer::PF_ISA
