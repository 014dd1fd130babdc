// Launches of attention's forward on sm_90a.
#include "attention_sm90.h"

#include "attention_launch.h"
#include "attention_sm90.cuh"

namespace plainformer::cuda {

namespace {

template <typename T, int W>
void launch_sm90(const AttentionArgs<T>& s, float factor, Context& context) {
    using Sizes = AttentionSm90Sizes<W>;
    const AttentionOptions& o = s.options;
    const TensorMap q = map_heads(s.q, o.q_rows, o.B, o.H, o.D, 64);
    const TensorMap k = map_heads(s.k, o.k_rows, o.B, o.KV, o.D, Sizes::keys);
    const TensorMap v = map_heads(s.v, o.k_rows, o.B, o.KV, o.Dv, Sizes::keys);
    launch_over_queries(o, nullptr, Sizes::queries, context,
                        [&](LaunchConfig config, const QueryTiles& tiles) {
                            config.block = dim3(Sizes::threads);
                            config.shared_bytes = sizeof(AttentionSm90Shared<Sizes>);
                            launch(config, attention_sm90_kernel<T, W>, q, k, v,
                                   AttentionSm90Call<T>{s, factor, tiles});
                        });
}

}  // namespace

template <typename T>
bool attention_sm90_takes(const AttentionArgs<T>& s, const Context& context) {
    const AttentionOptions& o = s.options;
    return context.capability() == 90 && is_plain(o, score_rule(o)) && o.q_rows.length >= 64 &&
           has_rows(o.q_rows) && has_rows(o.k_rows) && o.D % 8 == 0 && o.Dv % 8 == 0 &&
           has_map(s.q, o.B, o.H) && has_map(s.k, o.B, o.KV) && has_map(s.v, o.B, o.KV) &&
           has_aligned_rows(s.out, o.B, o.H);
}

template <typename T>
void attention_sm90(const AttentionArgs<T>& s, Context& context) {
    with_head_width(s.options, [&](auto width) {
        launch_sm90<T, decltype(width)::value>(s, score_rule(s.options).factor, context);
    });
}

#define PF_INSTANTIATE_SM90(T)                                                   \
    template bool attention_sm90_takes(const AttentionArgs<T>&, const Context&); \
    template void attention_sm90(const AttentionArgs<T>&, Context&);
PF_INSTANTIATE_SM90(bfloat16)
PF_INSTANTIATE_SM90(float16)

}  // namespace plainformer::cuda
