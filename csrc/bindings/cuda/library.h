// The array library behind a call: who makes its arrays and says which stream is current. Python
// sets it once (`set_library`), CuPy's functions outside of tests.
#pragma once
#include "adapter.h"

namespace plainformer {

// empty(shape, name of the dtype, device)
py::object empty_array(const char* dtype, const py::object& shape, int device);
// Where the elements of such an array lie.
void* data_of(const py::object& array);
cuda::Stream current_stream(int device);

void bind_library(py::module_& module);

}  // namespace plainformer
