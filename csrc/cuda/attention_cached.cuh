// Attention of few queries to a cache of keys. Formula and shapes: plainformer/attention.h
//
// Memory sets the pace, so K and V are read once, by all queries that need them: the queries of all
// query heads that share a key/value head are rows of one block. Keys are cut into chunks, whose
// size the number of a row's keys alone decides. A chunk leaves a maximum, a sum and O for each
// query, which another kernel merges in the order of the chunks. How many blocks share the chunks
// is the device's matter, and changes no byte.
#pragma once
#include "attention_simt.cuh"
#include "attention_sm80_rows.cuh"

namespace plainformer::cuda {

constexpr int cached_rows = 16;             // of a block
constexpr int64_t most_cached_queries = 8;  // beyond which the forward's kernels do better

// Short chunks give a short row more blocks; long ones leave less to merge.
PF_INLINE constexpr int chunk_keys(int64_t keys) {
    return keys <= 2048 ? 64 : keys <= 8192 ? 128 : 256;
}

template <typename T>
struct CachedCall {
    CachedAttentionArgs<T> s;
    ScoreRule rule;
    // (sequences, H Lq, chunks) of Dv + 2 numbers: the largest score, the sum, O
    float* partials;
    int64_t first_sequence;  // of this launch
    int64_t chunks;          // most of a row
    unsigned row_blocks, splits;

    PF_INLINE float* partial(int64_t b, int64_t query, int64_t chunk) const {
        const AttentionOptions& o = s.options;
        const int64_t place =
            ((b - first_sequence) * o.H * o.q_rows.length + query) * chunks + chunk;
        return partials + place * (o.Dv + 2);
    }
};

// Row b of the batch with the keys it has.
template <typename T>
__device__ __forceinline__ Sequence cached_sequence(const CachedCall<T>& call, int64_t b) {
    return sequence_at(call.s.options, b, call.s.lengths);
}

// Where a block works: rows of a key/value head, of which row r is query r % Lq of its r / Lq-th
// query head.
struct CachedPlace {
    Sequence sequence;
    int64_t kv, first_head;
    int first, rows;  // of the head's rows; how many there are in all
    int split;

