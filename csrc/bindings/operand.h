// What a binding sees of its arguments. A binding never converts and never explains: it takes the
// canonical case (right types, shapes, contiguous where needed), proves it safe, computes, and
// otherwise returns None. The Python wrapper then copies a strided last axis or raises the error.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <utility>
#include <vector>

#include "dispatch.h"
#include "overlap.h"
#include "plainformer/types.h"
#include "runtime/float_mode.h"
#include "runtime/thread_pool.h"
#include "unlocked.h"

namespace plainformer {

namespace py = pybind11;

// NumPy's number of the bfloat16 type that ml_dtypes registers; told to us once, on import.
void set_bfloat16_dtype(py::dtype dtype);
py::dtype numpy_dtype(DType dtype);

// A borrowed look at one array argument, or at None.
class Operand {
  public:
    static constexpr int max_ndim = Footprint::max_ndim;

    explicit Operand(py::handle object);

    bool is_none() const { return none_; }
    // An aligned array of a known type in native byte order, strides in whole elements.
    bool usable() const { return dtype_ != DType::unsupported; }
    DType dtype() const { return dtype_; }
    int ndim() const { return ndim_; }
    int64_t dim(int i) const { return shape_[i < 0 ? ndim_ + i : i]; }
    int64_t stride(int i) const { return strides_[i < 0 ? ndim_ + i : i]; }  // in elements
    int64_t size() const;
    int64_t item_size() const { return item_size_; }
    bool writeable() const { return writeable_; }
    // Row-major without gaps.
    bool contiguous() const;
    // The last axis can be walked by plain loads.
    bool last_axis_contiguous() const;
    bool has_shape(std::initializer_list<int64_t> shape) const;
    bool same_shape(const Operand& other) const;
    // One block of rows with a constant stride between them: (N, C) of the array with its leading
    // axes flattened. False where the leading strides do not allow it.
    bool as_rows(int64_t* rows, int64_t* columns, int64_t* row_stride) const;
    // No byte belongs to this array and to the other.
    bool disjoint(const Operand& other) const;
    // No two elements share memory.
    bool is_distinct() const { return footprint().is_nested(); }

    template <typename T>
    const T* data() const {
        return static_cast<const T*>(data_);
    }
    template <typename T>
    T* mutable_data() const {
        return static_cast<T*>(data_);
    }

  private:
    Footprint footprint() const;
    // From the first byte to behind the last: what can be told apart without a search.
    std::pair<const char*, const char*> extent() const;

    void* data_ = nullptr;
    DType dtype_ = DType::unsupported;
    int ndim_ = 0;
    bool none_ = false;
    bool writeable_ = false;
    int64_t item_size_ = 0;
    int64_t shape_[max_ndim] = {};
    int64_t strides_[max_ndim] = {};
};

// The arrays of a Python list, kept alive: other threads may empty the list while a kernel runs.
// None is an empty one.
class OperandList {
  public:
    explicit OperandList(py::handle list);

    size_t size() const { return operands_.size(); }
    bool empty() const { return operands_.empty(); }
    const Operand& operator[](size_t i) const { return operands_[i]; }
    auto begin() const { return operands_.begin(); }
    auto end() const { return operands_.end(); }

  private:
    std::vector<Operand> operands_;
    py::tuple owners_;
};

// A fresh array from the caching allocator, row-major, not initialized.
py::array new_array(DType dtype, const int64_t* shape, int ndim);
py::array new_array(DType dtype, std::initializer_list<int64_t> shape);
py::array new_array_like(const Operand& like);

template <typename T>
T* data_of(py::array& array) {
    return static_cast<T*>(array.mutable_data());
}

// f(T{}) for the element type behind dtype; None for any other.
template <typename F>
py::object for_dtype(DType dtype, F f) {
    switch (dtype) {
        case DType::float32:
            return f(float{});
        case DType::bfloat16:
            return f(bfloat16{});
        case DType::float64:
            return f(double{});
        default:
            return py::none();
    }
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
