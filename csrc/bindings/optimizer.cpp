#include "checks/optimizer.h"

#include <type_traits>

#include "families.h"
#include "function.h"

namespace plainformer {

namespace {

// The lists of one step; those it has no use for are None, all others have an entry a parameter.
struct StepLists {
    const ArrayList &params, &grads, &moments, &squares, &masters;

    bool are_equally_long() const {
        for (const ArrayList* list : {&moments, &squares, &masters})
            if (!list->is_none() && list->size() != params.size()) return false;
        return grads.size() == params.size();
    }
    StepArrays operator[](size_t i) const {
        return {params[i], grads[i], moments[i], squares[i], masters[i]};
    }
};

// True when the step was taken, None when a list is not canonical.
template <typename TakeStep>
py::object take(const StepLists& lists, TakeStep take_step) {
    const size_t count = lists.params.size();
    if (!lists.are_equally_long()) return py::none();
    if (count == 0) return py::bool_(true);
    return for_dtype(lists.params[0].dtype(), [&](auto type) -> py::object {
        Step<decltype(type)> step(count);
        for (size_t i = 0; i < count; ++i)
            if (!step.add(lists[i])) return py::none();
        if (!step.are_apart()) return py::none();
        take_step(step.slots);
        return py::bool_(true);
    });
}

py::object adamw_step(const ArrayList& params, const ArrayList& grads, const ArrayList& exp_avgs,
                      const ArrayList& exp_avg_sqs, const ArrayList& masters, double lr,
                      double beta1, double beta2, double eps, double weight_decay,
                      double grad_scale, double correction1, double correction2) {
    if (exp_avgs.is_none() || exp_avg_sqs.is_none()) return py::none();
    return take({params, grads, exp_avgs, exp_avg_sqs, masters}, [&](auto& slots) {
        using T = std::remove_pointer_t<decltype(slots[0].p)>;
        AdamWStepArgs<T> s{};
        s.slots = slots.data(), s.count = static_cast<int64_t>(slots.size());
        s.rule.lr = lr, s.rule.beta1 = beta1, s.rule.beta2 = beta2, s.rule.eps = eps;
        s.rule.weight_decay = weight_decay, s.rule.grad_scale = grad_scale;
        s.rule.correction1 = correction1, s.rule.correction2 = correction2;
        run(dispatch<T>().adamw_step, s);
    });
}

py::object sgd_step(const ArrayList& params, const ArrayList& grads, const ArrayList& buffers,
                    const ArrayList& masters, double lr, double momentum, double weight_decay,
                    double grad_scale, bool nesterov) {
    const ArrayList no_squares{py::none()};
    return take({params, grads, buffers, no_squares, masters}, [&](auto& slots) {
        using T = std::remove_pointer_t<decltype(slots[0].p)>;
        SgdStepArgs<T> s{};
        s.slots = slots.data(), s.count = static_cast<int64_t>(slots.size());
        s.rule.lr = lr, s.rule.momentum = momentum, s.rule.weight_decay = weight_decay;
        s.rule.grad_scale = grad_scale, s.rule.nesterov = nesterov;
        run(dispatch<T>().sgd_step, s);
    });
}

// One type's gradients, the others skipped; `found` counts those taken.
template <typename T>
double squared_norm_of(const ArrayList& grads, size_t* found) {
    std::vector<ParameterSlot<T>> slots;
    for (size_t i = 0; i < grads.size(); ++i) {
        const ArrayView grad = grads[i];
        if (!grad.contiguous() || grad.dtype() != dtype_of<T>) continue;
        ParameterSlot<T> slot{};
        slot.grad = grad.data<T>();
        slot.size = grad.size();
        slots.push_back(slot);
    }
    *found += slots.size();
    double result = 0;
    SquaredNormArgs<T> s{};
    s.result = &result;
    s.slots = slots.data(), s.count = static_cast<int64_t>(slots.size());
    if (s.count > 0) run(dispatch<T>().squared_norm, s);
    return result;
}

py::object squared_norm(const ArrayList& grads) {
    size_t found = 0;
    double sum = 0;
    for_each_type([&](auto type) { sum += squared_norm_of<decltype(type)>(grads, &found); });
    return found == grads.size() ? py::object(py::float_(sum)) : py::object(py::none());
}

}  // namespace

void bind_optimizer(py::module_& module) {
    def<&adamw_step>(module, "adamw_step");
    def<&sgd_step>(module, "sgd_step");
    def<&squared_norm>(module, "squared_norm");
}

}  // namespace plainformer
