// The arrays that one step of an optimizer takes, a parameter at a time: a model has hundreds.
#pragma once
#include <vector>

#include "checks/outputs.h"
#include "plainformer/optimizer.h"

namespace plainformer {

// Of one parameter; none where the step has no such list.
struct StepArrays {
    ArrayView param, grad, moment, square, master;
};

// A step that is proved safe parameter by parameter.
template <typename T>
class Step {
  public:
    explicit Step(size_t count) : arrays_(5 * count) { slots.reserve(count); }

    std::vector<ParameterSlot<T>> slots;

    // False where an array is not what the step needs.
    bool add(const StepArrays& a) {
        ParameterSlot<T> slot{};
        slot.size = a.param.size();
        if (!is_writable(a.param, dtype_of<T>) || !set_gradient(a, &slot) ||
            !set_state(a.moment, a, slot.size, &slot.m) ||
            !set_state(a.square, a, slot.size, &slot.v) ||
            !set_state(a.master, a, slot.size, &slot.master))
            return false;
        slot.p = a.param.template mutable_data<T>();
        slots.push_back(slot);
        arrays_.add(slot.p, slot.size * a.param.item_size(), true);
        arrays_.add(a.grad.template data<void>(), slot.size * a.grad.item_size(), false);
        return true;
    }

    // Nothing that is written, all but the gradients, shares memory with anything else.
    bool are_apart() { return arrays_.are_apart(); }

  private:
    bool set_gradient(const StepArrays& a, ParameterSlot<T>* slot) {
        if (!a.grad.contiguous() || !a.grad.same_shape(a.param)) return false;
        if (a.grad.dtype() == dtype_of<T>) return slot->grad = a.grad.template data<T>(), true;
        slot->grad_acc = a.grad.template data<acc_t<T>>();
        return a.grad.dtype() == dtype_of<acc_t<T>>;
    }

    bool set_state(const ArrayView& state, const StepArrays& a, int64_t size, acc_t<T>** data) {
        if (state.is_none()) return true;
        if (!is_writable(state, dtype_of<acc_t<T>>) || !state.same_shape(a.param)) return false;
        *data = state.template mutable_data<acc_t<T>>();
        arrays_.add(*data, size * state.item_size(), true);
        return true;
    }

    ManyArrays arrays_;
};

}  // namespace plainformer
