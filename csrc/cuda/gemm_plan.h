// Which kernel multiplies, by shapes alone: the same shapes give the same bytes on every device of
// one kind. Host code.
//
//   rows, columns                      kernel                      parts of K
//   at most 16 rows, read by vectors   gemm_gemv                   half a megabyte of B a block
//   128 x 128 tiles >= 64, or          large tile                  K >= 512 a part
//     more than 64 rows and columns
//     and K >= 2048
//   else                               small tile, 64 x 64         K >= 768 a part
//
// Where fewer than 64 blocks would run, K is cut into as many parts of at least that size as make
// about 128 of them, the number of multiprocessors of the devices that the kernels are for (108 to
// 132). Parts go to a workspace and are added in order (add_parts), a launch more: some 3 us, for
// which a block must save as much. All of this is arithmetic and not yet measured.
#pragma once
#include "gemm.cuh"
#include "plainformer/arith.h"  // ceil_div, least

namespace plainformer::cuda {

inline constexpr int64_t gemm_blocks_wanted = 128;
inline constexpr int64_t gemm_large_tiles = 64;  // that are enough without parts of K
inline constexpr int64_t gemm_tall_k = 2048;     // from here on few large tiles are cut along K
inline constexpr int64_t gemm_large_part_k = 512, gemm_small_part_k = 768;  // least K of a part
inline constexpr int64_t gemv_part_bytes = 512 << 10;
inline constexpr int64_t gemm_most_parts = 32;
inline constexpr int64_t largest_grid_z = 65535;

template <typename T>
int64_t matrices_of(const GemmArgs<T>& s) {
    int64_t count = 1;
    for (int i = 0; i < s.batch_ndim; ++i) count *= s.batch[i];
    return count;
}

template <typename T>
bool takes_large_tiles(const GemmArgs<T>& s) {
    const int64_t tiles = ceil_div(s.M, 128) * ceil_div(s.N, 128) * matrices_of(s);
    return tiles >= gemm_large_tiles || (s.M > 64 && s.N > 64 && s.K >= gemm_tall_k);
}

// Steps of K, `depth` of k each, in a part: all of them where enough blocks run anyway.
inline int64_t steps_in_part(int64_t K, int depth, int64_t blocks, int64_t least_k) {
    const int64_t steps = ceil_div(K, depth), fewest = ceil_div(least_k, depth);
    if (blocks >= gemm_large_tiles || steps < 2 * fewest) return steps;
    const int64_t parts =
        least(gemm_blocks_wanted / blocks, least(steps / fewest, gemm_most_parts));
    return ceil_div(steps, parts);
}

// How `operand`, `stride` elements from one k to the next and `other` from one m or n to the next,
// is read; K and E are its extents.
template <typename T>
OperandAccess access_of(const T* operand, int64_t other, int64_t stride, int64_t E, int64_t K,
                        const int64_t* batch, int batch_ndim) {
    OperandAccess access;
    access.axis = stride != 1 && other == 1 ? Contiguous::other : Contiguous::k;
    const bool along_k = access.axis == Contiguous::k;
    const int64_t step = along_k ? stride : other, line = along_k ? other : stride;
    access.aligned = step == 1 && is_vector_aligned(operand, (along_k ? E : K) > 1 ? line : 0);
    for (int i = 0; i < batch_ndim; ++i) access.aligned &= batch[i] % vector_width<T> == 0;
    return access;
}

template <typename T>
GemmTask<T> task_of(const GemmArgs<T>& s) {
    GemmTask<T> task;
    task.s = s;
    task.A = access_of(s.A, s.A_row, s.A_column, s.M, s.K, s.A_batch, s.batch_ndim);
    task.B = access_of(s.B, s.B_column, s.B_row, s.N, s.K, s.B_batch, s.batch_ndim);
    return task;
}

}  // namespace plainformer::cuda
