// Philox4x32-10, a counter-based random generator: 4 x 32 random bits as a pure function of a key
// (the seed) and a 128-bit counter. Nothing is stored, so a dropout mask is recomputed wherever it
// is needed, the same bit for bit on every ISA level, thread count, tile shape and device.
//
// Dropout's use of it, shared by every kernel that drops:
//     key     = seed (64 bits)
//     counter = (column / 8, row, batch x head, call offset)
// Each call gives 8 values of 16 bits, for the columns 8 k .. 8 k + 7: the low half of word 0, its
// high half, the low half of word 1, ... An element is kept when its value >= threshold.
//
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once
#include "plainformer/types.h"

namespace plainformer {

namespace philox {
constexpr uint32_t multiplier_0 = 0xD2511F53, multiplier_1 = 0xCD9E8D57;
constexpr uint32_t weyl_0 = 0x9E3779B9, weyl_1 = 0xBB67AE85;
constexpr int rounds = 10;

struct Words {
    uint32_t w[4];
};

PF_INLINE Words generate(uint64_t seed, const Words& counter) {
    Words x = counter;
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int i = 0; i < rounds; ++i) {
        const uint64_t p0 = uint64_t{multiplier_0} * x.w[0];
        const uint64_t p1 = uint64_t{multiplier_1} * x.w[2];
        x = {{static_cast<uint32_t>(p1 >> 32) ^ x.w[1] ^ k0, static_cast<uint32_t>(p1),
              static_cast<uint32_t>(p0 >> 32) ^ x.w[3] ^ k1, static_cast<uint32_t>(p0)}};
        k0 += weyl_0;
        k1 += weyl_1;
    }
    return x;
}
}  // namespace philox

// What to drop and by how much to scale the rest. p is rounded to a multiple of 2^-16, and the
// scale is that of the rounded p, so that the expectation is exact.
struct DropoutRule {
    uint64_t seed;
    uint32_t offset;
    uint32_t threshold;  // round(p 2^16), from 0 to 65536: an element is kept at value >= threshold
    double scale;        // 1 / (1 - threshold / 2^16); 0 where everything is dropped
};

// p must be a probability: others, NaN among them, have no threshold.
PF_INLINE bool is_probability(double p) { return 0 <= p && p <= 1; }

// Nothing is dropped where p is no probability.
PF_INLINE DropoutRule dropout_rule(double p, uint64_t seed, uint32_t offset) {
    if (!is_probability(p)) return {seed, offset, 0, 1.0};
    const uint32_t threshold = static_cast<uint32_t>(p * 65536.0 + 0.5);
    const uint32_t kept = 65536u - threshold;
    return {seed, offset, threshold, kept ? 65536.0 / kept : 0.0};
}

// Whether the element at (head, row, column) is kept; CPU kernels use the vector form in
// isa/dropout.h.
PF_INLINE bool dropout_keeps(const DropoutRule& rule, uint32_t head, uint32_t row,
                             uint32_t column) {
    const philox::Words x = philox::generate(rule.seed, {{column / 8, row, head, rule.offset}});
    const uint32_t value = x.w[(column % 8) / 2] >> (column % 2 * 16) & 0xffff;
    return value >= rule.threshold;
}

}  // namespace plainformer
