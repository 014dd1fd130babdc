// What the launchers of attention share. Host code.
#pragma once
#include <stdexcept>
#include <string>
#include <type_traits>

#include "attention_scores.cuh"
#include "context.h"

namespace plainformer::cuda {

constexpr int64_t most_blocks = (int64_t{1} << 31) - 1;  // of a launch, along x

// Kernels count places within a sequence in 32 bits.
inline void check_lengths(const AttentionOptions& o) {
    for (const int64_t length : {o.q_rows.length, o.k_rows.length})
        if (length > longest_sequence)
            throw std::length_error("attention: got a sequence of " + std::to_string(length) +
                                    " rows, expected at most " + std::to_string(longest_sequence) +
                                    " on CUDA");
}

// Whether the scores need nothing but a positive factor and the window: it is folded into the
// exponential, and the largest raw score is the largest.
inline bool is_plain(const AttentionOptions& o, const ScoreRule& rule) {
    return !rule.capped && !rule.adds() && rule.factor > 0 && o.dropout.threshold == 0;
}

// f(std::integral_constant) of the least of 64, 128 and 256 that heads are padded to.
template <typename F>
void with_head_width(const AttentionOptions& o, const F& f) {
    const int64_t width = greatest(o.D, o.Dv);
    if (width <= 64)
        f(std::integral_constant<int, 64>{});
    else if (width <= 128)
        f(std::integral_constant<int, 128>{});
    else
        f(std::integral_constant<int, 256>{});
}

// f(config with grid and stream, QueryTiles) for the tiles of `rows` rows of `heads` heads of
// sequences at most `length` rows long: for as many sequences at a time as a grid has blocks.
template <typename F>
void launch_over_tiles(const AttentionOptions& o, int64_t heads, int64_t length, int rows,
                       Context& context, const F& f) {
    const int64_t tiles = ceil_div(length, rows), blocks = tiles * heads;
    if (blocks == 0) return;
    if (blocks > most_blocks) throw std::length_error("attention: more heads than CUDA has blocks");
    const int64_t together = most_blocks / blocks;
    for (int64_t b = 0; b < o.B; b += together) {
        LaunchConfig config;
        config.grid = dim3(static_cast<unsigned>(blocks * least(together, o.B - b)));
        config.stream = context.stream();
        f(config, QueryTiles{static_cast<unsigned>(tiles), b, nullptr});
    }
}

// Of queries; `lengths` of keys, where they are not those of the options.
template <typename F>
void launch_over_queries(const AttentionOptions& o, const int32_t* lengths, int queries,
                         Context& context, const F& f) {
    launch_over_tiles(o, o.H, o.q_rows.length, queries, context,
                      [&](const LaunchConfig& config, QueryTiles tiles) {
                          tiles.lengths = lengths;
                          f(config, tiles);
                      });
}

// Whether each row of heads begins at a multiple of 16 bytes.
template <typename T>
bool has_aligned_rows(const HeadsView<T>& x, int64_t B, int64_t H) {
    return is_vector_aligned(x.data, x.row) && (H == 1 || x.head % vector_width<T> == 0) &&
           (B == 1 || x.batch % vector_width<T> == 0);
}

// Whether TMA can read heads: aligned rows, and steps forward.
template <typename T>
bool has_map(const HeadsView<const T>& x, int64_t B, int64_t heads) {
    return has_aligned_rows(x, B, heads) && x.row > 0 && (heads == 1 || x.head > 0) &&
           (B == 1 || x.batch > 0);
}

// Tensor cores take heads of 16-bit elements whose rows 16-byte copies can read.
template <typename T>
bool has_sm80_rows(const AttentionOptions& o, const HeadsView<const T>& q,
                   const HeadsView<const T>& k, const HeadsView<const T>& v) {
    return sizeof(T) == 2 && o.D % 8 == 0 && o.Dv % 8 == 0 && has_aligned_rows(q, o.B, o.H) &&
           has_aligned_rows(k, o.B, o.KV) && has_aligned_rows(v, o.B, o.KV);
}

// The forward; with `lengths`, of dense sequences whose keys are the first so many of a cache.
template <typename T>
void attend(const AttentionArgs<T>& s, const int32_t* lengths, Context& context);

}  // namespace plainformer::cuda
