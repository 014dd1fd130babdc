// Squares of registers: transposed, so that row i becomes column i, or each register summed up.
#pragma once
#include "isa/vec.h"

namespace plainformer::PF_ISA {

#if defined(__AVX512F__)
PF_INLINE void transpose(Vec<float> (&r)[16]) {
    __m512 s[16];
    for (int i = 0; i < 16; i += 4) {  // 4 x 4 squares within the four 128-bit lanes
        const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(r[i].v, r[i + 1].v));
        const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(r[i].v, r[i + 1].v));
        const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(r[i + 2].v, r[i + 3].v));
        const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(r[i + 2].v, r[i + 3].v));
        s[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        s[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        s[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        s[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    for (int i = 0; i < 4; ++i) {  // lane l of s[4 j + i] goes to lane j of r[4 l + i]
        const __m512 a = _mm512_shuffle_f32x4(s[i], s[i + 4], 0x88);
        const __m512 b = _mm512_shuffle_f32x4(s[i], s[i + 4], 0xdd);
        const __m512 c = _mm512_shuffle_f32x4(s[i + 8], s[i + 12], 0x88);
        const __m512 d = _mm512_shuffle_f32x4(s[i + 8], s[i + 12], 0xdd);
        r[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
        r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}
#elif defined(__AVX2__) && defined(__FMA__)
PF_INLINE void transpose(Vec<float> (&r)[8]) {
    __m256 s[8];
    for (int i = 0; i < 8; i += 4) {  // 4 x 4 squares within the two 128-bit lanes
        const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(r[i].v, r[i + 1].v));
        const __m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(r[i].v, r[i + 1].v));
        const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(r[i + 2].v, r[i + 3].v));
        const __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(r[i + 2].v, r[i + 3].v));
        s[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
        s[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
        s[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
        s[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
    }
    for (int i = 0; i < 4; ++i) {
        r[i] = _mm256_permute2f128_ps(s[i], s[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(s[i], s[i + 4], 0x31);
    }
}
#elif defined(PF_NEON)
PF_INLINE void transpose(Vec<float> (&r)[4]) {
    const auto low = [](float32x4_t a, float32x4_t b) {  // a and b side by side, their lower halves
        return vcombine_f32(vget_low_f32(a), vget_low_f32(b));
    };
    const auto high = [](float32x4_t a, float32x4_t b) {
        return vcombine_f32(vget_high_f32(a), vget_high_f32(b));
    };
    const float32x4x2_t a = vtrnq_f32(r[0].v, r[1].v), b = vtrnq_f32(r[2].v, r[3].v);
    r[0] = low(a.val[0], b.val[0]);
    r[1] = low(a.val[1], b.val[1]);
    r[2] = high(a.val[0], b.val[0]);
    r[3] = high(a.val[1], b.val[1]);
}
#else
template <typename A>
PF_INLINE void transpose(Vec<A> (&r)[Vec<A>::width]) {
    for (int i = 0; i < Vec<A>::width; ++i)
        for (int j = 0; j < i; ++j) {
            const A below = r[i].v[j];
            r[i].v[j] = r[j].v[i];
            r[j].v[i] = below;
        }
}
#endif

// Lane i: the sum of the lanes of r[i]. Lanes a half, a quarter, ... of a register apart are added
// first, whatever i is.
#if defined(__AVX512F__)
// Sums of two registers at once: lanes of `mask` are b's. `swap` exchanges the lanes to be added.
template <int mask, typename Swap>
PF_INLINE __m512 fold(__m512 a, __m512 b, const Swap& swap) {
    const __m512 kept = _mm512_mask_blend_ps(mask, a, b);
    const __m512 moved = swap(_mm512_mask_blend_ps(mask, b, a));
    return _mm512_add_ps(kept, moved);
}

PF_INLINE Vec<float> sum_each(Vec<float> (&r)[16]) {
    const auto halves = [](__m512 x) { return _mm512_shuffle_f32x4(x, x, 0x4e); };
    const auto quarters = [](__m512 x) { return _mm512_shuffle_f32x4(x, x, 0xb1); };
    const auto pairs = [](__m512 x) { return _mm512_permute_ps(x, 0x4e); };
    const auto neighbors = [](__m512 x) { return _mm512_permute_ps(x, 0xb1); };
    for (int i = 0; i < 8; ++i) r[i].v = fold<0xff00>(r[i].v, r[i + 8].v, halves);
    for (int i = 0; i < 4; ++i) r[i].v = fold<0xf0f0>(r[i].v, r[i + 4].v, quarters);
    for (int i = 0; i < 2; ++i) r[i].v = fold<0xcccc>(r[i].v, r[i + 2].v, pairs);
    return fold<0xaaaa>(r[0].v, r[1].v, neighbors);
}
#else
template <typename A>
PF_INLINE Vec<A> sum_each(Vec<A> (&r)[Vec<A>::width]) {
    transpose(r);
    for (int n = Vec<A>::width / 2; n > 0; n /= 2)
        for (int i = 0; i < n; ++i) r[i] = r[i] + r[i + n];
    return r[0];
}
#endif

}  // namespace plainformer::PF_ISA
