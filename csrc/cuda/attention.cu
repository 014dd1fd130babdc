// Launches of attention's forward: which kernel takes a call.
#include "attention.cuh"

#include "attention_launch.h"
#include "attention_sm80.cuh"
#include "attention_sm90.h"
#include "operations.h"

namespace plainformer::cuda {

namespace {

template <typename T, int W, bool general>
void launch_sm80(const AttentionArgs<T>& s, const ScoreRule& rule, const int32_t* lengths,
                 Context& context) {
    using Sizes = Sm80Sizes<W, general>;
    const auto start = [&](LaunchConfig config, const QueryTiles& tiles) {
        config.block = dim3(Sizes::threads);
        config.shared_bytes = sizeof(Sm80Shared<T, Sizes>);
        launch(config, attention_sm80<T, W, general>, Sm80Call<T>{s, rule, tiles});
    };
    launch_over_queries(s.options, lengths, Sizes::queries, context, start);
}

template <typename T>
void attend_on_sm80(const AttentionArgs<T>& s, const int32_t* lengths, Context& context) {
    const ScoreRule rule = score_rule(s.options);
    with_head_width(s.options, [&](auto width) {
        constexpr int W = decltype(width)::value;
        if (is_plain(s.options, rule))
            launch_sm80<T, W, false>(s, rule, lengths, context);
        else
            launch_sm80<T, W, true>(s, rule, lengths, context);
    });
}

template <typename T>
void attend_on_simt(const AttentionArgs<T>& s, const int32_t* lengths, Context& context) {
    const ScoreRule rule = score_rule(s.options);
    with_head_width(s.options, [&](auto width) {
        using Sizes = SimtSizes<4, decltype(width)::value / 64>;
        const auto start = [&](LaunchConfig config, const QueryTiles& tiles) {
            config.block = dim3(Sizes::threads);
            config.shared_bytes = sizeof(SimtShared<Sizes>);
            launch(config, attention_simt<T, Sizes>, SimtCall<T>{s, rule, tiles});
        };
        launch_over_queries(s.options, lengths, Sizes::queries, context, start);
    });
}

}  // namespace

template <typename T>
void attend(const AttentionArgs<T>& s, const int32_t* lengths, Context& context) {
    const AttentionOptions& o = s.options;
    check_lengths(o);
    if constexpr (!std::is_same_v<T, float>) {
        if (!lengths && attention_sm90_takes(s, context)) return attention_sm90(s, context);
        if (has_sm80_rows(o, s.q, s.k, s.v) && has_aligned_rows(s.out, o.B, o.H))
            return attend_on_sm80(s, lengths, context);
    }
    attend_on_simt(s, lengths, context);
}

template <typename T>
void attention(const AttentionArgs<T>& s, Context& context) {
    attend(s, nullptr, context);
}
PF_INSTANTIATE(attention, AttentionArgs)

#define PF_INSTANTIATE_ATTEND(T) \
    template void attend(const AttentionArgs<T>&, const int32_t*, Context&);
PF_INSTANTIATE_ATTEND(float)
PF_INSTANTIATE_ATTEND(bfloat16)
PF_INSTANTIATE_ATTEND(float16)
#undef PF_INSTANTIATE_ATTEND

}  // namespace plainformer::cuda
