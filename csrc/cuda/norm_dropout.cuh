// Dropout inside the norms: what is kept of a chunk, by the generator's words for its columns.
#pragma once
#include "chunk.cuh"
#include "plainformer/philox.h"

namespace plainformer::cuda {

// Columns c .. c + W - 1 of row n of x, as `dropout` leaves them, rounded to T; c is a multiple of
// W. One call decides on 8 columns: a narrower chunk takes its share of the words.
template <typename T, int W>
__device__ __forceinline__ Chunk<T, W> dropped(const Chunk<T, W>& x, const DropoutRule& rule,
                                               int64_t n, int64_t c) {
    const auto call = static_cast<uint32_t>(c / 8), first = static_cast<uint32_t>(c % 8);
    const auto row = static_cast<uint32_t>(n), head = static_cast<uint32_t>(n >> 32);
    philox::Words words = philox::generate(rule.seed, {{call, row, head, rule.offset}});
    if (W < 8 && first & 4) words.w[0] = words.w[2], words.w[1] = words.w[3];
    if (W < 4 && first & 2) words.w[0] = words.w[1];
    if (W < 2 && first & 1) words.w[0] >>= 16;
    const float scale = static_cast<float>(rule.scale);
    float kept[W];
#pragma unroll
    for (int j = 0; j < W; ++j) {
        const uint32_t value = words.w[j / 2] >> (j % 2 * 16) & 0xffff;
        kept[j] = value >= rule.threshold ? x[j] * scale : 0.0f;
    }
    return to_chunk<T>(kept);
}

}  // namespace plainformer::cuda