    PF_INLINE bool has(int r) const { return first + r < rows; }
    PF_INLINE int64_t head(int r) const { return first_head + (first + r) / sequence.Lq; }
    // Lq, which sees nothing, for a row that is not there.
    PF_INLINE int query(int r) const { return has(r) ? (first + r) % sequence.Lq : sequence.Lq; }
};

template <typename T>
__device__ __forceinline__ CachedPlace cached_place(const CachedCall<T>& call) {
    const AttentionOptions& o = call.s.options;
    const unsigned split = blockIdx.x % call.splits, rest = blockIdx.x / call.splits;
    const unsigned KV = static_cast<unsigned>(o.KV), head = rest / call.row_blocks;
    const int64_t kv = head % KV, group = o.H / o.KV;
    const Sequence sequence = cached_sequence(call, call.first_sequence + head / KV);
    return {sequence,
            kv,
            kv * group,
            static_cast<int>(rest % call.row_blocks) * cached_rows,
            static_cast<int>(group) * sequence.Lq,
            static_cast<int>(split)};
}

// f(chunk, tiles of 64 keys that hold some of what the rows see in it) for the block's chunks.
template <typename T, typename F>
__device__ __forceinline__ void for_chunks(const CachedCall<T>& call, const CachedPlace& place,
                                           const F& f) {
    const Sequence& sequence = place.sequence;
    const KeyRange seen = sequence.keys_of(0, sequence.Lq);
    const int size = chunk_keys(sequence.Lk);
    const KeyRange chunks = tiles_of(seen, size);
    for (int chunk = chunks.begin + place.split; chunk < chunks.end;
         chunk += static_cast<int>(call.splits)) {
        const KeyRange keys{max(seen.begin, chunk * size), min(seen.end, (chunk + 1) * size)};
        f(chunk, tiles_of(keys, 64));
    }
}

// ---- without tensor cores -----------------------------------------------------------------------

template <typename T, typename Sizes>
__global__ void __launch_bounds__(Sizes::threads, Sizes::blocks)
    cached_attention_simt(const __grid_constant__ CachedCall<T> call) {
    static_assert(Sizes::queries == cached_rows, "a row a thread");
    const CachedAttentionArgs<T>& s = call.s;
    const AttentionOptions& o = s.options;
    const CachedPlace place = cached_place(call);
    const Sequence& sequence = place.sequence;
    auto& memory = shared<SimtShared<Sizes>>();
    load_queries(memory, static_cast<int>(o.D), [&](int r) {
        return place.has(r) ? row_at(s.q, sequence.q, place.head(r), place.query(r)) : nullptr;
    });
    const SimtHead<T> kv = simt_head<T>(s.k, s.v, sequence, place.kv, o);
    SimtTile<Sizes> tile;
    const int r = tile.first_row(), i = place.query(r);
    const int64_t h = place.has(r) ? place.head(r) : place.first_head;
    const HeadScores<T> head(call.rule, sequence, h);
    for_chunks(call, place, [&](int chunk, KeyRange tiles) {
        tile.clear();
        for (int n = tiles.begin; n < tiles.end; ++n)
            tile.take_keys(memory, kv, n * Sizes::keys, [&](int, float (&x)[4], int j) {
                return simt_probabilities(x, tile.softmax[0], sequence, head, i, j, false,
                                          o.dropout, 0);
            });
        const float sum = warp_reduce<SumOp, Sizes::lanes>(tile.softmax[0].sum);
        if (!place.has(r)) return;
        float* const to = call.partial(sequence.b, h * sequence.Lq + i, chunk);
        if (tile.lane() == 0) to[0] = tile.softmax[0].largest, to[1] = sum;
        tile.store_sums(to + 2, 0, kv.Dv, 1.0f);
    });
}

// ---- on tensor cores ----------------------------------------------------------------------------

// Four warps share the rows and take 16 keys of each tile.
template <int W>
struct CachedSizes {
    static constexpr int width = W, row_tiles = 1, warps = 4, threads = 32 * warps;
    static constexpr int keys = 64, slots = W == 256 ? 2 : 4;
    static constexpr int key_groups = 1, columns = W / 8;
};

template <typename T, int W>
struct alignas(1024) CachedShared {
    using Sizes = CachedSizes<W>;
    T q[cached_rows * W];
    union {
        T ring[Sizes::slots][Sizes::keys * W];
        // What each warp has of a chunk. The gap puts four rows of fragments into all banks.
        struct {
            float sums[Sizes::warps][cached_rows][W + 8];
            float largest[Sizes::warps][cached_rows], total[Sizes::warps][cached_rows];
        } parts;
    };
};

// Asks for the block's queries.
template <typename T, int W>
__device__ __forceinline__ void copy_cached_queries(CachedShared<T, W>& memory,
                                                    const CachedAttentionArgs<T>& s,
                                                    const CachedPlace& place) {
    const uint32_t to = shared_addr(memory.q);
    for (int n = threadIdx.x; n < cached_rows * W / 8; n += CachedSizes<W>::threads) {
        const int r = n / (W / 8), c = n % (W / 8);
        const bool exists = place.has(r) && 8 * c < s.options.D;
        const T* const row =
            exists ? row_at(s.q, place.sequence.q, place.head(r), place.query(r)) + 8 * c
                   : s.q.data;
        cp_async_16(to + tile_offset<W>(r, c), row, exists);
    }
}

// The part of a warp's rows into shared memory.
template <typename T, int W>
__device__ __forceinline__ void store_cached_part(CachedShared<T, W>& memory,
                                                  Sm80Rows<T, CachedSizes<W>, true>& rows) {
    const int warp = warp_id(), lane = lane_id();
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        const int row = 8 * r + lane / 4;
        const float sum = warp_reduce<SumOp, 4>(rows.softmax[0][r].sum);
        if (lane % 4 == 0) {
            memory.parts.largest[warp][row] = rows.softmax[0][r].largest;
            memory.parts.total[warp][row] = sum;
        }
#pragma unroll
        for (int n = 0; n < W / 8; ++n)
            *reinterpret_cast<float2*>(&memory.parts.sums[warp][row][8 * n + lane % 4 * 2]) =
                make_float2(rows.sums[0][n][2 * r], rows.sums[0][n][2 * r + 1]);
    }
}

