// Products with a weight that was packed beforehand. B is copied once, alone or with others side by
// side, into the panels that gemm reads; their layout belongs to the ISA level that packed them.
#pragma once
#include "plainformer/gemm.h"
#include "plainformer/philox.h"

namespace plainformer {

template <typename T>
struct PackPiece {
    const T* data;  // (K, columns)
    int64_t columns, row, column;
};

template <typename T>
struct PackArgs {
    void** panels;   // to a block of allocate(), which the caller releases
    int64_t* bytes;  // its size
    const PackPiece<T>* pieces;
    int64_t pieces_count, K, N;  // N is the sum of the pieces' columns
};

// gemm, where B is these panels if there are any: then neither `B` nor its strides are read. With a
// residual, which no batch has, it is added to what dropout leaves of C, row m of the mask being
// row m of C (threshold 0: nothing is dropped).
template <typename T>
struct PackedGemmArgs : GemmArgs<T> {
    const void* panels = nullptr;
    const T* residual = nullptr;  // (M, N), rows contiguous, residual_row apart; not C itself
    int64_t residual_row = 0;
    DropoutRule dropout = {0, 0, 0, 1.0};
};

}  // namespace plainformer
