#include "library.h"

#include <atomic>

namespace plainformer {

namespace nb = nanobind;

namespace {

// Kept for the life of the process.
PyObject *make_empty = nullptr, *find_address = nullptr, *find_stream = nullptr,
         *raise_error = nullptr;
std::atomic<bool> synchronous{false};

// empty(shape, dtype's name, device), address(array), stream(device), and what raises an error of
// `take_error`.
void set_library(nb::object empty, nb::object address, nb::object stream, nb::object raise) {
    raise_error = raise.release().ptr();
    make_empty = empty.release().ptr();
    find_address = address.release().ptr();
    find_stream = stream.release().ptr();
}

PyObject* needed(PyObject* function) {
    if (!function) throw nb::type_error("no array library was set");
    return function;
}

const char* argument_name(cuda::Argument argument) {
    static const char* const names[] = {"input_ids",    "target",       "positions",
                                        "cu_seqlens_q", "cu_seqlens_k", "cache_seqlens"};
    return names[static_cast<int>(argument)];
}

// (argument, index, value, limit) of the first wrong number since the last look, or None.
nb::object take_error(int device) {
    cuda::ErrorRecord error;
    if (!cuda::take_error(device, &error)) return nb::none();
    return nb::make_tuple(argument_name(error.argument), error.index, error.value, error.limit);
}

}  // namespace

py::object empty_array(const char* dtype, const py::object& shape, int device) {
    return nb::handle(needed(make_empty))(shape, dtype, device);
}

void* data_of(const py::object& array) {
    return reinterpret_cast<void*>(nb::cast<uintptr_t>(nb::handle(needed(find_address))(array)));
}

cuda::Stream current_stream(int device) {
    return reinterpret_cast<cuda::Stream>(
        nb::cast<uintptr_t>(nb::handle(needed(find_stream))(device)));
}

bool is_synchronous() { return synchronous; }

void raise_reported(int device) {
    const nb::object error = take_error(device);
    if (error.is_none()) return;
    nb::handle(needed(raise_error))(error);
    throw nb::type_error("the function for errors returned");
}

void bind_library(py::module_& module) {
    module.def("set_library", &set_library, nb::arg("empty"), nb::arg("address"), nb::arg("stream"),
               nb::arg("raise_error"));
    module.def("device_count", &cuda::device_count);
    module.def("describe_device", [](int device) {
        char name[256];
        size_t memory;
        cuda::describe_device(device, name, &memory);
        return nb::make_tuple(name, memory);
    });
    module.def("take_error", &take_error, nb::arg("device"));
    module.def("set_synchronous", [](bool wanted) { synchronous = wanted; }, nb::arg("wanted"));
    module.def("is_synchronous", [] { return synchronous.load(); });
}

}  // namespace plainformer
