// The weight (N, K) of a linear layer on the CPU: an array, or panels that were packed from one.
#pragma once
#include "checks/gemm.h"
#include "packed_weight.h"

namespace plainformer {

class Weight {
  public:
    explicit Weight(py::handle object)
        : array_(array_view(object)),
          packed_(array_.usable() ? nullptr : packed_weight_of(object)) {}

    bool usable() const { return packed_ ? packed_->is_current() : array_.ndim() == 2; }
    DType dtype() const { return packed_ ? packed_->dtype : array_.dtype(); }
    int64_t N() const { return packed_ ? packed_->N : array_.dim(0); }
    int64_t K() const { return packed_ ? packed_->K : array_.dim(1); }

    template <typename T>
    void set_b(GemmArgs<T>* s) const {
        s->N = N();
        if (!packed_) plainformer::set_b(s, array_, matrix_of(array_, true));
    }

    // Panels are read by the level that packed them, even if another is chosen meanwhile.
    template <typename T>
    void multiply(const GemmArgs<T>& s) const {
        if (!packed_) return run(dispatch<T>().gemm, s);
        PackedGemmArgs<T> with_panels{s, packed_->panels};
        run(dispatch<T>(packed_->level).packed_gemm, with_panels);
    }

  private:
    const ArrayView array_;
    const PackedWeight* packed_;
};

}  // namespace plainformer
