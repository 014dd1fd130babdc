// The weight (N, K) of a linear layer on a device: an array. Kernels read it as it lies.
#pragma once
#include "checks/gemm.h"
#include "function.h"

namespace plainformer {

class Weight {
  public:
    explicit Weight(py::handle object) : array_(array_view(object)) {}

    bool usable() const { return array_.usable() && array_.ndim() == 2; }
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

  private:
    const ArrayView array_;
};

}  // namespace plainformer
