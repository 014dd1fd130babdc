// Launches the sum of partial rows (kernel: column_sums.cuh).
#pragma once
#include "column_sums.cuh"
#include "context.h"
#include "plainformer/arith.h"

namespace plainformer::cuda {

// total (C) = the sum of parts (count, C) along the first axis; zeros where there are none.
template <typename W>
void sum_columns(W* total, const float* parts, int64_t count, int64_t C, const Context& context) {
    LaunchConfig config{};
    config.grid = dim3(static_cast<unsigned>(ceil_div(C, column_sum_columns)));
    config.block = dim3(column_sum_columns * column_sum_warps);
    config.shared_bytes = sizeof(ColumnSumShared);
    config.stream = context.stream();
    launch(config, sum_parts<W>, total, parts, count, C);
}

}  // namespace plainformer::cuda
