#include "adapter.h"

#include <nanobind/ndarray.h>

#include <new>

#include "library.h"

namespace plainformer {

namespace nb = nanobind;

namespace {

thread_local CallScope* innermost = nullptr;

DType dtype_of_code(nb::dlpack::dtype type) {
    if (type.lanes != 1) return DType::unsupported;
    const auto is = [&](nb::dlpack::dtype_code code, int bits) {
        return type.code == static_cast<uint8_t>(code) && type.bits == bits;
    };
    if (is(nb::dlpack::dtype_code::Float, 32)) return DType::float32;
    if (is(nb::dlpack::dtype_code::Float, 64)) return DType::float64;
    if (is(nb::dlpack::dtype_code::Float, 16)) return DType::float16;
    if (is(nb::dlpack::dtype_code::Bfloat, 16)) return DType::bfloat16;
    if (is(nb::dlpack::dtype_code::Int, 32)) return DType::int32;
    if (is(nb::dlpack::dtype_code::Int, 64)) return DType::int64;
    if (is(nb::dlpack::dtype_code::Bool, 8)) return DType::boolean;
    return DType::unsupported;
}

const char* dtype_name(DType dtype) {
    switch (dtype) {
        case DType::float32:
            return "float32";
        case DType::bfloat16:
            return "bfloat16";
        case DType::float16:
            return "float16";
        case DType::int64:
            return "int64";
        default:
            throw nb::type_error("no kernel makes arrays of this element type");
    }
}

// The array's DLPack capsule, without waiting for any stream: the call uses the current one of the
// array's library. Null where it gives none.
nb::object capsule_of(py::handle array) {
    static PyObject* const name = PyUnicode_InternFromString("__dlpack__");
    static PyObject* const keywords = Py_BuildValue("(s)", "stream");
    static PyObject* const no_wait = PyLong_FromLong(-1);
    PyObject* const arguments[] = {array.ptr(), no_wait};
    PyObject* capsule =
        PyObject_VectorcallMethod(name, arguments, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, keywords);
    if (capsule) return nb::steal(capsule);
    // One that has a gradient, or is none, says so by an exception. Ctrl-C is no such answer.
    if (!PyErr_ExceptionMatches(PyExc_Exception)) throw nb::python_error();
    PyErr_Clear();
    return {};
}

template <typename Tensor>
bool set_view(const Tensor& tensor, bool writable, ArrayView* view) {
    if (tensor.device_type() != nb::device::cuda::value || tensor.ndim() > ArrayView::max_ndim)
        return false;
    const DType dtype = dtype_of_code(tensor.dtype());
    if (dtype == DType::unsupported) return false;
    void* const data = const_cast<void*>(static_cast<const void*>(tensor.data()));
    if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(element_size(dtype)) != 0)
        return false;
    if (!CallScope::current().takes(tensor.device_id())) return false;
    for (size_t i = 0; i < tensor.ndim(); ++i)
        view->set_axis(static_cast<int>(i), static_cast<int64_t>(tensor.shape(i)),
                       tensor.stride(i));
    view->set_elements(data, dtype, static_cast<int>(tensor.ndim()), writable,
                       {DeviceKind::cuda, tensor.device_id()});
    return true;
}

}  // namespace

CallScope::CallScope() : outer_(innermost) { innermost = this; }
CallScope::~CallScope() { innermost = outer_; }
CallScope& CallScope::current() { return *innermost; }

bool CallScope::takes(int device) {
    if (device_ < 0) device_ = device;
    return device == device_;
}

cuda::Stream CallScope::stream() {
    if (!has_stream_) stream_ = current_stream(device()), has_stream_ = true;
    return stream_;
}

void* CallScope::take(size_t bytes) {
    kept_.push_back(empty_array("uint8", nb::make_tuple(bytes), device()));
    return data_of(kept_.back());
}

ArrayView array_view(py::handle object, bool may_be_none) {
    ArrayView view;
    if (object.is_none()) {
        if (may_be_none) view.set_none();
        return view;
    }
    const nb::object capsule = capsule_of(object);
    if (!capsule.is_valid()) return view;
    nb::ndarray<> tensor;
    nb::ndarray<nb::ro> read_only;
    if (nb::try_cast(capsule, tensor, false))
        set_view(tensor, true, &view);
    else if (nb::try_cast(capsule, read_only, false))
        set_view(read_only, false, &view);
    return view;
}

py::object new_array(DType dtype, const int64_t* shape, int ndim, void** data) {
    nb::object sizes = nb::steal(PyTuple_New(ndim));
    for (int i = 0; i < ndim; ++i) PyTuple_SET_ITEM(sizes.ptr(), i, PyLong_FromLongLong(shape[i]));
    nb::object array = empty_array(dtype_name(dtype), sizes, CallScope::current().device());
    *data = data_of(array);
    return array;
}

void translate_exception() {
    try {
        throw;
    } catch (const nb::builtin_exception& error) {
        PyErr_SetString(
            error.type() == nb::exception_type::index_error ? PyExc_IndexError : PyExc_TypeError,
            error.what());
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
}

}  // namespace plainformer
