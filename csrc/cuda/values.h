// What checks/values.h asks for, on a device, where reading the numbers would mean waiting for it.
// Ids go to the kernels as they are: each is checked where it is used as a place. Starts and
// lengths, of which a kernel uses several together, are copied first by a small kernel that checks
// them: where one is wrong, the copy holds nothing that leads out of an array. What was wrong is
// reported to the host's next look (error_record.h).
#pragma once
#include "adapter.h"
#include "checks/values.h"
#include "plainformer/ids.h"

namespace plainformer {

class CheckedIds {
  public:
    bool take(const ArrayView& ids, int64_t, const int64_t* = nullptr) {
        ids_ = {ids.data<void>(), ids.dtype() == DType::int64};
        return true;
    }
    Ids ids() const { return ids_; }

  private:
    Ids ids_{};
};

class CheckedStarts {
  public:
    bool take(const ArrayView& starts, bool of_keys, int64_t rows, int64_t longest);
    const int32_t* starts() const { return starts_; }

  private:
    const int32_t* starts_ = nullptr;
};

// Afterwards the lengths count the `added` keys; 0 where one was wrong.
class CheckedLengths {
  public:
    bool take(const ArrayView& lengths, int64_t added, int64_t capacity);
    const int32_t* lengths() const { return lengths_; }

  private:
    const int32_t* lengths_ = nullptr;
};

}  // namespace plainformer
