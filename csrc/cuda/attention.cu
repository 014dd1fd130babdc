// Launches of attention's forward: which kernel takes a call, and how its queries become blocks.
#include "attention.cuh"

#include <stdexcept>
#include <string>

#include "attention_launch.h"
#include "attention_sm80.cuh"
#include "operations.h"

namespace plainformer::cuda {

namespace {

// ---- which kernel -------------------------------------------------------------------------------

// Whether each row of heads begins at a multiple of 16 bytes.
template <typename T>
bool has_aligned_rows(const HeadsView<T>& x, int64_t B, int64_t H) {
    return is_vector_aligned(x.data, x.row) && (H == 1 || x.head % vector_width<T> == 0) &&
           (B == 1 || x.batch % vector_width<T> == 0);
}

// Tensor cores take heads whose rows 16-byte copies can read and write.
template <typename T>
bool sm80_takes(const AttentionArgs<T>& s) {
    const AttentionOptions& o = s.options;
    return o.D % 8 == 0 && o.Dv % 8 == 0 && has_aligned_rows(s.q, o.B, o.H) &&
           has_aligned_rows(s.k, o.B, o.KV) && has_aligned_rows(s.v, o.B, o.KV) &&
           has_aligned_rows(s.out, o.B, o.H);
}

// ---- launches -----------------------------------------------------------------------------------

template <typename T, int W, bool general>
void launch_sm80(const AttentionArgs<T>& s, const ScoreRule& rule, Context& context) {
    using Sizes = Sm80Sizes<W, general>;
    Sm80Call<T> call{s, rule, {}};
    launch_over_queries(s.options, Sizes::queries, context, [&](LaunchConfig config, auto tiles) {
        config.block = dim3(Sizes::threads);
        config.shared_bytes = sizeof(Sm80Shared<T, Sizes>);
        call.tiles = tiles;
        launch(config, attention_sm80<T, W, general>, call);
    });
}

// Whether the scores need nothing but a positive factor and the window: it is folded into the
// exponential, and the largest raw score is the largest.
bool is_plain(const AttentionOptions& o, const ScoreRule& rule) {
    return !rule.capped && !rule.adds() && rule.factor > 0 && o.dropout.threshold == 0;
}

template <typename T>
void attention_on_sm80(const AttentionArgs<T>& s, Context& context) {
    const ScoreRule rule = score_rule(s.options);
    with_head_width(s.options, [&](auto width) {
        constexpr int W = decltype(width)::value;
        if (is_plain(s.options, rule))
            launch_sm80<T, W, false>(s, rule, context);
        else
            launch_sm80<T, W, true>(s, rule, context);
    });
}

template <typename T>
void attention_on_simt(const AttentionArgs<T>& s, Context& context) {
    SimtCall<T> call{s, score_rule(s.options), {}};
    with_head_width(s.options, [&](auto width) {
        using Sizes = SimtSizes<4, decltype(width)::value / 64>;
        launch_over_queries(s.options, Sizes::queries, context,
                            [&](LaunchConfig config, auto tiles) {
                                config.block = dim3(Sizes::threads);
                                config.shared_bytes = sizeof(SimtShared<Sizes>);
                                call.tiles = tiles;
                                launch(config, attention_simt<T, Sizes>, call);
                            });
    });
}

}  // namespace

template <typename T>
void attention(const AttentionArgs<T>& s, Context& context) {
    check_lengths(s.options);
    if constexpr (!std::is_same_v<T, float>)
        if (sm80_takes(s)) return attention_on_sm80(s, context);
    attention_on_simt(s, context);
}
PF_INSTANTIATE(attention, AttentionArgs)

}  // namespace plainformer::cuda
