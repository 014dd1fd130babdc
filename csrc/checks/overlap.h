// Which bytes an array covers, and whether two arrays have one in common: exactly, so that views of
// one block whose elements lie between each other's (the parts of packed queries, keys and values)
// pass as what they are, arrays of their own. The one judge for both layers: wrappers ask it
// through `shares_memory` and `is_distinct` of the compiled module when they explain a refusal.
#pragma once
#include <initializer_list>
#include <vector>

#include "plainformer/view.h"

namespace plainformer {

// In bytes, so that what no view can be, such as an unaligned array, is judged as well.
struct Footprint {
    static constexpr int max_ndim = ArrayView::max_ndim;

    const char* data;
    int64_t item_size;
    int ndim;
    int64_t shape[max_ndim], strides[max_ndim];  // strides in bytes, of any sign

    bool empty() const;
    const char* first() const;  // the lowest byte
    const char* last() const;   // the highest one
    // Each axis steps over all that the shorter steps span, as in every slice and transpose of an
    // array: then no two elements share a byte. False also where that cannot be seen so simply.
    bool is_nested() const;
};

Footprint footprint(const ArrayView& x);

// Whether a byte belongs to both. Strides so contrived that the search would take long count as
// overlapping.
bool overlap(const Footprint& a, const Footprint& b);

// No two elements share memory.
inline bool is_distinct(const ArrayView& x) { return footprint(x).is_nested(); }

// No output shares memory with an input, which is never written, or with another output. A view of
// none shares nothing. The words for it: `check_apart` in kernels/_arrays.py.
bool are_apart(std::initializer_list<const ArrayView*> outputs,
               std::initializer_list<const ArrayView*> inputs);

// The same of many contiguous arrays. They are sorted, because a model has hundreds.
class ManyArrays {
  public:
    explicit ManyArrays(size_t count) { extents_.reserve(count); }
    void add(const void* data, int64_t bytes, bool is_written);
    bool are_apart();

  private:
    struct Extent {
        const char *begin, *end;
        bool is_written;
    };
    std::vector<Extent> extents_;
};

}  // namespace plainformer
