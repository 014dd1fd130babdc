// The adapter of `_cpu`: NumPy's arrays as the checks see them, results as NumPy's arrays, and how
// an operation is run. Its twin is cuda/adapter.h; the files of families, which both modules
// compile, include the one of their module.
//
// A binding never converts and never explains: it takes the canonical case (right types, shapes,
// contiguous where needed), proves it safe (csrc/checks), computes, and otherwise returns None. The
// Python wrapper then copies a strided last axis or raises the error.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstring>

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
ArrayView array_view(py::handle object, bool may_be_none = true);

// A fresh array from the caching allocator, row-major, not initialized.
py::object new_array(DType dtype, const int64_t* shape, int ndim, void** data);

// f(T{}) for the element type behind dtype; None for any that CPU kernels lack.
template <typename F>
py::object for_dtype(DType dtype, F f) {
    return for_dtypes<float, bfloat16, double>(dtype, py::object(py::none()), f);
}

// f(T{}) for each of those types.
template <typename F>
void for_each_type(F f) {
    f(float{}), f(bfloat16{}), f(double{});
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

// Zeros for a gradient to which nothing is added.
template <typename T>
void fill_zero(T* data, int64_t size) {
    std::memset(data, 0, sizeof(T) * static_cast<size_t>(size));
}

// What a call holds while it runs: nothing here.
struct CallScope {};

// Turns the exception that is being handled into Python's.
inline void translate_exception() { py::detail::try_translate_exceptions(); }

}  // namespace plainformer

#include "results.h"
