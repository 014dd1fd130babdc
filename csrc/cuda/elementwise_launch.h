// Grids of elementwise kernels. Host code.
#pragma once
#include <initializer_list>

#include "context.h"
#include "elementwise.cuh"
#include "plainformer/arith.h"

namespace plainformer::cuda {

// Threads for `chunks` chunks, `unroll` each.
inline LaunchConfig elementwise_grid(int64_t chunks, int unroll, const Context& context) {
    LaunchConfig config{};
    const int64_t blocks = ceil_div(chunks, int64_t{unroll} * elementwise_threads);
    config.grid = dim3(static_cast<unsigned>(blocks));
    config.block = dim3(elementwise_threads);
    config.stream = context.stream();
    return config;
}

}  // namespace plainformer::cuda
