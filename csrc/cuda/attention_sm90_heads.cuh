// Heads of 16-bit elements on sm_90a: as TMA sees them, and sums of 64 rows on their way out.
// Shared by attention's forward and backward.
#pragma once
#include "attention_tile.cuh"
#include "pipeline_sm90.cuh"
#include "plainformer/attention.h"

namespace plainformer::cuda {

// ---- maps (host) --------------------------------------------------------------------------------

// Elements, rows, heads, sequences; packed sequences are rows of one.
template <typename T>
TensorMap map_heads(const HeadsView<const T>& x, const SequenceRows& rows, int64_t B, int64_t heads,
                    int64_t width, int box_rows) {
    const bool packed = rows.starts != nullptr;
    const int64_t dim[4] = {width, packed ? rows.rows : rows.length, heads, packed ? 1 : B};
    // An axis of one element is never stepped along, but its stride must be valid.
    const int64_t row = x.row * 2, head = heads > 1 ? x.head * 2 : row;
    const int64_t stride[3] = {row, head, packed || B == 1 ? row : x.batch * 2};
    const int box[4] = {tile_row, box_rows, 1, 1};
    return make_tensor_map<T>(x.data, 4, dim, stride, box, Swizzle::b128);
}

// A map has no axis of no elements.
inline bool has_rows(const SequenceRows& rows) {
    return (rows.starts ? rows.rows : rows.length) > 0;
}

// ---- loads --------------------------------------------------------------------------------------

// `rows` rows of a head from `row` on, W wide, as panels of 64 columns. By one thread.
template <int W>
__device__ __forceinline__ void load_head_rows(const TensorMap& map, uint32_t to, uint32_t full,
                                               int rows, int row, int head, int batch) {
#pragma unroll
    for (int panel = 0; panel < W / tile_row; ++panel)
        tma_load_4d(to + panel * rows * tile_row_bytes, map, full, panel * tile_row, row, head,
                    batch);
}

// Dense sequences are the outermost axis of the maps; packed ones are rows of the only one.
struct SequenceAxes {
    int row, batch;
};
__device__ __forceinline__ SequenceAxes axes_of(bool packed, int64_t start) {
    const int at = static_cast<int>(start);
    return packed ? SequenceAxes{at, 0} : SequenceAxes{0, at};
}

// ---- products -----------------------------------------------------------------------------------

// Issues d = X Y^T of 64 rows of X and as many of Y as d has columns, W wide.
template <typename T, int W, int R>
__device__ __forceinline__ void issue_scores(float (&d)[R], uint32_t x, uint32_t y) {
#pragma unroll
    for (int panel = 0; panel < W / tile_row; ++panel) {
        const uint64_t a = k_major_desc(x + panel * panel_bytes);
        const uint64_t b = k_major_desc(y + panel * 2 * R * tile_row_bytes);
#pragma unroll
        for (int slice = 0; slice < slices; ++slice)
            wgmma<T>(d, slice_of<false>(a, slice), slice_of<false>(b, slice), panel + slice > 0);
    }
    wgmma_commit();
}

// Issues d += A Y for left operands A, a slice for 16 rows of Y.
template <typename T, int R, int row_slices>
__device__ __forceinline__ void issue_sums(float (&d)[R], const uint32_t (&a)[row_slices][4],
                                           uint32_t y) {
    const uint64_t b = mn_major_desc<row_slices * slice_steps>(y);
#pragma unroll
    for (int slice = 0; slice < row_slices; ++slice)
        wgmma<T, 1>(d, a[slice], slice_of<true>(b, slice), true);
    wgmma_commit();
}

// Accumulators, rounded, as left operands.
template <typename T, int R>
__device__ __forceinline__ void round_to_left(uint32_t (&a)[R / 8][4], const float (&d)[R]) {
#pragma unroll
    for (int slice = 0; slice < R / 8; ++slice) accumulators_as_a<T>(a[slice], d, slice);
}

// ---- stores -------------------------------------------------------------------------------------

// A warpgroup's 64 rows of sums to the `count` rows that exist from `first` on. They go through
// `staging`, panels of 64 columns that nobody else reads; each warp writes its 16 rows 16 bytes at
// a time.
template <typename T, int R>
__device__ __forceinline__ void store_head_rows(const float (&sums)[R], unsigned char* staging,
                                                T* first, int64_t stride, int count, int width) {
    constexpr int W = 2 * R, chunks = W / 8;
#pragma unroll
    for (int slice = 0; slice < W / slice_steps; ++slice)
        store_accumulators<T>(shared_addr(staging + slice / slices * panel_bytes), sums, slice);
    __syncwarp();
    const int warp = threadIdx.x % warpgroup_threads / 32;
    for (int n = lane_id(); n < 16 * chunks; n += 32) {
        const int r = warp * 16 + n / chunks, c = n % chunks;
        if (8 * c < width && r < count)
            *reinterpret_cast<uint4*>(first + r * stride + 8 * c) = *reinterpret_cast<const uint4*>(
                staging + c / 8 * panel_bytes + tile_offset<tile_row>(r, c % 8));
    }
}

}  // namespace plainformer::cuda