// What the warps have, merged in their order, to the chunk's place.
template <typename T, int W>
__device__ __forceinline__ void merge_cached_parts(const CachedShared<T, W>& memory,
                                                   const CachedCall<T>& call,
                                                   const CachedPlace& place, int chunk) {
    constexpr int warps = CachedSizes<W>::warps;
    const int Dv = static_cast<int>(call.s.options.Dv);
    for (int n = threadIdx.x; n < cached_rows * W; n += CachedSizes<W>::threads) {
        const int r = n / W, c = n % W;
        if (!place.has(r) || c >= Dv) continue;
        RowSoftmax row;
#pragma unroll
        for (int w = 0; w < warps; ++w)
            row.largest = fmaxf(row.largest, memory.parts.largest[w][r]);
        float sum = 0, total = 0;
#pragma unroll
        for (int w = 0; w < warps; ++w) {
            const float factor = exp2_approx(memory.parts.largest[w][r] - row.shift());
            sum = fmaf(memory.parts.sums[w][r][c], factor, sum);
            total = fmaf(memory.parts.total[w][r], factor, total);
        }
        float* const to = call.partial(place.sequence.b,
                                       place.head(r) * place.sequence.Lq + place.query(r), chunk);
        to[2 + c] = sum;
        if (c == 0) to[0] = row.largest, to[1] = total;
    }
}

template <typename T, int W>
__global__ void __launch_bounds__(CachedSizes<W>::threads)
    cached_attention_sm80(const __grid_constant__ CachedCall<T> call) {
    using Sizes = CachedSizes<W>;
    const CachedAttentionArgs<T>& s = call.s;
    const AttentionOptions& o = s.options;
    const CachedPlace place = cached_place(call);
    const Sequence& sequence = place.sequence;
    auto& memory = shared<CachedShared<T, W>>();
    const auto head = [&](int r) {
        const int row = 8 * r + lane_id() / 4;
        return HeadScores<T>(call.rule, sequence,
                             place.has(row) ? place.head(row) : place.first_head);
    };
    const HeadScores<T> heads[2] = {head(0), head(1)};
    const bool masked = call.rule.mask.kind != MaskKind::none;
    const uint32_t q = row_place<W>(shared_addr(memory.q));
    const int warp_key = 16 * warp_id();
    const uint32_t warp_keys = static_cast<uint32_t>(warp_key * W * 2);
    bool has_queries = false;
    for_chunks(call, place, [&](int chunk, KeyRange tiles) {
        Sm80Ring<T, Sizes> ring{row_at(s.k, sequence.k, place.kv, 0),
                                row_at(s.v, sequence.k, place.kv, 0),
                                s.k.row,
                                s.v.row,
                                static_cast<int>(o.D),
                                static_cast<int>(o.Dv),
                                shared_addr(memory.ring),
                                sequence.Lk,
                                tiles.begin,
                                tiles.end};
        if (!has_queries) copy_cached_queries(memory, s, place);
        has_queries = true;
        for (int n = 0; n < Sizes::slots - 1; ++n) ring.issue();
        Sm80Rows<T, Sizes, true> rows;
        for (int n = tiles.begin; n < tiles.end; ++n) {
            const int key = n * Sizes::keys + warp_key;
            rows.multiply_keys(q, ring.take() + warp_keys);
            float scaled[2];
#pragma unroll
            for (int r = 0; r < 2; ++r) {
                const int i = place.query(8 * r + lane_id() / 4);
                TileRange seen = seen_in_tile(sequence, i, key);
                if (i == sequence.Lq) seen = {0, 0};
                rows.score(0, r, heads[r], i, key, seen);
                scaled[r] = rows.take_row(0, r, 1.0f);
            }
            rows.rescale(0, scaled[0], scaled[1]);
            const bool careful = masked || !sees_all(sequence, 0, sequence.Lq, key, 16);
            rows.multiply_values(ring.take() + warp_keys, careful);
        }
        // Nobody reads the ring, all of which has landed: its memory takes the parts.
        __syncthreads();
        store_cached_part(memory, rows);
        __syncthreads();
        merge_cached_parts(memory, call, place, chunk);
        __syncthreads();  // nobody reads the parts, whose memory takes the next chunk
    });
}

