// What the bindings of attention have in common: arrays of heads in their layouts, packed
// sequences, masks, and proof that a kernel may read and write them.
#pragma once
#include <vector>

#include "operand.h"
#include "plainformer/attention.h"

namespace plainformer {

// Appends the numbers of an int32 array (N,) to *to, where they are checked and stay as checked
// whatever other threads write to the array; false where it is none.
bool copy_integers(const Operand& x, std::vector<int32_t>* to);

// The axes of an array of heads: sequences (B), heads (H), rows (L), elements (D).
class HeadsLayout {
  public:
    enum Kind : int { bhld, blhd, packed };  // packed: (rows of all sequences, H, D)

    static bool is_known(int kind) { return kind >= bhld && kind <= packed; }
    explicit HeadsLayout(int kind) : kind_(static_cast<Kind>(kind)) {}

    bool is_packed() const { return kind_ == packed; }
    int ndim() const { return is_packed() ? 3 : 4; }
    int head() const { return kind_ == blhd ? 2 : 1; }
    int row() const { return kind_ == bhld ? 2 : kind_ == blhd ? 1 : 0; }

    bool is_heads(const Operand& x, DType dtype) const {
        return x.usable() && x.ndim() == ndim() && x.dtype() == dtype && x.last_axis_contiguous();
    }
    // The shape of `like` but for its heads and their width.
    std::vector<int64_t> shape(const Operand& like, int64_t heads, int64_t width) const;
    bool has_shape(const Operand& x, const Operand& like, int64_t heads, int64_t width) const;

    template <typename T>
    HeadsView<const T> view(const Operand& x) const {
        return {x.data<T>(), x.stride(0), x.stride(head()), x.stride(row())};
    }
    template <typename T>
    HeadsView<T> writable(const Operand& x) const {
        return {x.mutable_data<T>(), x.stride(0), x.stride(head()), x.stride(row())};
    }

    // One number a row of `q`: (B, H, L) in either dense layout, (H, L) packed; contiguous.
    std::vector<int64_t> row_numbers_shape(const Operand& q) const;
    bool are_row_numbers(const Operand& x, const Operand& q) const;
    template <typename A>
    HeadsView<A> row_numbers(A* data, const Operand& q) const {
        const int64_t rows = q.dim(row()), heads = q.dim(head());
        return {data, is_packed() ? 1 : heads * rows, rows, 1};
    }

  private:
    Kind kind_;
};

// The options of a call that has been proved safe. Each function returns false where an argument is
// not canonical.
class AttentionProblem {
  public:
    // options: (layout, heads may be shared, longest q, longest k, scale, softcap, left, right,
    // bottom right, dropout p, seed, offset)
    explicit AttentionProblem(const py::tuple& options);

    const HeadsLayout layout;
    AttentionOptions options{};

    bool set_arrays(const Operand& q, const Operand& k, const Operand& v);
    // The numbers of rows before each sequence are copied.
    bool set_sequences(const Operand& q, const Operand& k, const Operand& starts_q,
                       const Operand& starts_k);
    bool set_scores(DType dtype, const Operand& mask, const Operand& alibi);

  private:
    bool are_options_good() const;

    const bool is_layout_known_, may_share_heads_;
    const double dropout_p_;
    std::vector<int32_t> starts_;
};

// Makes *out an array with the shape of `like` but for heads and width: the one given, or a new one
// where there is none; false if it cannot be that.
bool heads_result(py::object* out, const HeadsLayout& layout, const Operand& like, int64_t heads,
                  int64_t width);

}  // namespace plainformer
