// The weight (N, K) of a linear layer, or of a loss's head, on the CPU: an array, or panels that
// were packed from one.
#pragma once
#include "checks/gemm.h"
#include "function.h"
#include "packed_weight.h"
#include "plainformer/linear_cross_entropy.h"

namespace plainformer {

class Weight {
  public:
    explicit Weight(py::handle object)
        : array_(array_view(object)),
          packed_(array_.usable() ? nullptr : packed_weight_of(object)) {}

    bool usable() const { return packed_ ? packed_->is_current() : array_.ndim() == 2; }
    bool is_array() const { return !packed_; }
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
        PackedGemmArgs<T> with_panels{s};
        multiply_onto(&with_panels);
    }
    // The same with what is added to it.
    template <typename T>
    void multiply_onto(PackedGemmArgs<T>* s) const {
        s->panels = packed_ ? packed_->panels : nullptr;
        run((packed_ ? dispatch<T>(packed_->level) : dispatch<T>()).packed_gemm, *s);
    }

    template <typename T>
    void set_head(LinearCrossEntropyArgs<T>* s) const {
        if (packed_) return;
        s->weight = array_.data<T>();
        s->weight_row = array_.stride(0), s->weight_column = array_.stride(1);
    }
    template <typename T>
    void lose(const LinearCrossEntropyArgs<T>& s) const {
        if (!packed_) return run(dispatch<T>().linear_cross_entropy, s);
        PackedLinearCrossEntropyArgs<T> with_panels{s, packed_->panels};
        run(dispatch<T>(packed_->level).packed_linear_cross_entropy, with_panels);
    }

  private:
    const ArrayView array_;
    const PackedWeight* packed_;
};

template <>
struct Argument<const Weight&> {
    static constexpr const char* name = "object";
    static Weight of(PyObject* object) { return Weight(object); }
};

}  // namespace plainformer
