// Intel AMX's tiles through eight functions: eight registers of 16 rows of 64 bytes each, and the
// products of two of them. Source: Intel's Software Developer's Manual, volume 2, TDPBF16PS.
//
// Where the compiler has the instructions these are one each; elsewhere (level amx_emulated) their
// twins do the same with plain memory, bit for bit, so that kernels written with them run on any
// machine. A tile that nobody configured or loaded is noticed there.
#pragma once
#include "plainformer/types.h"

namespace plainformer::PF_ISA {

constexpr int tiles = 8, tile_side = 16, tile_row_bytes = 64;

// What LDTILECFG reads: every tile has all of its rows and bytes.
struct alignas(64) TileConfig {
    uint8_t palette = 1, start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
inline constexpr TileConfig whole_tiles;

}  // namespace plainformer::PF_ISA

#ifdef __AMX_BF16__
#include "isa/amx_instructions.h"
#else
#include "isa/amx_twins.h"
#endif
