// Squares of registers that are transposed while they are loaded.
#pragma once
#include "isa/transpose.h"

namespace plainformer::PF_ISA {

// A square of lanes, transposed: row i from p + stride * at(i) bytes.
template <typename A, typename At>
PF_INLINE void load_square(Vec<A> (&r)[Vec<A>::width], const char* p, int64_t stride,
                           const At& at) {
#if defined(__AVX2__) && defined(__FMA__) && !defined(__AVX512F__)
    // Halves of rows i and i + 4 side by side from memory, which spares the ports that shuffle.
    const auto half = [&](int i, int64_t offset) {
        return _mm_loadu_ps(reinterpret_cast<const float*>(p + at(i) * stride + offset));
    };
    for (int i = 0; i < 8; i += 4) {
        __m256 s[4];
        for (int j = 0; j < 4; ++j)
            s[j] =
                _mm256_insertf128_ps(_mm256_castps128_ps256(half(j, 4 * i)), half(j + 4, 4 * i), 1);
        const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(s[0], s[1]));
        const __m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(s[0], s[1]));
        const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(s[2], s[3]));
        const __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(s[2], s[3]));
        r[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
        r[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
        r[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
        r[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
    }
#else
    for (int i = 0; i < Vec<A>::width; ++i)
        r[i] = load(reinterpret_cast<const A*>(p + at(i) * stride), Full{});
    transpose(r);
#endif
}

}  // namespace plainformer::PF_ISA
