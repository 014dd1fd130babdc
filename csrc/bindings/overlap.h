// Which bytes an array covers, and whether two arrays have one in common: exactly, so that views of
// one block whose elements lie between each other's (the parts of packed queries, keys and values)
// pass as what they are, arrays of their own.
#pragma once
#include <cstdint>

namespace plainformer {

struct Footprint {
    static constexpr int max_ndim = 8;

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

// Whether a byte belongs to both. Strides so contrived that the search would take long count as
// overlapping.
bool overlap(const Footprint& a, const Footprint& b);

}  // namespace plainformer
