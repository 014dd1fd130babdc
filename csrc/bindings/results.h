// Arguments that are lent or listed, and results: what both adapters have in common. An adapter
// (cpu/adapter.h for NumPy's arrays, cuda/adapter.h for those of a device) says beforehand how an
// array is seen and made.
#pragma once
#include "checks/rows.h"

namespace plainformer {

// An array that the caller lends for a result, and gets back.
struct Lent : ArrayView {
    py::handle object;
};

// The arrays of a Python list, kept alive: other threads may empty the list while a kernel runs.
// None is a list that has no array anywhere.
class ArrayList {
  public:
    explicit ArrayList(py::handle list) {
        if (list.is_none()) return;
        owners_ = py::reinterpret_steal<py::object>(PySequence_Tuple(list.ptr()));
        if (!owners_) throw py::error_already_set();
    }

    bool is_none() const { return !owners_; }
    size_t size() const {
        return is_none() ? 0 : static_cast<size_t>(PyTuple_GET_SIZE(owners_.ptr()));
    }
    ArrayView operator[](size_t i) const {
        if (is_none()) return ArrayView::none();
        return array_view(PyTuple_GET_ITEM(owners_.ptr(), static_cast<Py_ssize_t>(i)), false);
    }

  private:
    py::object owners_;  // a tuple
};

// A fresh array of T, row-major, not initialized.
template <typename T>
py::object new_array(const Shape& shape, T** data) {
    void* elements;
    py::object fresh = new_array(dtype_of<T>, shape.dims, shape.ndim, &elements);
    *data = static_cast<T*>(elements);
    return fresh;
}

// A new array of T with the shape of x.
template <typename T>
py::object output_like(const ArrayView& x, T** data) {
    void* elements;
    py::object fresh = new_array(dtype_of<T>, x.shape(), x.ndim(), &elements);
    *data = static_cast<T*>(elements);
    return fresh;
}

// `out` itself.
template <typename T>
py::object output(const Lent& out, T** data) {
    *data = out.mutable_data<T>();
    return py::reinterpret_borrow<py::object>(out.object);
}

// `out` itself, or a new array where it is None.
template <typename T>
py::object output_like(const ArrayView& x, const Lent& out, T** data) {
    return out.is_none() ? output_like(x, data) : output(out, data);
}
template <typename T>
py::object output_of(const Shape& shape, const Lent& out, T** data) {
    return out.is_none() ? new_array(shape, data) : output(out, data);
}

}  // namespace plainformer
