// Launches of attention's forward on sm_90a.
#include "attention_sm90.h"

#include "attention_launch.h"
#include "attention_sm90.cuh"

namespace plainformer::cuda {

namespace {

// Heads as TMA sees them: elements, rows, heads, sequences; packed sequences are rows of one.
template <typename T>
TensorMap map_heads(const HeadsView<const T>& x, const SequenceRows& rows, int64_t B, int64_t heads,
                    int64_t width, int box_rows) {
    const bool packed = rows.starts != nullptr;
    const int64_t dim[4] = {width, packed ? rows.rows : rows.length, heads, packed ? 1 : B};
    // An axis of one element is never stepped along, but its stride must be valid.
    const int64_t row = x.row * 2, head = heads > 1 ? x.head * 2 : row;
    const int64_t stride[3] = {row, head, packed || B == 1 ? row : x.batch * 2};
    const int box[4] = {tile_row, box_rows, 1, 1};
    return make_tensor_map<T>(x.data, 4, dim, stride, box, Swizzle::b128);
}

template <typename T>
bool has_map(const HeadsView<const T>& x, int64_t B, int64_t heads) {
    return has_aligned_rows(x, B, heads) && x.row > 0 && (heads == 1 || x.head > 0) &&
           (B == 1 || x.batch > 0);
}

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
    const int64_t keys = o.k_rows.starts ? o.k_rows.rows : o.k_rows.length;
    return context.capability() == 90 && is_plain(o, score_rule(o)) && o.q_rows.length >= 64 &&
           keys > 0 && o.D % 8 == 0 && o.Dv % 8 == 0 && has_map(s.q, o.B, o.H) &&
           has_map(s.k, o.B, o.KV) && has_map(s.v, o.B, o.KV) && has_aligned_rows(s.out, o.B, o.H);
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
