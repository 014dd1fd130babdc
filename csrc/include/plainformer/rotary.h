// Rotary position embedding: pairs of elements of a head turn by an angle that depends on the
// row's position and on the pair.
//
//   y_a = x_a cos - x_b sin        y_b = x_b cos + x_a sin
//
// Pair i is elements (i, i + R/2), as in GPT-NeoX and Llama, or interleaved (2 i, 2 i + 1), as in
// GPT-J and the paper. Elements from R on are copied. The backward turns the other way.
//
// Su et al., "RoFormer", 2021, arXiv:2104.09864.
#pragma once
#include "plainformer/ids.h"

namespace plainformer {

template <typename T>
struct RotaryArgs {
    static constexpr int max_row_ndim = 6;

    T* y;                         // (N, H, D), contiguous
    const T* x;                   // (rows ..., H, D), N rows in all; the last axis is contiguous
    int row_ndim;                 // the axes of the rows
    int64_t rows[max_row_ndim];   // their lengths
    int64_t x_row[max_row_ndim];  // and strides
    int64_t x_head;
    Ids positions;           // (N), each in [0, table_rows)
    const float *cos, *sin;  // (table_rows, R / 2), rows cos_row and sin_row apart
    int64_t table_rows;
    int64_t cos_row, sin_row;
    int64_t N, H, D, R;
    bool interleaved;
    bool inverse;  // turn by the negative angle
};

}  // namespace plainformer
