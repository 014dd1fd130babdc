// Linear layers whose weight is int8, with float32 scales: y = activation(x weight^T + bias).
//
//   weight[n, k] = values[n, k] scale[n, k / group]
//
// Weight only: x stays a float, products and sums are float32 in ascending k, a group at a time.
// Dynamic: each row of x is quantized to uint8 as it comes, and sums are exact in int32:
//
//   x[m, k] = step[m] (u[m, k] - zero[m])      step[m] = (max - min) / 255      zero[m] = -min /
//   step y[m, n] = step[m] sum_groups scale[n, g] float(sum_k (u[m, k] - zero[m]) values[n, k]) +
//   bias[n]
//
// min and max are those of the row and 0. A row with NaN or infinities is NaN as a whole. A row of
// the result depends on its own row of x alone, and no byte on the number of threads.
#pragma once
#include "plainformer/activation.h"
#include "plainformer/types.h"

namespace plainformer {

// A sum of more products of uint8 and int8 may leave int32: 255 * 128 * k < 2^31.
constexpr int64_t most_exact_terms = 65793;

// A weight in the panels of one ISA level: int8_pack.cpp.
struct Int8Panels {
    int64_t N = 0, K = 0;
    int64_t group = 0;  // values along K that share a scale; K or a multiple of 4
    const int8_t* values = nullptr;
    const float* scale = nullptr;   // (panels, groups, columns of a panel)
    const int32_t* sums = nullptr;  // the same: sums of the values of a group
};

template <typename T>
struct Int8PackArgs {
    Int8Panels* panels;    // N, K and group are given
    void** block;          // of allocate(), which holds the panels and which the caller releases
    int64_t* bytes;        // its size
    const int8_t* values;  // (N, K)
    int64_t values_row, values_column;
    const float* scale;  // (N, groups), contiguous
};

template <typename T>
struct Int8LinearArgs {
    T* y;        // (M, N), contiguous
    const T* x;  // (M, K), rows contiguous, x_row apart
    int64_t x_row;
    int64_t M;
    Int8Panels weight;
    const T* bias;  // (N) or null
    Activation activation;
    bool dynamic;
};

}  // namespace plainformer
