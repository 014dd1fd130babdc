// Sums of partial rows: total[c] = parts[0, c] + parts[1, c] + ..., in an order that follows from
// the number of parts alone. The partial rows of weights' and biases' gradients end here.
#pragma once
#include "device.cuh"

namespace plainformer::cuda {

// A block sums 32 columns. Each of its warps takes every 16th part, eight of them in flight, and
// the warps' sums are added in order.
constexpr int column_sum_columns = warp_size, column_sum_warps = 16;

struct ColumnSumShared {
    float sums[column_sum_warps][column_sum_columns];
};

template <typename W>  // total (C), parts (count, C)
__global__ void __launch_bounds__(column_sum_columns* column_sum_warps)
    sum_parts(W* total, const float* parts, int64_t count, int64_t C) {
    auto& s = shared<ColumnSumShared>();
    const int lane = lane_id(), warp = warp_id();
    const int64_t c = int64_t(blockIdx.x) * column_sum_columns + lane;
    float sum = 0;
    if (c < C) {
#pragma unroll 8
        for (int64_t i = warp; i < count; i += column_sum_warps) sum += parts[i * C + c];
    }
    s.sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && c < C) {
        for (int i = 1; i < column_sum_warps; ++i) sum += s.sums[i][lane];
        total[c] = from_float<W>(sum);
    }
}

}  // namespace plainformer::cuda
