// Dropout decisions for whole registers: the same bits as dropout_keeps of plainformer/philox.h.
#pragma once
#include "isa/vec.h"
#include "plainformer/philox.h"

namespace plainformer::PF_ISA {

// Columns that one dropout_values call covers: 8 a Philox call, a call a lane.
constexpr int dropout_block = 8 * Vec<float>::width;

#if defined(__AVX512F__) || defined(__AVX2__) || defined(PF_NEON)

#if defined(__AVX512F__)
using Words = __m512i;
PF_INLINE Words words_of(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
PF_INLINE Words bit_xor(Words a, Words b, Words c) {
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}
// Upper and lower halves of the 64-bit products of all lanes with m.
PF_INLINE void multiply_wide(Words a, Words m, Words* high, Words* low) {
    const Words even = _mm512_mul_epu32(a, m);
    const Words odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), m);
    *high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
    *low = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
}
// The call of each lane, such that interleaving within 16-byte groups puts calls in order.
PF_INLINE Words call_numbers(uint32_t first) {
    return _mm512_add_epi32(
        words_of(first), _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}
PF_INLINE Words unpack_low_32(Words a, Words b) { return _mm512_unpacklo_epi32(a, b); }
PF_INLINE Words unpack_high_32(Words a, Words b) { return _mm512_unpackhi_epi32(a, b); }
PF_INLINE Words unpack_low_64(Words a, Words b) { return _mm512_unpacklo_epi64(a, b); }
PF_INLINE Words unpack_high_64(Words a, Words b) { return _mm512_unpackhi_epi64(a, b); }
PF_INLINE void store_words(uint16_t* p, Words a) { _mm512_storeu_si512(p, a); }
#elif defined(PF_NEON)
using Words = uint32x4_t;
PF_INLINE Words words_of(uint32_t x) { return vdupq_n_u32(x); }
PF_INLINE Words bit_xor(Words a, Words b, Words c) { return veorq_u32(veorq_u32(a, b), c); }
PF_INLINE void multiply_wide(Words a, Words m, Words* high, Words* low) {
    const Words first = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a), vget_low_u32(m)));
    const Words second = vreinterpretq_u32_u64(vmull_high_u32(a, m));
    *high = vuzp2q_u32(first, second);
    *low = vuzp1q_u32(first, second);
}
PF_INLINE Words call_numbers(uint32_t first) {
    return vaddq_u32(words_of(first), vreinterpretq_u32_s32(lane_numbers().v));
}
PF_INLINE Words unpack_low_32(Words a, Words b) { return vzip1q_u32(a, b); }
PF_INLINE Words unpack_high_32(Words a, Words b) { return vzip2q_u32(a, b); }
PF_INLINE Words unpack_low_64(Words a, Words b) {
    return vcombine_u32(vget_low_u32(a), vget_low_u32(b));
}
PF_INLINE Words unpack_high_64(Words a, Words b) {
    return vcombine_u32(vget_high_u32(a), vget_high_u32(b));
}
PF_INLINE void store_words(uint16_t* p, Words a) { vst1q_u16(p, vreinterpretq_u16_u32(a)); }
#else
using Words = __m256i;
PF_INLINE Words words_of(uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
PF_INLINE Words bit_xor(Words a, Words b, Words c) {
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}
PF_INLINE void multiply_wide(Words a, Words m, Words* high, Words* low) {
    const Words even = _mm256_mul_epu32(a, m);
    const Words odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), m);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}
PF_INLINE Words call_numbers(uint32_t first) {
    return _mm256_add_epi32(words_of(first), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}
PF_INLINE Words unpack_low_32(Words a, Words b) { return _mm256_unpacklo_epi32(a, b); }
PF_INLINE Words unpack_high_32(Words a, Words b) { return _mm256_unpackhi_epi32(a, b); }
PF_INLINE Words unpack_low_64(Words a, Words b) { return _mm256_unpacklo_epi64(a, b); }
PF_INLINE Words unpack_high_64(Words a, Words b) { return _mm256_unpackhi_epi64(a, b); }
PF_INLINE void store_words(uint16_t* p, Words a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a);
}
#endif

// The 16-bit values of columns column .. column + dropout_block - 1; column is a multiple of 8.
PF_INLINE void dropout_values(const DropoutRule& rule, uint32_t head, uint32_t row, int64_t column,
                              uint16_t* values) {
    Words x0 = call_numbers(static_cast<uint32_t>(column / 8)), x1 = words_of(row);
    Words x2 = words_of(head), x3 = words_of(rule.offset);
    uint32_t k0 = static_cast<uint32_t>(rule.seed), k1 = static_cast<uint32_t>(rule.seed >> 32);
    const Words m0 = words_of(philox::multiplier_0), m1 = words_of(philox::multiplier_1);
    for (int i = 0; i < philox::rounds; ++i) {
        Words high0, low0, high1, low1;
        multiply_wide(x0, m0, &high0, &low0);
        multiply_wide(x2, m1, &high1, &low1);
        x0 = bit_xor(high1, x1, words_of(k0));
        x2 = bit_xor(high0, x3, words_of(k1));
        x1 = low1;
        x3 = low0;
        k0 += philox::weyl_0;
        k1 += philox::weyl_1;
    }
    const Words a = unpack_low_32(x0, x1), b = unpack_low_32(x2, x3);
    const Words c = unpack_high_32(x0, x1), d = unpack_high_32(x2, x3);
    constexpr int step = sizeof(Words) / sizeof(uint16_t);
    store_words(values, unpack_low_64(a, b));
    store_words(values + step, unpack_high_64(a, b));
    store_words(values + 2 * step, unpack_low_64(c, d));
    store_words(values + 3 * step, unpack_high_64(c, d));
}

#else

PF_INLINE void dropout_values(const DropoutRule& rule, uint32_t head, uint32_t row, int64_t column,
                              uint16_t* values) {
    for (int i = 0; i < dropout_block; i += 8) {
        const uint32_t call = static_cast<uint32_t>((column + i) / 8);
        const philox::Words x = philox::generate(rule.seed, {{call, row, head, rule.offset}});
        for (int j = 0; j < 8; ++j)
            values[i + j] = static_cast<uint16_t>(x.w[j / 2] >> (j % 2 * 16));
    }
}

#endif

// The value of a second lane, which is not there in a tail.
PF_INLINE double second_value(const uint16_t* values, Full) { return values[1]; }
PF_INLINE double second_value(const uint16_t*, Tail) { return 0; }

// Lanes of Vec<A> whose element is kept, from the values of their columns. A bfloat16 load puts 16
// bits into the upper half of each lane.
template <typename A, typename Lanes>
PF_INLINE auto dropout_kept(const DropoutRule& rule, const uint16_t* values, Lanes lanes) {
#ifdef PF_ISA_IS_GENERIC
    if constexpr (sizeof(A) == 8) {
        Vec<double> each(static_cast<double>(values[0]));
        each.v[1] = second_value(values, lanes);
        return !(each < Vec<double>(static_cast<double>(rule.threshold)));
    } else
#endif
    {
        const Vec<float> loaded = load(reinterpret_cast<const bfloat16*>(values), lanes);
        return !(shift_right<16>(bits_of(loaded)) < VecI(static_cast<int32_t>(rule.threshold)));
    }
}

}  // namespace plainformer::PF_ISA
