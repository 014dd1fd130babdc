// Token and label ids as a binding takes them.
#pragma once
#include <cstring>
#include <memory>

#include "operand.h"
#include "plainformer/ids.h"
#include "runtime/allocator.h"

namespace plainformer {

inline bool is_ids(const Operand& ids) {
    return ids.contiguous() && (ids.dtype() == DType::int32 || ids.dtype() == DType::int64);
}

// A call's own ids. They are copied first and then checked, and kernels read only the copy: while
// one runs without the interpreter lock, any thread may write to the array that was given. An id
// stands for a row of memory, so the copy costs little beside what is done with it.
class CheckedIds {
  public:
    CheckedIds() = default;
    CheckedIds(const CheckedIds&) = delete;
    CheckedIds& operator=(const CheckedIds&) = delete;

    // Takes `is_ids`; false unless each lies in [0, limit), or equals *except where that is given.
    bool take(const Operand& ids, int64_t limit, const int64_t* except = nullptr) {
        const bool wide = ids.dtype() == DType::int64;
        const size_t bytes = static_cast<size_t>(ids.size()) * (wide ? 8 : 4);
        if (bytes > sizeof few_) many_.reset(allocate(bytes));
        void* copy = many_ ? many_.get() : few_;
        std::memcpy(copy, ids.data<void>(), bytes);
        ids_ = {copy, wide};
        return wide ? in_range(static_cast<int64_t*>(copy), ids.size(), limit, except)
                    : in_range(static_cast<int32_t*>(copy), ids.size(), limit, except);
    }

    Ids ids() const { return ids_; }

  private:
    template <typename Id>
    static bool in_range(const Id* ids, int64_t count, int64_t limit, const int64_t* except) {
        bool good = true;
        for (int64_t i = 0; i < count; ++i)
            good &= (ids[i] >= 0 && ids[i] < limit) || (except && ids[i] == *except);
        return good;
    }

    struct Release {
        void operator()(void* block) const { release(block); }
    };
    alignas(8) char few_[512];
    std::unique_ptr<void, Release> many_;
    Ids ids_{};
};

}  // namespace plainformer
