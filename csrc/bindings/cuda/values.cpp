#include "cuda/values.h"

#include "cuda/check_values.h"

namespace plainformer {

bool CheckedStarts::take(const ArrayView& x, bool of_keys, int64_t rows, int64_t longest) {
    if (x.dim(0) < 1) return false;
    CallScope& call = CallScope::current();
    cuda::Context context(call.device(), call.stream(), call);
    starts_ = cuda::checked_starts(
        x.data<int32_t>(), x.stride(0), x.dim(0), rows, longest,
        of_keys ? cuda::Argument::cu_seqlens_k : cuda::Argument::cu_seqlens_q, context);
    return true;
}

bool CheckedLengths::take(const ArrayView& x, int64_t added, int64_t capacity) {
    CallScope& call = CallScope::current();
    cuda::Context context(call.device(), call.stream(), call);
    lengths_ =
        cuda::checked_lengths(x.data<int32_t>(), x.stride(0), x.dim(0), added, capacity, context);
    return true;
}

}  // namespace plainformer
