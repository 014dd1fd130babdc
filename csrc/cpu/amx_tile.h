// Products of AMX's tiles: 32 rows x 32 columns, or 16 x 64 where there are no more rows, with the
// sums in tiles for a block of K. Sums that are stored and taken up again go on unchanged, and a
// row never meets another, so neither blocks nor neighbors show in the result.
#pragma once
#include "gemm_unit.h"
#include "isa/amx.h"

namespace plainformer::PF_ISA {

constexpr int64_t tile_k = 32;          // elements of K in a tile
constexpr int64_t amx_columns = 64;     // of a panel
constexpr int64_t amx_row_bytes = 256;  // of a panel of pairs, and of a panel of sums

// Tiles are configured while this lives; a task has one.
class TilesInUse {
  public:
    PF_INLINE TilesInUse() { tile_configure(); }
    PF_INLINE ~TilesInUse() { tile_release(); }
    TilesInUse(const TilesInUse&) = delete;
    TilesInUse& operator=(const TilesInUse&) = delete;
};

// Rows of A that tiles can read: whole sixteens of them, K a multiple of tile_k.
struct TileRows {
    const char* data;
    int64_t row;  // bytes between rows
    TileRows at(int64_t m, int64_t k) const {
        return {data + m * row + k * static_cast<int64_t>(sizeof(bfloat16)), row};
    }
};

// d (32 x 32) = a b, or d += a b; `b` and `d` are at a column of their panels.
inline void multiply_32_by_32(TileRows a, const BfloatPair* b, int64_t k_tiles, float* d,
                              bool add) {
    float* const low = d + tile_side * amx_columns;
    if (add) {
        tile_load<0>(d, amx_row_bytes), tile_load<1>(d + tile_side, amx_row_bytes);
        tile_load<2>(low, amx_row_bytes), tile_load<3>(low + tile_side, amx_row_bytes);
    } else {
        tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
    }
    for (int64_t k = 0; k < k_tiles; ++k, b += tile_side * amx_columns, a = a.at(0, tile_k)) {
        tile_load<4>(b, amx_row_bytes), tile_load<5>(b + tile_side, amx_row_bytes);
        tile_load<6>(a.data, a.row);
        tile_dot_bf16<0, 6, 4>(), tile_dot_bf16<1, 6, 5>();
        tile_load<7>(a.at(tile_side, 0).data, a.row);
        tile_dot_bf16<2, 7, 4>(), tile_dot_bf16<3, 7, 5>();
    }
    tile_store<0>(d, amx_row_bytes), tile_store<1>(d + tile_side, amx_row_bytes);
    tile_store<2>(low, amx_row_bytes), tile_store<3>(low + tile_side, amx_row_bytes);
}

// d (16 x 64) = a b, or d += a b. `once`: no other rows will read these panels.
inline void multiply_16_by_64(TileRows a, const BfloatPair* b, int64_t k_tiles, float* d, bool add,
                              bool once) {
    if (add) {
        tile_load<0>(d, amx_row_bytes), tile_load<1>(d + 16, amx_row_bytes);
        tile_load<2>(d + 32, amx_row_bytes), tile_load<3>(d + 48, amx_row_bytes);
    } else {
        tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
    }
    for (int64_t k = 0; k < k_tiles; ++k, b += tile_side * amx_columns, a = a.at(0, tile_k)) {
        tile_load<4>(a.data, a.row);
        if (once) {
            tile_load_once<5>(b, amx_row_bytes), tile_load_once<6>(b + 16, amx_row_bytes);
            tile_dot_bf16<0, 4, 5>(), tile_dot_bf16<1, 4, 6>();
            tile_load_once<7>(b + 32, amx_row_bytes), tile_load_once<5>(b + 48, amx_row_bytes);
        } else {
            tile_load<5>(b, amx_row_bytes), tile_load<6>(b + 16, amx_row_bytes);
            tile_dot_bf16<0, 4, 5>(), tile_dot_bf16<1, 4, 6>();
            tile_load<7>(b + 32, amx_row_bytes), tile_load<5>(b + 48, amx_row_bytes);
        }
        tile_dot_bf16<2, 4, 7>(), tile_dot_bf16<3, 4, 5>();
    }
    tile_store<0>(d, amx_row_bytes), tile_store<1>(d + 16, amx_row_bytes);
    tile_store<2>(d + 32, amx_row_bytes), tile_store<3>(d + 48, amx_row_bytes);
}

}  // namespace plainformer::PF_ISA
