// Launches of attention to a cache: new rows are appended, then the chunks of keys are shared out
// over blocks, then what they leave is merged.
#include "attention_cached.cuh"

#include "attention_launch.h"
#include "operations.h"

namespace plainformer::cuda {

namespace {

constexpr int64_t most_partial_bytes = int64_t{256} << 20;  // at a time, of all chunks
constexpr int64_t blocks_a_multiprocessor = 4;

template <typename T>
LaunchConfig config_of(int64_t blocks, int threads, Context& context) {
    LaunchConfig config;
    config.grid = dim3(static_cast<unsigned>(blocks)), config.block = dim3(threads);
    config.stream = context.stream();
    return config;
}

template <typename T>
void append(const CachedAttentionArgs<T>& s, Context& context) {
    const AttentionOptions& o = s.options;
    const int64_t rows = o.B * o.q_rows.length * o.KV;
    const int64_t blocks = ceil_div(rows, append_threads / warp_size);
    if (blocks > most_blocks) throw std::length_error("attention: more rows than CUDA has blocks");
    launch(config_of<T>(blocks, append_threads, context), append_to_cache<T>, s, rows);
}

// HeadsView<T> as rows that are only read.
template <typename T>
HeadsView<const T> read_only(const HeadsView<T>& x) {
    return {x.data, x.batch, x.head, x.row};
}

// Most chunks of a row: those of the longest, or of the longest with shorter chunks.
int64_t most_chunks(int64_t capacity) {
    int64_t most = 0;
    for (const int64_t keys : {int64_t{2048}, int64_t{8192}, capacity}) {
        const int64_t longest = least(keys, capacity);
        most = greatest(most, ceil_div(longest, chunk_keys(longest)));
    }
    return most;
}

template <typename T>
void launch_chunks(const CachedCall<T>& call, int64_t blocks, Context& context) {
    const CachedAttentionArgs<T>& s = call.s;
    with_head_width(s.options, [&](auto width) {
        constexpr int W = decltype(width)::value;
        if constexpr (!std::is_same_v<T, float>)
            if (has_sm80_rows(s.options, s.q, read_only(s.k), read_only(s.v))) {
                LaunchConfig config = config_of<T>(blocks, CachedSizes<W>::threads, context);
                config.shared_bytes = sizeof(CachedShared<T, W>);
                launch(config, cached_attention_sm80<T, W>, call);
                return;
            }
        using Sizes = SimtSizes<1, W / 64>;
        LaunchConfig config = config_of<T>(blocks, Sizes::threads, context);
        config.shared_bytes = sizeof(SimtShared<Sizes>);
        launch(config, cached_attention_simt<T, Sizes>, call);
    });
}

// Few queries: chunks of keys, as many sequences at a time as the memory for their parts allows.
template <typename T>
void attend_in_chunks(const CachedAttentionArgs<T>& s, Context& context) {
    const AttentionOptions& o = s.options;
    const int64_t queries = o.H * o.q_rows.length, chunks = most_chunks(o.k_rows.length);
    const int64_t part = queries * greatest(1, chunks) * (o.Dv + 2);
    const int64_t row_blocks = ceil_div(o.H / o.KV * o.q_rows.length, cached_rows);
    const int64_t heads = row_blocks * o.KV;
    const int64_t fit =
        least(most_partial_bytes / (4 * part), most_blocks / greatest(heads, queries));
    const int64_t together = least(o.B, greatest(1, fit));
    CachedCall<T> call{s, score_rule(o), context.workspace<float>(together * part),
                       0, chunks,        static_cast<unsigned>(row_blocks),
                       1};
    for (int64_t b = 0; b < o.B; b += together) {
        const int64_t sequences = least(together, o.B - b), blocks = heads * sequences;
        const int64_t wanted =
            ceil_div(blocks_a_multiprocessor * context.multiprocessors(), blocks);
        const int64_t splits = greatest(1, least(chunks, wanted));
        call.first_sequence = b, call.splits = static_cast<unsigned>(splits);
        launch_chunks(call, blocks * splits, context);
        launch(config_of<T>(queries * sequences, merge_threads, context), merge_cached_chunks<T>,
               call);
    }
}

}  // namespace

template <typename T>
void cached_attention(const CachedAttentionArgs<T>& s, Context& context) {
    const AttentionOptions& o = s.options;
    if (o.B * o.H * o.q_rows.length == 0) return;
    check_lengths(o);
    if (s.new_k.data) append(s, context);
    if (o.q_rows.length <= most_cached_queries) return attend_in_chunks(s, context);
    attend(AttentionArgs<T>{o, s.out, {}, s.q, read_only(s.k), read_only(s.v)}, s.lengths, context);
}
PF_INSTANTIATE(cached_attention, CachedAttentionArgs)

}  // namespace plainformer::cuda