// ---- the chunks' parts --------------------------------------------------------------------------

constexpr int merge_threads = 128;

// O of one query from its chunks, in order.
template <typename T>
__global__ void __launch_bounds__(merge_threads)
    merge_cached_chunks(const __grid_constant__ CachedCall<T> call) {
    const AttentionOptions& o = call.s.options;
    const int64_t queries = o.H * o.q_rows.length, query = blockIdx.x % queries;
    const int64_t h = query / o.q_rows.length, i = query % o.q_rows.length;
    const Sequence sequence = cached_sequence(call, call.first_sequence + blockIdx.x / queries);
    const KeyRange chunks = tiles_of(sequence.keys_of(0, sequence.Lq), chunk_keys(sequence.Lk));
    RowSoftmax row;
    for (int n = chunks.begin; n < chunks.end; ++n)
        row.largest = fmaxf(row.largest, call.partial(sequence.b, query, n)[0]);
    for (int n = chunks.begin; n < chunks.end; ++n) {
        const float* const part = call.partial(sequence.b, query, n);
        row.sum = fmaf(part[1], exp2_approx(part[0] - row.shift()), row.sum);
    }
    const float factor = row.normalizer(1.0f);
    for (int c = threadIdx.x; c < o.Dv; c += merge_threads) {
        float sum = 0;
        for (int n = chunks.begin; n < chunks.end; ++n) {
            const float* const part = call.partial(sequence.b, query, n);
            sum = fmaf(part[2 + c], exp2_approx(part[0] - row.shift()), sum);
        }
        store(row_at(call.s.out, sequence.q, h, i) + c, sum * factor);
    }
}

// ---- new keys and values ------------------------------------------------------------------------

constexpr int append_threads = 256;

// One row of a head by one warp.
template <typename T>
__device__ __forceinline__ void copy_row(T* to, const T* from, int width) {
    if (width % vector_width<T> == 0 && is_vector_aligned(to) && is_vector_aligned(from)) {
        for (int c = lane_id(); c < width / vector_width<T>; c += warp_size)
            reinterpret_cast<uint4*>(to)[c] = reinterpret_cast<const uint4*>(from)[c];
    } else {
        for (int c = lane_id(); c < width; c += warp_size) to[c] = from[c];
    }
}

// The rows of the new keys and values to the ends of their rows of the caches. A length that was
// wrong is 0, which leaves no place for them.
template <typename T>
__global__ void __launch_bounds__(append_threads)
    append_to_cache(const __grid_constant__ CachedAttentionArgs<T> s, int64_t rows) {
    const AttentionOptions& o = s.options;
    const int64_t n = int64_t{blockIdx.x} * (append_threads / warp_size) + warp_id();
    if (n >= rows) return;
    const int64_t kv = n % o.KV, i = n / o.KV % o.q_rows.length, b = n / o.KV / o.q_rows.length;
    const int64_t place = s.lengths[b] - o.q_rows.length + i;
    if (s.lengths[b] < o.q_rows.length) return;
    copy_row(row_at(s.k, b, kv, place), row_at(s.new_k, b, kv, i), static_cast<int>(o.D));
    copy_row(row_at(s.v, b, kv, place), row_at(s.new_v, b, kv, i), static_cast<int>(o.Dv));
}

}  // namespace plainformer::cuda
