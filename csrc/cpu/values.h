// What checks/values.h asks for, on the CPU: copies of ids, starts and lengths, each checked.
#pragma once
#include <memory>

#include "checks/values.h"
#include "plainformer/ids.h"
#include "plainformer/view.h"
#include "runtime/allocator.h"

namespace plainformer {

// Memory of a call's own. A few numbers stay on the stack.
class OwnMemory {
  public:
    OwnMemory() {}
    OwnMemory(const OwnMemory&) = delete;
    OwnMemory& operator=(const OwnMemory&) = delete;

    void* take(int64_t bytes) {
        if (bytes <= static_cast<int64_t>(sizeof few_)) return few_;
        many_.reset(allocate(static_cast<size_t>(bytes)));
        return many_.get();
    }

  private:
    struct Release {
        void operator()(void* block) const { release(block); }
    };
    alignas(8) char few_[512];
    std::unique_ptr<void, Release> many_;
};

// Takes what `is_ids` of checks/ids.h passes.
class CheckedIds {
  public:
    // False unless each lies in [0, limit), or equals *except where that is given.
    bool take(const ArrayView& ids, int64_t limit, const int64_t* except = nullptr);
    Ids ids() const { return ids_; }

  private:
    OwnMemory memory_;
    Ids ids_{};
};

// Takes int32 arrays (N), of any stride.
class CheckedStarts {
  public:
    // Either's, the queries' or the keys'.
    bool take(const ArrayView& starts, bool of_keys, int64_t rows, int64_t longest);
    const int32_t* starts() const { return starts_; }

  private:
    OwnMemory memory_;
    const int32_t* starts_ = nullptr;
};

// Likewise. Afterwards the lengths count the `added` keys.
class CheckedLengths {
  public:
    bool take(const ArrayView& lengths, int64_t added, int64_t capacity);
    const int32_t* lengths() const { return lengths_; }

  private:
    OwnMemory memory_;
    const int32_t* lengths_ = nullptr;
};

}  // namespace plainformer
