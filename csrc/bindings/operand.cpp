#include "operand.h"

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

int64_t size_of(DType dtype) {
    switch (dtype) {
        case DType::float64:
        case DType::int64:
            return 8;
        case DType::float32:
        case DType::int32:
            return 4;
        case DType::bfloat16:
            return 2;
        case DType::boolean:
            return 1;
        default:
            return 0;
    }
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

// A masked array hides elements that a kernel would read; a matrix has products and shapes of its
// own. kernels/_backend.py has the words. Other subclasses are the arrays that they hold.
static bool has_ways_of_its_own(py::handle array) {
    if (Py_TYPE(array.ptr()) == py::detail::npy_api::get().PyArray_Type_) return false;
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::tuple> kinds;
    kinds.call_once_and_store_result([] {
        const py::module_ numpy = py::module_::import("numpy");
        return py::make_tuple(numpy.attr("ma").attr("MaskedArray"), numpy.attr("matrix"));
    });
    return py::isinstance(array, kinds.get_stored());
}

Operand::Operand(py::handle object) {
    if (object.is_none()) {
        none_ = true;
        return;
    }
    if (!py::isinstance<py::array>(object) || has_ways_of_its_own(object)) return;
    const auto* array = py::detail::array_proxy(object.ptr());
    const auto* descr = py::detail::array_descriptor_proxy(array->descr);
    if (array->nd > max_ndim || !native_byte_order(descr->byteorder)) return;
    const DType dtype = dtype_of_number(descr->type_num);
    if (dtype == DType::unsupported) return;
    item_size_ = size_of(dtype);
    if (!(array->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_)) return;
    ndim_ = array->nd;
    for (int i = 0; i < ndim_; ++i) {
        shape_[i] = array->dimensions[i];
        if (array->strides[i] % item_size_ != 0) return;
        strides_[i] = array->strides[i] / item_size_;
    }
    data_ = array->data;
    writeable_ = (array->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0;
    dtype_ = dtype;
}

int64_t Operand::size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim_; ++i) n *= shape_[i];
    return n;
}

bool Operand::contiguous() const {
    if (!usable()) return false;
    if (size() == 0) return true;
    int64_t expected = 1;
    for (int i = ndim_ - 1; i >= 0; --i) {
        if (shape_[i] != 1 && strides_[i] != expected) return false;
        expected *= shape_[i];
    }
    return true;
}

bool Operand::last_axis_contiguous() const {
    return usable() && (ndim_ == 0 || dim(-1) <= 1 || stride(-1) == 1 || size() == 0);
}

bool Operand::has_shape(std::initializer_list<int64_t> shape) const {
    if (!usable() || static_cast<int>(shape.size()) != ndim_) return false;
    int i = 0;
    for (int64_t n : shape)
        if (shape_[i++] != n) return false;
    return true;
}

bool Operand::same_shape(const Operand& other) const {
    if (ndim_ != other.ndim_) return false;
    for (int i = 0; i < ndim_; ++i)
        if (shape_[i] != other.shape_[i]) return false;
    return true;
}

bool Operand::as_rows(int64_t* rows, int64_t* columns, int64_t* row_stride) const {
    if (!usable() || ndim_ < 1 || !last_axis_contiguous()) return false;
    *columns = dim(-1);
    *rows = 1;
    *row_stride = *columns;
    for (int i = ndim_ - 2; i >= 0; --i) {
        if (shape_[i] == 1) continue;
        if (*rows == 1)
            *row_stride = strides_[i];
        else if (strides_[i] != *row_stride * *rows)
            return size() == 0;
        *rows *= shape_[i];
    }
    return true;
}

Footprint Operand::footprint() const {
    Footprint bytes{static_cast<const char*>(data_), item_size_, ndim_, {}, {}};
    for (int i = 0; i < ndim_; ++i)
        bytes.shape[i] = shape_[i], bytes.strides[i] = strides_[i] * item_size_;
    return bytes;
}

std::pair<const char*, const char*> Operand::extent() const {
    const char* low = static_cast<const char*>(data_);
    const char* high = low + item_size_;
    for (int i = 0; i < ndim_; ++i) {
        const int64_t reach = (shape_[i] - 1) * strides_[i] * item_size_;
        (reach < 0 ? low : high) += reach;
    }
    return {low, high};
}

bool Operand::disjoint(const Operand& other) const {
    const auto mine = extent(), theirs = other.extent();
    const bool apart = mine.second <= theirs.first || theirs.second <= mine.first;
    return apart || !overlap(footprint(), other.footprint());
}

OperandList::OperandList(py::handle list) {
    if (list.is_none()) return;
    owners_ = py::reinterpret_steal<py::tuple>(PySequence_Tuple(list.ptr()));
    if (!owners_) throw py::error_already_set();
    operands_.reserve(owners_.size());
    for (py::handle item : owners_) operands_.emplace_back(item);
}

// The product, or more than there can be where it is too large to count: arguments that are
// broadcast name results of any size.
static size_t bytes_of(DType dtype, const int64_t* shape, int ndim) {
    size_t bytes = static_cast<size_t>(size_of(dtype));
    bool is_empty = false, is_countable = true;
    for (int i = 0; i < ndim; ++i) {
        is_empty |= shape[i] == 0;
        is_countable &= !__builtin_mul_overflow(bytes, static_cast<size_t>(shape[i]), &bytes);
    }
    return is_empty ? 0 : is_countable ? bytes : ~size_t{0};
}

py::array new_array(DType dtype, const int64_t* shape, int ndim) {
    void* block = allocate(bytes_of(dtype, shape, ndim));
    py::capsule owner(block, [](void* p) { release(p); });
    return py::array(numpy_dtype(dtype), std::vector<py::ssize_t>(shape, shape + ndim), block,
                     owner);
}

py::array new_array(DType dtype, std::initializer_list<int64_t> shape) {
    return new_array(dtype, shape.begin(), static_cast<int>(shape.size()));
}

py::array new_array_like(const Operand& like) {
    int64_t shape[Operand::max_ndim];
    for (int i = 0; i < like.ndim(); ++i) shape[i] = like.dim(i);
    return new_array(like.dtype(), shape, like.ndim());
}

}  // namespace plainformer
