// Ceilings of the machine: peak arithmetic and memory bandwidth. Meaning: tools/roofline.h
// Built once per ISA level into namespace PF_ISA; dispatch.cpp picks the level.
#include "tools/roofline.h"

#include "isa/vec.h"              // Vec, fma, load, store, stream, reduce_add
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

namespace {

namespace {

// A multiply-add takes about 4 cycles and up to 2 start in each: 8 independent sums are the least
// that keep the units busy, and 12 with their 2 operands still fit 16 registers.
constexpr int accumulators = 12;

// The multiply-add of each element type: `step` on registers, worth `operations`.
template <typename T>
struct MultiplyAdd {
    using Register = VecOf<T>;
    static constexpr double operations = 2 * Register::width;
    Register half = Register(acc_t<T>(0.5)), one = Register(acc_t<T>(1));

    PF_INLINE Register start() const { return one; }
    PF_INLINE Register step(Register sum) const { return fma(sum, half, one); }
    PF_INLINE float finish(Register sum) const { return static_cast<float>(reduce_add(sum)); }
};

#ifdef PF_BFLOAT_PAIRS
template <>
struct MultiplyAdd<bfloat16> {
    using Register = Vec<float>;
    static constexpr double operations = 4 * Register::width;  // each lane's sum of 2 products
    VecI pairs = VecI(0x3f813f81);  // 1.0078: GCC 12 for AArch64 writes 1.0 as a float16's

    PF_INLINE Register start() const { return Register(0.0f); }
    PF_INLINE Register step(Register sum) const { return dot_pairs(pairs, pairs, sum); }
    PF_INLINE float finish(Register sum) const { return reduce_add(sum); }
};
#endif

#if defined(__AVX512VNNI__)
struct Int8Dot {
    using Register = __m512i;
    static constexpr double operations = 128;  // 16 sums of 4 products
    __m512i quads = _mm512_set1_epi8(1);

    PF_INLINE __m512i start() const { return _mm512_setzero_si512(); }
    PF_INLINE __m512i step(__m512i sum) const { return _mm512_dpbusd_epi32(sum, quads, quads); }
    PF_INLINE float finish(__m512i sum) const {
        return static_cast<float>(_mm512_reduce_add_epi32(sum));
    }
};
#endif

template <typename Unit>
PF_INLINE float run_rounds(int64_t rounds) {
    const Unit unit;
    typename Unit::Register sums[accumulators];
    for (auto& sum : sums) sum = unit.start();
    for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int i = 0; i < accumulators; ++i) sums[i] = unit.step(sums[i]);
    }
    float total = 0;
    for (const auto& sum : sums) total += unit.finish(sum);
    return total;
}

template <typename Unit, typename Args>
void run_peak(const Args& s) {
    parallel_for(s.chunks, 1,
                 [&](int64_t chunk) { s.results[chunk] = run_rounds<Unit>(s.rounds); });
    *s.operations = Unit::operations * accumulators * static_cast<double>(s.rounds * s.chunks);
}

PF_INLINE float sum_block(const float* x) {
    Vec<float> sums[8];
    for (auto& sum : sums) sum = Vec<float>(0.0f);
    for (int64_t i = 0; i < memory_pass_block; i += 8 * lanes<float>) {
#pragma GCC unroll 8
        for (int j = 0; j < 8; ++j) sums[j] = sums[j] + load(x + i + j * lanes<float>);
    }
    Vec<float> total = sums[0];
    for (int j = 1; j < 8; ++j) total = total + sums[j];
    return reduce_add(total);
}

}  // namespace

}  // namespace

template <typename T>
void peak(const PeakArgs<T>& s) {
    if (!s.int8) return run_peak<MultiplyAdd<T>>(s);
#if defined(__AVX512VNNI__)
    run_peak<Int8Dot>(s);
#else
    *s.operations = 0;
#endif
}
PF_INSTANTIATE(peak, PeakArgs)

template <typename T>
void memory_pass(const MemoryPassArgs<T>& s) {
    parallel_for(s.N / memory_pass_block, 1, [&](int64_t block) {
        const float* x = s.x + block * memory_pass_block;
        float* y = s.y + block * memory_pass_block;
        if (s.pass == MemoryPass::read) {
            s.results[block] = sum_block(x);
        } else if (s.pass == MemoryPass::copy) {
            for (int64_t i = 0; i < memory_pass_block; i += lanes<float>) store(y + i, load(x + i));
        } else {
            for (int64_t i = 0; i < memory_pass_block; i += lanes<float>)
                stream(y + i, load(x + i));
            stream_fence();
        }
    });
}
PF_INSTANTIATE(memory_pass, MemoryPassArgs)

}  // namespace plainformer::PF_ISA
