#include <algorithm>
#include <vector>

#include "families.h"
#include "operand.h"

namespace plainformer {

namespace {

// The lists of one step. Empty lists stand for None; all others have one entry a parameter.
struct Lists {
    OperandList params, grads, moments, squares, masters;
};

// A flat array of the parameter's shape, T or A, that may be written.
bool is_state(const Operand& state, const Operand& param, DType dtype) {
    return state.contiguous() && state.writeable() && state.dtype() == dtype &&
           state.same_shape(param);
}

template <typename T>
bool fill_gradient(ParameterSlot<T>* slot, const Operand& grad) {
    if (!grad.contiguous()) return false;
    if (grad.dtype() == dtype_of<T>)
        slot->grad = grad.data<T>();
    else if (grad.dtype() == dtype_of<acc_t<T>>)
        slot->grad_acc = grad.data<acc_t<T>>();
    return slot->grad || slot->grad_acc || grad.size() == 0;
}

template <typename T>
bool fill_state(acc_t<T>** slot, const OperandList& list, size_t i, const Operand& param) {
    if (list.empty()) return true;
    if (!is_state(list[i], param, dtype_of<acc_t<T>>)) return false;
    *slot = list[i].template mutable_data<acc_t<T>>();
    return true;
}

// False where any array is not what the step needs.
template <typename T>
bool fill(std::vector<ParameterSlot<T>>* slots, const Lists& lists) {
    const size_t count = lists.params.size();
    if (lists.grads.size() != count) return false;
    for (const auto* list : {&lists.moments, &lists.squares, &lists.masters})
        if (!list->empty() && list->size() != count) return false;
    for (size_t i = 0; i < count; ++i) {
        const Operand& param = lists.params[i];
        if (!is_state(param, param, dtype_of<T>) || !lists.grads[i].same_shape(param)) return false;
        ParameterSlot<T> slot{};
        slot.p = param.mutable_data<T>();
        slot.size = param.size();
        if (!fill_gradient(&slot, lists.grads[i]) ||
            !fill_state<T>(&slot.m, lists.moments, i, param) ||
            !fill_state<T>(&slot.v, lists.squares, i, param) ||
            !fill_state<T>(&slot.master, lists.masters, i, param))
            return false;
        slots->push_back(slot);
    }
    return true;
}

// The bytes of one array of a step; all of them are contiguous.
struct Extent {
    const char *begin, *end;
    bool is_written;
};

void add_extents(std::vector<Extent>* extents, const OperandList& list, bool is_written) {
    for (const Operand& x : list) {
        if (x.size() == 0) continue;
        const char* begin = x.data<char>();
        extents->push_back({begin, begin + x.size() * x.item_size(), is_written});
    }
}

// What `are_apart` of outputs.h says of few arrays: nothing that is written, all but the gradients,
// shares memory with anything else. Sorted, because a model has hundreds.
bool are_apart(const Lists& lists) {
    std::vector<Extent> extents;
    extents.reserve(5 * lists.params.size());
    for (const auto* list : {&lists.params, &lists.moments, &lists.squares, &lists.masters})
        add_extents(&extents, *list, true);
    add_extents(&extents, lists.grads, false);
    std::sort(extents.begin(), extents.end(),
              [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    const char *written = nullptr, *read = nullptr;  // where those before this one end
    for (const Extent& x : extents) {
        if (x.begin < written || (x.is_written && x.begin < read)) return false;
        const char*& end = x.is_written ? written : read;
        end = std::max(end, x.end);
    }
    return true;
}

// True when the step was taken, None when a list is not canonical.
template <typename MakeArgs>
py::object step(const Lists& lists, MakeArgs make_args) {
    if (lists.params.empty()) return py::bool_(lists.grads.empty());
    return for_dtype(lists.params[0].dtype(), [&](auto type) -> py::object {
        std::vector<ParameterSlot<decltype(type)>> slots;
        if (!fill(&slots, lists) || !are_apart(lists)) return py::none();
        make_args(slots);
        return py::bool_(true);
    });
}

py::object adamw_step(py::handle params, py::handle grads, py::handle exp_avgs,
                      py::handle exp_avg_sqs, py::handle masters, double lr, double beta1,
                      double beta2, double eps, double weight_decay, double grad_scale,
                      double correction1, double correction2) {
    const Lists lists{OperandList(params), OperandList(grads), OperandList(exp_avgs),
                      OperandList(exp_avg_sqs), OperandList(masters)};
    if (lists.moments.size() != lists.params.size() || lists.squares.size() != lists.params.size())
        return py::none();
    return step(lists, [&](auto& slots) {
        using T = std::remove_pointer_t<decltype(slots[0].p)>;
        AdamWStepArgs<T> s{};
        s.slots = slots.data(), s.count = static_cast<int64_t>(slots.size());
        s.rule.lr = lr, s.rule.beta1 = beta1, s.rule.beta2 = beta2, s.rule.eps = eps;
        s.rule.weight_decay = weight_decay, s.rule.grad_scale = grad_scale;
        s.rule.correction1 = correction1, s.rule.correction2 = correction2;
        run(dispatch<T>().adamw_step, s);
    });
}

py::object sgd_step(py::handle params, py::handle grads, py::handle buffers, py::handle masters,
                    double lr, double momentum, double weight_decay, double grad_scale,
                    bool nesterov) {
    const Lists lists{OperandList(params), OperandList(grads), OperandList(buffers),
                      OperandList(py::none()), OperandList(masters)};
    return step(lists, [&](auto& slots) {
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
double squared_norm_of(const OperandList& grads, size_t* found) {
    std::vector<ParameterSlot<T>> slots;
    for (const Operand& grad : grads) {
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

py::object squared_norm(py::handle grads_) {
    const OperandList grads(grads_);
    size_t found = 0;
    double sum = squared_norm_of<float>(grads, &found);
    sum += squared_norm_of<bfloat16>(grads, &found);
    sum += squared_norm_of<double>(grads, &found);
    return found == grads.size() ? py::object(py::float_(sum)) : py::object(py::none());
}

}  // namespace

void bind_optimizer(py::module_& module) {
    module.def("adamw_step", &adamw_step);
    module.def("sgd_step", &sgd_step);
    module.def("squared_norm", &squared_norm);
}

}  // namespace plainformer
