// Launches of attention's backward on sm_90a.
#include "attention_backward_sm90.h"

#include "attention_backward_sm90.cuh"
#include "attention_launch.h"

namespace plainformer::cuda {

namespace {

template <int W, Owner owner, typename T>
void launch_sm90(BackwardProblem<T> problem, Context& context) {
    using Sizes = BackwardSm90Sizes<W, owner>;
    constexpr bool keys = Sizes::owns_keys;
    constexpr int q_box = keys ? Sizes::streamed : 64, k_box = keys ? 64 : Sizes::streamed;
    const AttentionBackwardArgs<T>& s = problem.s;
    const AttentionOptions& o = s.options;
    const TensorMap q = map_heads(s.q, o.q_rows, o.B, o.H, o.D, q_box);
    const TensorMap grad = map_heads(s.grad_out, o.q_rows, o.B, o.H, o.Dv, q_box);
    const TensorMap k = map_heads(s.k, o.k_rows, o.B, o.KV, o.D, k_box);
    const TensorMap v = map_heads(s.v, o.k_rows, o.B, o.KV, o.Dv, k_box);
    launch_over_tiles(o, keys ? o.KV : o.H, keys ? o.k_rows.length : o.q_rows.length, Sizes::owned,
                      context, [&](LaunchConfig config, const QueryTiles& tiles) {
                          config.block = dim3(Sizes::threads);
                          config.shared_bytes = sizeof(BackwardSm90Shared<Sizes>);
                          problem.tiles = tiles;
                          launch(config, attention_backward_sm90_kernel<T, W, owner>, keys ? k : q,
                                 keys ? v : grad, keys ? q : k, keys ? grad : v, problem);
                      });
}

template <int W, typename T>
void launch_both(const BackwardProblem<T>& problem, Context& context) {
    launch_sm90<W, Owner::keys>(problem, context);
    launch_sm90<W, Owner::queries>(problem, context);
}

}  // namespace

template <typename T>
bool attention_backward_sm90_takes(const AttentionBackwardArgs<T>& s, const Context& context) {
    const AttentionOptions& o = s.options;
    const ScoreRule rule = score_rule(o);
    return context.capability() == 90 && !rule.capped && !rule.adds() && !o.dropout.threshold &&
           greatest(o.D, o.Dv) <= 128 && o.D % 8 == 0 && o.Dv % 8 == 0 && o.q_rows.length >= 64 &&
           o.k_rows.length >= 64 && has_rows(o.q_rows) && has_rows(o.k_rows) &&
           has_map(s.q, o.B, o.H) && has_map(s.k, o.B, o.KV) && has_map(s.v, o.B, o.KV) &&
           has_map(s.grad_out, o.B, o.H) && has_aligned_rows(s.dq, o.B, o.H) &&
           has_aligned_rows(s.dk, o.B, o.KV) && has_aligned_rows(s.dv, o.B, o.KV);
}

template <typename T>
void attention_backward_sm90(const BackwardProblem<T>& problem, Context& context) {
    const AttentionOptions& o = problem.s.options;
    if (greatest(o.D, o.Dv) <= 64)
        launch_both<64>(problem, context);
    else
        launch_both<128>(problem, context);
}

#define PF_INSTANTIATE_SM90(T)                                                                    \
    template bool attention_backward_sm90_takes(const AttentionBackwardArgs<T>&, const Context&); \
    template void attention_backward_sm90(const BackwardProblem<T>&, Context&);
PF_INSTANTIATE_SM90(bfloat16)
PF_INSTANTIATE_SM90(float16)

}  // namespace plainformer::cuda
