// The layouts of tiles in shared memory that TMA writes and wgmma reads. Whole-number arithmetic
// that both twins of the primitives, the kernels and their launchers share.
#pragma once
#include "plainformer/types.h"

namespace plainformer::cuda {

// How a tile's 16-byte chunks are permuted; the numbers are those of CUtensorMapSwizzle. A row of
// the tile fills the span exactly: 128, 64 or 32 bytes.
enum class Swizzle : int { none, b32, b64, b128 };

PF_INLINE constexpr uint32_t swizzle_span(Swizzle mode) {
    return mode == Swizzle::none ? 16 : 16u << static_cast<int>(mode);
}

// Where the byte at `offset` of an unswizzled tile lies, counted from a start aligned to eight
// rows (1024, 512 or 256 bytes): the row's number is XORed into the number of the chunk.
PF_INLINE constexpr uint32_t swizzled(uint32_t offset, Swizzle mode) {
    return offset ^ ((offset >> 7 & ((1u << static_cast<int>(mode)) - 1)) << 4);
}

// A wgmma shared-memory matrix descriptor (PTX ISA, "Matrix Descriptor Format"). What the two
// byte counts mean, in the canonical layouts of CUTLASS' mma_sm90_desc.hpp:
//   K-major, swizzled: stride = from 8 rows to the next 8; lead is unused (pass 16)
//   K-major, none:     stride = from 8 rows to the next 8; lead = from 8 k to the next 8
//   MN-major, swizzled: lead = from one span of rows to the next; stride = from 8 k to the next 8
//   MN-major, none:     stride = from 8 rows to the next 8; lead = from 8 k to the next 8
// A step of 16 along K inside a K-major atom adds 32 bytes to the address.
PF_INLINE constexpr uint64_t matrix_desc(uint32_t address, uint32_t lead_bytes,
                                         uint32_t stride_bytes, Swizzle mode = Swizzle::b128) {
    const uint64_t layout = mode == Swizzle::none ? 0 : 4 - static_cast<uint64_t>(mode);
    return uint64_t{(address & 0x3ffff) >> 4} | uint64_t{lead_bytes >> 4} << 16 |
           uint64_t{stride_bytes >> 4} << 32 | layout << 62;
}

}  // namespace plainformer::cuda
