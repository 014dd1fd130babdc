// The weight (N, K) of a linear layer on a device: an array. Kernels read it as it lies.
#pragma once
#include "checks/gemm.h"
#include "function.h"
#include "plainformer/linear_cross_entropy.h"

namespace plainformer {

class Weight {
  public:
    explicit Weight(py::handle object) : array_(array_view(object)) {}

    bool usable() const { return array_.usable() && array_.ndim() == 2; }
    bool is_array() const { return true; }
    DType dtype() const { return array_.dtype(); }
    int64_t N() const { return array_.dim(0); }
    int64_t K() const { return array_.dim(1); }

    template <typename T>
    void set_b(GemmArgs<T>* s) const {
        plainformer::set_b(s, array_, matrix_of(array_, true));
    }
    template <typename T>
    void multiply(const GemmArgs<T>& s) const {
        run(dispatch<T>().gemm, s);
    }

    template <typename T>
    void set_head(LinearCrossEntropyArgs<T>* s) const {
        s->weight = array_.data<T>();
        s->weight_row = array_.stride(0), s->weight_column = array_.stride(1);
    }
    template <typename T>
    void lose(const LinearCrossEntropyArgs<T>& s) const {
        run(dispatch<T>().linear_cross_entropy, s);
    }

  private:
    const ArrayView array_;
};

template <>
struct Argument<const Weight&> {
    static constexpr const char* name = "object";
    static Weight of(PyObject* object) { return Weight(object); }
};

}  // namespace plainformer
