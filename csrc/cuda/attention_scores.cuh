// What stands between a raw score q k and the exponential: the cap, the mask, the distance, and
// dropout of the probability. Twins of csrc/cpu/attention_mask.h and attention_dropout.h.
//
// Scores are in units of log2, so that an exponential is one exp2:
//
//   x = raw, or tanh(inner raw) under a cap        t = factor x + addition        P = exp2(t - lse)
//
// A hidden pair has t = -inf by selection, whatever x is.
#pragma once
#include "attention_sequence.cuh"
#include "plainformer/philox.h"

namespace plainformer::cuda {

constexpr float log2_e = 1.4426950408889634f, ln_2 = 0.6931471805599453f;

// The options that bear on a score, as kernels take them.
struct ScoreRule {
    float inner, factor;
    bool capped;
    AlibiSlopes alibi;
    AttentionMask mask;

    PF_INLINE bool adds() const { return alibi.data || mask.kind != MaskKind::none; }
};

inline ScoreRule score_rule(const AttentionOptions& o) {
    const double log2_e_wide = 1.4426950408889634;
    const bool capped = o.softcap != 0;
    return {static_cast<float>(capped ? o.scale / o.softcap : 0),
            static_cast<float>((capped ? o.softcap : o.scale) * log2_e_wide), capped, o.alibi,
            o.mask};
}

// ---- masks --------------------------------------------------------------------------------------

// An element of an additive mask in units of log2, or -inf where it hides its key.
template <typename T>
__device__ __forceinline__ float additive_mask(T element) {
    const float x = to_float(element);
    const float half_lowest = to_float(from_float<T>(-65504.0f));  // in the mask's own precision
    return x <= -1e30f || x == half_lowest ? -INFINITY : x * log2_e;
}

// ---- one head's scores --------------------------------------------------------------------------

// The rule for one head of one sequence: mask and slope are looked up.
template <typename T>
struct HeadScores {
    const ScoreRule& rule;
    int64_t mask_start;
    int diagonal;  // row i stands at key i + diagonal
    float slope;   // in units of log2, negative

    __device__ __forceinline__ HeadScores(const ScoreRule& r, const Sequence& s, int64_t h)
        : rule(r),
          mask_start(s.b * r.mask.batch + h * r.mask.head),
          diagonal(s.Lk - s.Lq),
          slope(0) {
        if (r.alibi.data) slope = -r.alibi.data[s.b * r.alibi.batch + h * r.alibi.head] * log2_e;
    }

    // x of a raw score.
    __device__ __forceinline__ float capped(float raw) const {
        return rule.capped ? tanhf(rule.inner * raw) : raw;
    }

    // What is added to the score of row i and key j, which exist; -inf hides the key.
    __device__ __forceinline__ float addition(int i, int j) const {
        float sum = 0;
        if (rule.alibi.data) {
            const int distance = i + diagonal - j;
            sum = slope * static_cast<float>(distance < 0 ? -distance : distance);
        }
        if (rule.mask.kind == MaskKind::none) return sum;
        const int64_t at = mask_start + i * rule.mask.row + j * rule.mask.column;
        if (rule.mask.kind == MaskKind::boolean)
            return static_cast<const uint8_t*>(rule.mask.data)[at] ? sum : -INFINITY;
        return sum + additive_mask(static_cast<const T*>(rule.mask.data)[at]);
    }

    // t of x at row i and key j, a pair within the window.
    __device__ __forceinline__ float masked(float x, int i, int j) const {
        if (!rule.adds()) return x * rule.factor;
        const float a = addition(i, j);
        return a == -INFINITY ? a : fmaf(x, rule.factor, a);
    }
};

// ---- dropout ------------------------------------------------------------------------------------

// Whether a value of 16 bits keeps its element: the low or the high half of a word of Philox.
PF_INLINE bool keeps(const DropoutRule& rule, uint32_t word, bool high) {
    return (high ? word >> 16 : word & 0xffff) >= rule.threshold;
}

// The words that decide for row `row` of head b H + h and keys [8 block, 8 block + 8): word w is of
// keys 2 w and 2 w + 1.
PF_INLINE philox::Words dropout_words(const DropoutRule& rule, uint32_t head, uint32_t row,
                                      uint32_t block) {
    return philox::generate(rule.seed, {{block, row, head, rule.offset}});
}

// Among the accumulators of m16n8k16, lane q of four neighbours has keys 2 q and 2 q + 1 of each
// block of 8: word q of the block's Philox. So that none computes what it throws away, lane q
// generates the words of block first + q, and they change hands: w[n] becomes the lane's word of
// block first + n. All lanes of the warp must come here.
__device__ __forceinline__ void dropout_words_of_quad(uint32_t (&w)[4], const DropoutRule& rule,
                                                      uint32_t head, uint32_t row, uint32_t first) {
    const unsigned q = threadIdx.x % 4;
    const philox::Words own = dropout_words(rule, head, row, first + q);
    const bool odd = q & 1, upper = q & 2;
    uint32_t pairs[4];  // a transposition of 4 x 4 words: neighbours first, then neighbouring pairs
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
        const uint32_t other = __shfl_xor_sync(full_warp, odd ? own.w[i] : own.w[i + 1], 1);
        pairs[i] = odd ? other : own.w[i];
        pairs[i + 1] = odd ? own.w[i + 1] : other;
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const uint32_t other = __shfl_xor_sync(full_warp, upper ? pairs[i] : pairs[i + 2], 2);
        w[i] = upper ? other : pairs[i];
        w[i + 2] = upper ? pairs[i + 2] : other;
    }
}

}  // namespace plainformer::cuda
