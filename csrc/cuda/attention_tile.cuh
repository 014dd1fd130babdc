// Tiles of heads in shared memory and as fragments of m16n8k16: how rows are laid out, copied and
// loaded, and what keeps values that are not finite out of sums they are not part of.
#pragma once
#include "device.cuh"

namespace plainformer::cuda {

// ---- layout -------------------------------------------------------------------------------------

// Byte offset of 16-byte chunk c of row r among rows of W 16-bit elements. The row's number is
// XORed into the chunk's, so that the same chunk of eight rows, which a matrix load touches at
// once, lies in all 32 banks.
template <int W>
PF_INLINE constexpr uint32_t tile_offset(int r, int c) {
    return static_cast<uint32_t>(r * (W * 2) + ((c ^ (r & 7)) << 4));
}

// Two elements of row r at column c, which is even.
template <int W, typename T>
__device__ __forceinline__ void store_pair(T* rows, int r, int c, uint32_t pair) {
    *reinterpret_cast<uint32_t*>(rows + tile_offset<W>(r, c / 8) / 2 + c % 8) = pair;
}

// Asks for `rows` rows, of which `count` exist, `width` elements wide; the rest becomes 0.
template <int W, int rows, int threads, typename T>
__device__ __forceinline__ void copy_rows(uint32_t to, const T* from, int64_t stride, int count,
                                          int width) {
    constexpr int chunks = W / 8;
    static_assert(threads % chunks == 0 && rows * chunks % threads == 0, "no chunk is left over");
    const int c = threadIdx.x % chunks, first = threadIdx.x / chunks;
    const T* row = from + first * stride + 8 * c;
#pragma unroll
    for (int r = first; r < rows; r += threads / chunks) {
        const bool exists = r < count && 8 * c < width;
        cp_async_16(to + tile_offset<W>(r, c), exists ? row : from, exists);
        row += threads / chunks * stride;
    }
}

// ---- fragments ----------------------------------------------------------------------------------

// A lane's place in a tile, from which every fragment of it is one XOR and an immediate offset
// away: row r, a multiple of 8, leaves the swizzle as it is, and a step of 16 columns turns bits of
// it that rows and tiles, aligned to whole rows, leave free.
template <int W>
__device__ __forceinline__ uint32_t fragment_at(uint32_t lane_place, int r, int c) {
    return (lane_place ^ static_cast<uint32_t>(32 * c)) + static_cast<uint32_t>(r * (W * 2));
}

// For left operands, and for right ones that are loaded transposed.
template <int W>
__device__ __forceinline__ uint32_t row_place(uint32_t tile) {
    const int lane = lane_id();
    return tile + tile_offset<W>(lane % 16, lane / 16);
}
// For right operands whose columns are the tile's rows.
template <int W>
__device__ __forceinline__ uint32_t column_place(uint32_t tile) {
    const int lane = lane_id();
    return tile + tile_offset<W>(lane % 8 + lane / 16 * 8, lane / 8 % 2);
}

// Rows [r, r + 16) at columns [16 c, 16 c + 16) as a left operand; from a row_place.
template <int W>
__device__ __forceinline__ void load_left(uint32_t (&a)[4], uint32_t place, int r, int c) {
    ldmatrix(a, fragment_at<W>(place, r, c));
}

// Two right operands, b[0], b[1] and b[2], b[3], of 8 columns each: rows [r, r + 16) of the tile
// are the columns, summed over its columns [16 c, 16 c + 16); from a column_place. K in Q K^T.
template <int W>
__device__ __forceinline__ void load_right(uint32_t (&b)[4], uint32_t place, int r, int c) {
    ldmatrix(b, fragment_at<W>(place, r, c));
}

// Likewise with the tile's columns [16 c, 16 c + 16) as the columns, summed over its rows
// [r, r + 16); from a row_place. V in P V.
template <int W>
__device__ __forceinline__ void load_right_trans(uint32_t (&b)[4], uint32_t place, int r, int c) {
    ldmatrix_trans(b, fragment_at<W>(place, r, c));
}

// Two neighbouring accumulators, 16 columns, are where a left operand wants them.
template <typename T>
__device__ __forceinline__ void pack_left(uint32_t (&a)[4], const float (&left)[4],
                                          const float (&right)[4]) {
    a[0] = pack<T>(left[0], left[1]), a[1] = pack<T>(left[2], left[3]);
    a[2] = pack<T>(right[0], right[1]), a[3] = pack<T>(right[2], right[3]);
}

// ---- values that are not finite -----------------------------------------------------------------

// The bits of a pair of 16-bit elements.
template <typename T>
struct PairBits;
template <>
struct PairBits<bfloat16> {
    static constexpr uint32_t infinity = 0x7f80, one = 0x3f80;
};
template <>
struct PairBits<float16> {
    static constexpr uint32_t infinity = 0x7c00, one = 0x3c00;
};

// The sign bits of the halves whose exponent is all ones: adding its lowest bit carries into them.
template <typename T>
__device__ __forceinline__ uint32_t not_finite(uint32_t pair) {
    constexpr uint32_t exponent = PairBits<T>::infinity * 0x10001u;
    constexpr uint32_t lowest = 0x80008000u - exponent;
    return ((pair & exponent) + lowest) & 0x80008000u;
}

// All bits of the halves whose sign bit is set in `signs`, which has no others.
PF_INLINE uint32_t whole_halves(uint32_t signs) { return (signs >> 15) * 0xffffu; }

// 1 in the halves that `holds` is true of, else 0.
template <typename T, typename Holds>
__device__ __forceinline__ uint32_t ones_where(uint32_t pair, Holds holds) {
    return (holds(pair & 0xffff) ? PairBits<T>::one : 0) |
           (holds(pair >> 16) ? PairBits<T>::one << 16 : 0);
}

// sums += value for each pair of a row whose P is not 0 and a column in which `holds` is true of an
// element of B that the row meets: a product of ones says where.
template <typename T, int row_tiles, typename Holds>
__device__ __forceinline__ void add_where_seen(float (&sums)[row_tiles][4],
                                               const uint32_t (&p)[row_tiles][4], uint32_t b0,
                                               uint32_t b1, float value, Holds holds) {
    const uint32_t x0 = ones_where<T>(b0, holds), x1 = ones_where<T>(b1, holds);
    if (!__any_sync(full_warp, (x0 | x1) != 0)) return;
#pragma unroll
    for (int t = 0; t < row_tiles; ++t) {
        uint32_t ones[4];
#pragma unroll
        for (int e = 0; e < 4; ++e)
            ones[e] = ones_where<T>(p[t][e], [](uint32_t x) { return (x & 0x7fff) != 0; });
        float seen[4] = {};
        mma_m16n8k16<T>(seen, ones, x0, x1);
#pragma unroll
        for (int e = 0; e < 4; ++e)
            if (seen[e] > 0) sums[t][e] += value;
    }
}

// Where B holds NaN or infinities: adds them to the rows that see them, because 0 NaN is NaN, and
// leaves 0 in their places. b[0], b[1] and b[2], b[3] are for columns n and n + 1 of the sums.
template <typename T, int row_tiles, int columns>
__device__ __forceinline__ void keep_finite(float (&sums)[row_tiles][columns][4], int n,
                                            const uint32_t (&p)[row_tiles][4], uint32_t (&b)[4]) {
    const uint32_t any =
        not_finite<T>(b[0]) | not_finite<T>(b[1]) | not_finite<T>(b[2]) | not_finite<T>(b[3]);
    if (!__any_sync(full_warp, any != 0)) return;
    constexpr uint32_t infinity = PairBits<T>::infinity;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float part[row_tiles][4];
#pragma unroll
        for (int t = 0; t < row_tiles; ++t)
#pragma unroll
            for (int e = 0; e < 4; ++e) part[t][e] = sums[t][n + half][e];
        const uint32_t b0 = b[2 * half], b1 = b[2 * half + 1];
        add_where_seen<T>(part, p, b0, b1, NAN, [](uint32_t x) { return (x & 0x7fff) > infinity; });
        add_where_seen<T>(part, p, b0, b1, INFINITY, [](uint32_t x) { return x == infinity; });
        add_where_seen<T>(part, p, b0, b1, -INFINITY,
                          [](uint32_t x) { return x == (infinity | 0x8000); });
#pragma unroll
        for (int t = 0; t < row_tiles; ++t)
#pragma unroll
            for (int e = 0; e < 4; ++e) sums[t][n + half][e] = part[t][e];
    }
#pragma unroll
    for (int e = 0; e < 4; ++e) b[e] &= ~whole_halves(not_finite<T>(b[e]));
}

}  // namespace plainformer::cuda
