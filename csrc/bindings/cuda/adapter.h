// The adapter of `_cuda`: arrays of a device as the checks see them (DLPack), results made by the
// caller's array library, and how an operation is run on its current stream. Its twin is
// cpu/adapter.h, which says what a binding does.
#pragma once
#include <nanobind/nanobind.h>

#include <vector>

#include "checks/dtypes.h"
#include "checks/rows.h"
#include "cuda/operations.h"
#include "plainformer/view.h"

namespace plainformer {

// What files of families use of a binding library, by pybind11's names.
namespace py {
using nanobind::bool_;
using nanobind::float_;
using nanobind::handle;
using nanobind::index_error;
using nanobind::list;
using nanobind::make_tuple;
using nanobind::module_;
using nanobind::object;
using nanobind::tuple;
using nanobind::type_error;
using error_already_set = nanobind::python_error;

inline object none() { return nanobind::none(); }
template <typename T>
T reinterpret_borrow(handle h) {
    return nanobind::borrow<T>(h);
}
template <typename T>
T reinterpret_steal(handle h) {
    return nanobind::steal<T>(h);
}
}  // namespace py

// What a call holds while it runs: the device that its arrays lie on, which the first of them says,
// and the memory that its kernels work in.
class CallScope final : public cuda::Memory {
  public:
    CallScope();
    ~CallScope();
    CallScope(const CallScope&) = delete;
    CallScope& operator=(const CallScope&) = delete;

    // The innermost of this thread.
    static CallScope& current();

    // Whether an array of that device may take part.
    bool takes(int device);
    int device() const { return device_ < 0 ? 0 : device_; }
    cuda::Stream stream();
    void* take(size_t bytes) override;

  private:
    CallScope* const outer_;
    int device_ = -1;
    bool has_stream_ = false;
    cuda::Stream stream_ = nullptr;
    std::vector<py::object> kept_;
};

// One array of a CUDA device, or None where that may be; unusable for any other object. Borrowed.
ArrayView array_view(py::handle object, bool may_be_none = true);

// A fresh array of the caller's library on the call's device, row-major, not initialized.
py::object new_array(DType dtype, const int64_t* shape, int ndim, void** data);

// f(T{}) for the element type behind dtype; None for any that CUDA kernels lack.
template <typename F>
py::object for_dtype(DType dtype, F f) {
    return for_dtypes<float, bfloat16, float16>(dtype, py::none(), f);
}

// f(T{}) for each of those types.
template <typename F>
void for_each_type(F f) {
    f(float{}), f(bfloat16{}), f(float16{});
}

// The operations for T; those that nobody names are not linked.
template <typename T>
struct Operations {
#define PF_MEMBER(op, Args) \
    static void op(const Args<T>& args, cuda::Context& context) { cuda::op<T>(args, context); }
    PF_OPERATIONS(PF_MEMBER)
#undef PF_MEMBER
};
template <typename T>
constexpr Operations<T> dispatch() {
    return {};
}

// Whether each call waits until it is done, and raises what its kernels found (module.cpp).
bool is_synchronous();
// Raises for what kernels reported on this device since the last look.
void raise_reported(int device);

// Enqueues an operation. The interpreter lock is kept: launching takes microseconds.
template <typename Args>
void run(void (*operation)(const Args&, cuda::Context&), const Args& args) {
    CallScope& call = CallScope::current();
    cuda::Context context(call.device(), call.stream(), call);
    operation(args, context);
    if (is_synchronous()) raise_reported(call.device());
}

// Zeros for a gradient to which nothing is added.
template <typename T>
void fill_zero(T* data, int64_t size) {
    CallScope& call = CallScope::current();
    cuda::Context context(call.device(), call.stream(), call);
    context.fill_zero(data, sizeof(T) * static_cast<size_t>(size));
}

// Turns the exception that is being handled into Python's.
void translate_exception();

}  // namespace plainformer

#include "results.h"
