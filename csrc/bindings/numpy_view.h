// NumPy's arrays as the checks see them, and results as NumPy's arrays. A binding never converts
// and never explains: it takes the canonical case (right types, shapes, contiguous where needed),
// proves it safe (csrc/checks), computes, and otherwise returns None. The Python wrapper then
// copies a strided last axis or raises the error.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "checks/dtypes.h"
#include "checks/rows.h"
#include "dispatch.h"
#include "plainformer/view.h"
#include "runtime/float_mode.h"
#include "runtime/thread_pool.h"
#include "unlocked.h"

namespace plainformer {

namespace py = pybind11;

// NumPy's number of the bfloat16 type that ml_dtypes registers; told to us once, on import.
void set_bfloat16_dtype(py::dtype dtype);
py::dtype numpy_dtype(DType dtype);

// One array argument, or None where that may be; unusable for any other object. Borrowed: the
// caller's arguments outlive the call.
ArrayView numpy_view(py::handle object, bool may_be_none = true);

// An array that the caller lends for a result, and gets back.
struct Lent : ArrayView {
    py::handle object;
};

// The arrays of a Python list, kept alive: other threads may empty the list while a kernel runs.
// None is a list that has no array anywhere.
class ArrayList {
  public:
    explicit ArrayList(py::handle list);

    bool is_none() const { return !owners_; }
    size_t size() const { return is_none() ? 0 : PyTuple_GET_SIZE(owners_.ptr()); }
    ArrayView operator[](size_t i) const {
        if (is_none()) return ArrayView::none();
        return numpy_view(PyTuple_GET_ITEM(owners_.ptr(), static_cast<Py_ssize_t>(i)), false);
    }

  private:
    py::object owners_;  // a tuple
};

// A fresh array from the caching allocator, row-major, not initialized.
py::object new_array(DType dtype, const int64_t* shape, int ndim);
inline py::object new_array(DType dtype, const Shape& shape) {
    return new_array(dtype, shape.dims, shape.ndim);
}
inline py::object new_array_like(const ArrayView& like) {
    return new_array(like.dtype(), like.shape(), like.ndim());
}

// The elements of an array that `new_array` made.
template <typename T>
T* data_of(const py::object& array) {
    return static_cast<T*>(static_cast<void*>(py::detail::array_proxy(array.ptr())->data));
}

// A new array like x.
template <typename T>
py::object output_like(const ArrayView& x, T** data) {
    py::object fresh = new_array_like(x);
    *data = data_of<T>(fresh);
    return fresh;
}

// `out` itself, or a new array like x where it is None.
template <typename T>
py::object output_like(const ArrayView& x, const Lent& out, T** data) {
    if (out.is_none()) return output_like(x, data);
    *data = out.mutable_data<T>();
    return py::reinterpret_borrow<py::object>(out.object);
}

// f(T{}) for the element type behind dtype; None for any that CPU kernels lack.
template <typename F>
py::object for_dtype(DType dtype, F f) {
    return for_dtypes<float, bfloat16, double>(dtype, py::object(py::none()), f);
}

// Runs an operation without the interpreter lock, with one number of threads throughout, and under
// the default floating-point mode also where it is outside its parallel loops.
template <typename Args>
void run(void (*operation)(const Args&), const Args& args) {
    Unlocked unlocked;
    DefaultFloatMode mode;
    SteadyThreads threads;
    operation(args);
}

}  // namespace plainformer
