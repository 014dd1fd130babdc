#include "check_values.h"

#include "checks/values.h"
#include "device.cuh"

namespace plainformer::cuda {

namespace {

constexpr int threads = 256;

struct CheckStartsShared {
    unsigned bad;
};

// One block: all starts are judged before one is written.
__global__ void __launch_bounds__(threads)
    check_starts(const int32_t* __restrict__ starts, int64_t stride, int64_t count, int64_t rows,
                 int64_t longest, int32_t* __restrict__ copy, Argument argument,
                 ErrorRecord* errors) {
    auto& s = shared<CheckStartsShared>();
    if (threadIdx.x == 0) s.bad = 0;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < count; i += threads) {
        const int32_t start = starts[i * stride];
        const bool good = (i > 0 || start == 0) && (i < count - 1 || start == rows) &&
                          (i == 0 || is_sequence(starts[(i - 1) * stride], start, longest));
        if (good) continue;
        report(errors, argument, i, start, rows);
        atomicExch(&s.bad, 1u);
    }
    __syncthreads();
    const bool bad = s.bad != 0;
    for (int64_t i = threadIdx.x; i < count; i += threads) copy[i] = bad ? 0 : starts[i * stride];
}

__global__ void __launch_bounds__(threads)
    check_lengths(const int32_t* __restrict__ lengths, int64_t stride, int64_t count, int64_t added,
                  int64_t capacity, int32_t* __restrict__ copy, ErrorRecord* errors) {
    const int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
    if (i >= count) return;
    const int32_t length = lengths[i * stride];
    const bool good = is_length(length, added, capacity);
    if (!good) report(errors, Argument::cache_seqlens, i, length, capacity - added);
    copy[i] = good ? length + static_cast<int32_t>(added) : 0;
}

}  // namespace

const int32_t* checked_starts(const int32_t* starts, int64_t stride, int64_t count, int64_t rows,
                              int64_t longest, Argument argument, Context& context) {
    int32_t* const copy = context.workspace<int32_t>(count);
    LaunchConfig config;
    config.grid = dim3(1), config.block = dim3(threads);
    config.shared_bytes = sizeof(CheckStartsShared), config.stream = context.stream();
    launch(config, check_starts, starts, stride, count, rows, longest, copy, argument,
           context.errors());
    return copy;
}

const int32_t* checked_lengths(const int32_t* lengths, int64_t stride, int64_t count, int64_t added,
                               int64_t capacity, Context& context) {
    int32_t* const copy = context.workspace<int32_t>(count);
    if (count == 0) return copy;
    LaunchConfig config;
    config.grid = dim3(static_cast<unsigned>((count + threads - 1) / threads));
    config.block = dim3(threads), config.stream = context.stream();
    launch(config, check_lengths, lengths, stride, count, added, capacity, copy, context.errors());
    return copy;
}

}  // namespace plainformer::cuda
