// The arguments of attention: arrays of heads in their layouts, packed sequences, masks, and proof
// that a kernel may read and write them.
#pragma once
#include "checks/dtypes.h"
#include "checks/overlap.h"
#include "checks/rows.h"
#include "plainformer/attention.h"

namespace plainformer {

// The axes of an array of heads: sequences (B), heads (H), rows (L), elements (D).
class HeadsLayout {
  public:
    enum Kind : int { bhld, blhd, packed };  // packed: (rows of all sequences, H, D)

    explicit HeadsLayout(int kind) : kind_(static_cast<Kind>(kind)) {}

    bool is_known() const { return kind_ >= bhld && kind_ <= packed; }
    bool is_packed() const { return kind_ == packed; }
    int ndim() const { return is_packed() ? 3 : 4; }
    int head() const { return kind_ == blhd ? 2 : 1; }
    int row() const { return kind_ == bhld ? 2 : kind_ == blhd ? 1 : 0; }

    bool is_heads(const ArrayView& x, DType dtype) const {
        return x.dtype() == dtype && x.ndim() == ndim() && x.last_axis_contiguous();
    }
    // The shape of `like` but for its heads and their width.
    Shape shape(const ArrayView& like, int64_t heads, int64_t width) const;
    // Heads of like's type in that shape.
    bool is_heads_like(const ArrayView& x, const ArrayView& like, int64_t heads,
                       int64_t width) const;
    // Such heads to write, no element twice; or none.
    bool is_result(const ArrayView& out, const ArrayView& like, int64_t heads, int64_t width) const;

    template <typename T>
    HeadsView<const T> view(const ArrayView& x) const {
        return {x.data<T>(), x.stride(0), x.stride(head()), x.stride(row())};
    }
    template <typename T>
    HeadsView<T> writable(const ArrayView& x) const {
        return {x.mutable_data<T>(), x.stride(0), x.stride(head()), x.stride(row())};
    }
    // Rows of a row-major array of that shape.
    template <typename T>
    HeadsView<T> contiguous(T* data, const Shape& shape) const {
        int64_t strides[4];
        strides[ndim() - 1] = 1;
        for (int i = ndim() - 1; i > 0; --i) strides[i - 1] = strides[i] * shape.dims[i];
        return {data, strides[0], strides[head()], strides[row()]};
    }

    // One number a row of `q`: (B, H, L) in either dense layout, (H, L) packed; contiguous.
    Shape row_numbers_shape(const ArrayView& q) const;
    bool are_row_numbers(const ArrayView& x, const ArrayView& q) const;
    template <typename A>
    HeadsView<A> row_numbers(A* data, const ArrayView& q) const {
        const int64_t rows = q.dim(row()), heads = q.dim(head());
        return {data, is_packed() ? 1 : heads * rows, rows, 1};
    }

  private:
    Kind kind_;
};

// What a call of attention is given beside its arrays.
struct AttentionNumbers {
    int layout;
    bool may_share_heads;
    int64_t longest_q, longest_k;
    double scale, softcap;
    int64_t left, right;
    bool bottom_right;
    double dropout_p;
    uint64_t seed;
    uint32_t offset;
};

// The options of a call that is proved safe step by step. Each function returns false where an
// argument is not canonical.
class AttentionProblem {
  public:
    explicit AttentionProblem(const AttentionNumbers& numbers);

    const HeadsLayout layout;
    AttentionOptions options{};

    bool set_arrays(const ArrayView& q, const ArrayView& k, const ArrayView& v);
    // Packed sequences have starts, whose values the backend checks.
    bool set_sequences(const ArrayView& q, const ArrayView& k, const ArrayView& starts_q,
                       const ArrayView& starts_k);
    bool set_scores(DType dtype, const ArrayView& mask, const ArrayView& alibi);

    // Queries of dense sequences against caches with room for k_rows.length keys each, of which
    // `lengths` (B) says how many are there; the backend checks its values.
    bool set_cached(const ArrayView& q, const ArrayView& k_cache, const ArrayView& v_cache,
                    const ArrayView& lengths);
    // New keys and values that are appended to the caches: both, and nothing that is read lies in a
    // cache, or neither.
    bool are_new(const ArrayView& q, const ArrayView& k, const ArrayView& v,
                 const ArrayView& k_cache, const ArrayView& v_cache,
                 std::initializer_list<const ArrayView*> others) const;
    // The keys of a mask over caches: one for all, or at most those that there is room for. A row
    // has at most as many keys as the caches and such a mask.
    bool set_mask_keys(const ArrayView& mask, int64_t* most_keys);

  private:
    bool are_numbers_good() const;

    const bool may_share_heads_;
    const double dropout_p_;
};

}  // namespace plainformer
