#include "values.h"

#include <cstring>

namespace plainformer {

namespace {

template <typename Id>
bool are_in_range(const Id* ids, int64_t count, int64_t limit, const int64_t* except) {
    bool good = true;
    for (int64_t i = 0; i < count; ++i)
        good &= is_id(ids[i], limit) || (except && ids[i] == *except);
    return good;
}

int32_t* copy_of(const ArrayView& x, OwnMemory* memory) {
    const int64_t count = x.dim(0);
    int32_t* const copy = static_cast<int32_t*>(memory->take(count * 4));
    const int32_t* const from = x.data<int32_t>();
    for (int64_t i = 0; i < count; ++i) copy[i] = from[i * x.stride(0)];
    return copy;
}

}  // namespace

bool CheckedIds::take(const ArrayView& ids, int64_t limit, const int64_t* except) {
    const int64_t count = ids.size(), bytes = count * ids.item_size();
    void* const copy = memory_.take(bytes);
    std::memcpy(copy, ids.data<void>(), static_cast<size_t>(bytes));
    ids_ = {copy, ids.dtype() == DType::int64};
    return ids_.wide ? are_in_range(static_cast<int64_t*>(copy), count, limit, except)
                     : are_in_range(static_cast<int32_t*>(copy), count, limit, except);
}

bool CheckedStarts::take(const ArrayView& x, bool, int64_t rows, int64_t longest) {
    const int32_t* const starts = starts_ = copy_of(x, &memory_);
    const int64_t count = x.dim(0) - 1;
    bool good = count >= 0 && starts[0] == 0 && starts[count] == rows;
    for (int64_t b = 0; b < count; ++b) good &= is_sequence(starts[b], starts[b + 1], longest);
    return good;
}

bool CheckedLengths::take(const ArrayView& x, int64_t added, int64_t capacity) {
    int32_t* const lengths = copy_of(x, &memory_);
    lengths_ = lengths;
    for (int64_t b = 0; b < x.dim(0); ++b) {
        if (!is_length(lengths[b], added, capacity)) return false;
        lengths[b] += static_cast<int32_t>(added);
    }
    return true;
}

}  // namespace plainformer
