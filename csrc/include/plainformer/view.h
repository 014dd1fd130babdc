// An array as checks know it: where it lies and how it is laid out, and nothing of the library that
// it comes from. Everything in csrc/checks is written on it, for both backends.
//
// An adapter a library makes views: `array_view` of csrc/bindings/cpu for NumPy's arrays. One for
// DLPack's tensors (byte_offset added to data, strides absent where row-major) has to
// * leave the view unusable, which every check refuses, where the type is none of DType's, has
//   lanes, or is stored in foreign byte order; where there are more than max_ndim axes, strides
//   that are no whole elements, or sizes and strides that reach beyond 64 bits; where data is not
//   aligned to its elements; and where an array means more than its elements (masked, conjugated,
//   lazily negated, or with a gradient of its own);
// * take as writable only what its owner lets be written (DLPACK_FLAG_BITMASK_READ_ONLY);
// * name the device, and have the stream on which the elements become ready handed over beside it.
// Nothing in csrc/checks reads elements or compares devices. That the arrays of a call lie on one
// device is seen where its arguments are read, in one place for all functions.
#pragma once
#include <initializer_list>

#include "plainformer/types.h"

namespace plainformer {

constexpr int64_t element_size(DType dtype) {
    switch (dtype) {
        case DType::float64:
        case DType::int64:
            return 8;
        case DType::float32:
        case DType::int32:
            return 4;
        case DType::bfloat16:
        case DType::float16:
            return 2;
        case DType::boolean:
            return 1;
        default:
            return 0;
    }
}

enum class DeviceKind : int { cpu, cuda };

struct Device {
    DeviceKind kind = DeviceKind::cpu;
    int index = 0;

    bool operator==(Device other) const { return kind == other.kind && index == other.index; }
    bool operator!=(Device other) const { return !(*this == other); }
};

// A borrowed look at one array argument, or at none (None). Plain data on the stack: axes beyond
// ndim are not even initialized.
class ArrayView {
  public:
    static constexpr int max_ndim = 8;

    // An argument that no kernel takes, until an adapter has set its axes and then its elements.
    ArrayView() {}
    // No argument.
    static ArrayView none() {
        ArrayView view;
        view.set_none();
        return view;
    }
    void set_none() { is_none_ = true; }
    void set_axis(int i, int64_t size, int64_t stride) { shape_[i] = size, strides_[i] = stride; }
    void set_elements(void* data, DType dtype, int ndim, bool writable, Device device = {}) {
        data_ = data, dtype_ = dtype, ndim_ = ndim, writable_ = writable, device_ = device;
    }

    bool is_none() const { return is_none_; }
    // An aligned array of a known type in native byte order, strides in whole elements.
    bool usable() const { return dtype_ != DType::unsupported; }
    template <typename T>
    const T* data() const {
        return static_cast<const T*>(data_);
    }
    template <typename T>
    T* mutable_data() const {
        return static_cast<T*>(data_);
    }
    DType dtype() const { return dtype_; }
    int ndim() const { return ndim_; }
    int64_t dim(int i) const { return shape_[i < 0 ? ndim_ + i : i]; }
    int64_t stride(int i) const { return strides_[i < 0 ? ndim_ + i : i]; }  // in elements
    const int64_t* shape() const { return shape_; }
    bool writable() const { return writable_; }
    Device device() const { return device_; }
    int64_t item_size() const { return element_size(dtype_); }

    int64_t size() const {
        int64_t n = 1;
        for (int i = 0; i < ndim_; ++i) n *= shape_[i];
        return n;
    }
    // Row-major without gaps.
    bool contiguous() const {
        if (!usable()) return false;
        int64_t expected = 1;
        for (int i = ndim_ - 1; i >= 0; --i) {
            if (shape_[i] != 1 && strides_[i] != expected) return size() == 0;
            expected *= shape_[i];
        }
        return true;
    }
    // The last axis can be walked by plain loads.
    bool last_axis_contiguous() const {
        return usable() && (ndim_ == 0 || dim(-1) <= 1 || stride(-1) == 1 || size() == 0);
    }
    bool has_shape(const int64_t* shape, int ndim) const {
        if (!usable() || ndim != ndim_) return false;
        for (int i = 0; i < ndim; ++i)
            if (shape_[i] != shape[i]) return false;
        return true;
    }
    bool has_shape(std::initializer_list<int64_t> shape) const {
        return has_shape(shape.begin(), static_cast<int>(shape.size()));
    }
    bool same_shape(const ArrayView& other) const { return has_shape(other.shape_, other.ndim_); }
    // Type and shape.
    bool is_like(const ArrayView& other) const {
        return dtype_ == other.dtype_ && same_shape(other);
    }

  private:
    void* data_ = nullptr;
    DType dtype_ = DType::unsupported;
    int ndim_ = 0;
    bool is_none_ = false, writable_ = false;
    Device device_;
    int64_t shape_[max_ndim], strides_[max_ndim];
};

}  // namespace plainformer
