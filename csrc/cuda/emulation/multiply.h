// The arithmetic of matrix instructions on floats: sums in the order of k, each product and sum
// rounded, the same bytes on every host. A chip's own order is not known.
#pragma once

namespace plainformer::emulation {

constexpr int multiply_depth = 16;  // k of every instruction here

// D (rows, columns) += A B, with A as (16, rows), B as (16, columns); columns is a multiple of 8.
void multiply(float* d, const float* a, const float* b, int rows, int columns);

}  // namespace plainformer::emulation
