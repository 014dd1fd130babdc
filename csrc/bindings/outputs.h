// Outputs that the caller may lend.
#pragma once
#include "operand.h"

namespace plainformer {

// The type in which statistics of `dtype` are kept.
inline DType acc_dtype(DType dtype) {
    return dtype == DType::float64 ? DType::float64 : DType::float32;
}

// No output shares memory with an input, which is never written, or with another output. An
// operand that is None shares nothing. The words for it: `check_apart` in kernels/_arrays.py.
inline bool are_apart(std::initializer_list<const Operand*> outputs,
                      std::initializer_list<const Operand*> inputs) {
    for (auto out = outputs.begin(); out != outputs.end(); ++out) {
        if ((*out)->is_none()) continue;
        for (const Operand* input : inputs)
            if (!input->is_none() && !(*out)->disjoint(*input)) return false;
        for (auto other = out + 1; other != outputs.end(); ++other)
            if (!(*other)->is_none() && !(*out)->disjoint(**other)) return false;
    }
    return true;
}

// `out` is None, or a writable row-major array like x that shares no memory with the inputs.
inline bool is_output(const Operand& out, const Operand& x,
                      std::initializer_list<const Operand*> inputs) {
    if (out.is_none()) return true;
    return out.contiguous() && out.writeable() && out.dtype() == x.dtype() && out.same_shape(x) &&
           are_apart({&out}, inputs);
}

// A new array like x.
template <typename T>
py::object output_like(const Operand& x, T** data) {
    py::array fresh = new_array_like(x);
    *data = data_of<T>(fresh);
    return fresh;
}

// `out` itself, or a new array like x where it is None.
template <typename T>
py::object output_like(const Operand& x, const Operand& out, py::handle out_handle, T** data) {
    if (out.is_none()) return output_like(x, data);
    *data = out.mutable_data<T>();
    return py::reinterpret_borrow<py::object>(out_handle);
}

}  // namespace plainformer
