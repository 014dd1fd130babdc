#include "adapter.h"

#include <pybind11/gil_safe_call_once.h>

#include <string>

#include "runtime/allocator.h"

namespace plainformer {

namespace {

int bfloat16_type_number = -1;
PyObject* bfloat16_dtype = nullptr;  // kept for the life of the process

DType dtype_of_number(int number) {
    using Api = py::detail::npy_api;
    if (number == Api::NPY_FLOAT_) return DType::float32;
    if (number == Api::NPY_DOUBLE_) return DType::float64;
    if (number == Api::NPY_BOOL_) return DType::boolean;
    if (number == py::detail::npy_format_descriptor<int64_t>::value) return DType::int64;
    if (number == py::detail::npy_format_descriptor<int32_t>::value) return DType::int32;
    if (number == bfloat16_type_number) return DType::bfloat16;
    // long and long long are both 64 bits on Linux; either may name int64.
    if (number == Api::NPY_LONGLONG_ && sizeof(long long) == 8) return DType::int64;
    return DType::unsupported;
}

bool native_byte_order(char order) {
    const uint16_t one = 1;
    const bool little = *reinterpret_cast<const char*>(&one) == 1;
    return order != (little ? '>' : '<');
}

// A masked array hides elements that a kernel would read; a matrix has products and shapes of its
// own. kernels/_backend.py has the words. Other subclasses are the arrays that they hold.
bool has_ways_of_its_own(py::handle array) {
    if (Py_TYPE(array.ptr()) == py::detail::npy_api::get().PyArray_Type_) return false;
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::tuple> kinds;
    kinds.call_once_and_store_result([] {
        const py::module_ numpy = py::module_::import("numpy");
        return py::make_tuple(numpy.attr("ma").attr("MaskedArray"), numpy.attr("matrix"));
    });
    return py::isinstance(array, kinds.get_stored());
}

}  // namespace

void set_bfloat16_dtype(py::dtype dtype) {
    if (dtype.attr("name").cast<std::string>() != "bfloat16" || dtype.itemsize() != 2)
        throw py::type_error("dtype: expected ml_dtypes.bfloat16");
    bfloat16_type_number = dtype.num();
    bfloat16_dtype = dtype.release().ptr();
}

py::dtype numpy_dtype(DType dtype) {
    switch (dtype) {
        case DType::float32:
            return py::dtype::of<float>();
        case DType::float64:
            return py::dtype::of<double>();
        case DType::int32:
            return py::dtype::of<int32_t>();
        case DType::int64:
            return py::dtype::of<int64_t>();
        case DType::boolean:
            return py::dtype::of<bool>();
        case DType::bfloat16:
            if (bfloat16_dtype) return py::reinterpret_borrow<py::dtype>(bfloat16_dtype);
            break;
        default:
            break;
    }
    throw py::type_error("no NumPy type for this element type");
}

ArrayView array_view(py::handle object, bool may_be_none) {
    ArrayView view;  // the one that is returned: a copy would cost more than what is below
    if (may_be_none && object.is_none()) view.set_none();
    if (!py::isinstance<py::array>(object) || has_ways_of_its_own(object)) return view;
    const auto* array = py::detail::array_proxy(object.ptr());
    const auto* descr = py::detail::array_descriptor_proxy(array->descr);
    const DType dtype = dtype_of_number(descr->type_num);
    const int flags = array->flags;
    if (dtype == DType::unsupported || array->nd > ArrayView::max_ndim ||
        !native_byte_order(descr->byteorder) || !(flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
        return view;
    const int64_t size = element_size(dtype);  // a power of two: no division
    const int shift = __builtin_ctzll(static_cast<uint64_t>(size));
    for (int i = 0; i < array->nd; ++i) {
        if (array->strides[i] & (size - 1)) return view;
        view.set_axis(i, array->dimensions[i], array->strides[i] >> shift);
    }
    view.set_elements(array->data, dtype, array->nd,
                      (flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0);
    return view;
}

namespace {

// The product, or more than there can be where it is too large to count: arguments that are
// broadcast name results of any size.
size_t bytes_of(DType dtype, const int64_t* shape, int ndim) {
    size_t bytes = static_cast<size_t>(element_size(dtype));
    bool is_empty = false, is_countable = true;
    for (int i = 0; i < ndim; ++i) {
        is_empty |= shape[i] == 0;
        is_countable &= !__builtin_mul_overflow(bytes, static_cast<size_t>(shape[i]), &bytes);
    }
    return is_empty ? 0 : is_countable ? bytes : ~size_t{0};
}

// The owner of a block from the allocator, which gets it back when the last array lets go.
PyObject* new_owner(void* block) {
    PyObject* owner = PyCapsule_New(
        block, nullptr, [](PyObject* capsule) { release(PyCapsule_GetPointer(capsule, nullptr)); });
    if (!owner) {
        release(block);
        throw py::error_already_set();
    }
    return owner;
}

}  // namespace

py::object new_array(DType dtype, const int64_t* shape, int ndim, void** data) {
    const auto& numpy = py::detail::npy_api::get();
    Py_intptr_t sizes[ArrayView::max_ndim + 1];
    for (int i = 0; i < ndim; ++i) sizes[i] = shape[i];
    py::dtype descr = numpy_dtype(dtype);
    void* const block = *data = allocate(bytes_of(dtype, shape, ndim));
    PyObject* owner = new_owner(block);
    py::object array = py::reinterpret_steal<py::object>(numpy.PyArray_NewFromDescr_(
        numpy.PyArray_Type_, descr.release().ptr(), ndim, sizes, nullptr, block,
        py::detail::npy_api::NPY_ARRAY_WRITEABLE_, nullptr));
    if (!array) {
        Py_DECREF(owner);
        throw py::error_already_set();
    }
    numpy.PyArray_SetBaseObject_(array.ptr(), owner);  // takes the reference
    return array;
}

}  // namespace plainformer
