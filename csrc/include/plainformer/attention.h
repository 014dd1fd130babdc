// Scaled dot product attention, fused: the (Lq, Lk) scores of a sequence exist only as tiles.
//
//   S = cap(scale Q K^T) + mask - slope |i + Lk - Lq - j|      P = softmax(S)
//   O = dropout(P) V      lse = log sum exp S      cap(x) = softcap tanh(x / softcap), or x
//
// Backward, from the saved lse and with D_i = sum_c dO_ic O_ic:
//
//   dV = dropout(P)^T dO        dS = P (dropout(dO V^T) - D)        dmask = dS
//   dQ = scale dS' K            dK = scale dS'^T Q                  dS' = dS (1 - tanh^2), or dS
//
// Query head h reads key and value head h / (H / KV). A row that sees no key has O = 0, lse = -inf
// and gradient 0. A key that a row does not see is left out by selection, so that a NaN there
// reaches no result of that row.
//
// Dao et al., "FlashAttention", 2022, arXiv:2205.14135; Rabe, Staats, 2021, arXiv:2112.05682; Press
// et al., "Train short, test long" (the slopes), 2021, arXiv:2108.12409; Gemma team, "Gemma 2" (the
// cap), 2024, arXiv:2408.00118.
#pragma once
#include "plainformer/philox.h"
#include "plainformer/types.h"

namespace plainformer {

constexpr int64_t widest_head = 256;  // D and Dv at most

// Rows of sequences and heads in any order of the axes; the elements of a row are contiguous.
// Dense: sequence b begins b batch strides from the data. Packed: it begins as many rows from it as
// the sequences before it have, and the batch stride is that of a row.
template <typename T>
struct HeadsView {
    T* data;
    int64_t batch, head, row;  // strides in elements
};

// How rows divide into sequences.
struct SequenceRows {
    const int32_t* starts;  // packed: (B + 1) rows before each sequence, 0 first. Null: dense
    int64_t length;         // of every sequence where dense, else of the longest
    int64_t rows;           // packed: of all sequences
};

// Row i sees keys i + shift - left .. i + shift + right, where shift is Lk - Lq if the last row
// stands at the last key (bottom_right), and 0 if the first row stands at the first key. A negative
// number means no limit.
struct AttentionWindow {
    int64_t left, right;
    bool bottom_right;
};

// (B, H) of them; null: none.
struct AlibiSlopes {
    const float* data;
    int64_t batch, head;  // strides in elements
};

enum class MaskKind : int { none, boolean, additive };

// (B, H, Lq, Lk). Bytes (nonzero: take part) or elements of the queries' type that are added to the
// scores; -inf, values <= -1e30 and float16's lowest, -65504, hide a key like a zero byte.
struct AttentionMask {
    MaskKind kind = MaskKind::none;
    const void* data = nullptr;
    int64_t batch = 0, head = 0, row = 0, column = 0;  // strides in elements, 0 where broadcast
};

struct AttentionOptions {
    int64_t B, H, KV;
    SequenceRows q_rows, k_rows;  // both packed or both dense
    int64_t D, Dv;                // width of queries and keys, of values
    double scale;
    double softcap;  // 0: none
    AttentionWindow window;
    AlibiSlopes alibi;
    DropoutRule dropout;  // counter (key / 8, query, b H + h, offset); threshold 0: no dropout
    AttentionMask mask;
};

template <typename T>
struct AttentionArgs {
    AttentionOptions options;
    HeadsView<T> out;            // (B, H, Lq, Dv)
    HeadsView<acc_t<T>> lse;     // (B, H, Lq), a row is one number; data may be null
    HeadsView<const T> q, k, v;  // (B, H, Lq, D), (B, KV, Lk, D), (B, KV, Lk, Dv)
};

template <typename T>
struct AttentionBackwardArgs {
    AttentionOptions options;
    HeadsView<T> dq, dk, dv;      // like q, k, v
    T* dmask;                     // contiguous, of the mask's shape without broadcasts; or null
    int64_t mask_shape[4];        // of dmask: (B or 1, H or 1, Lq or 1, Lk or 1)
    HeadsView<const T> grad_out;  // (B, H, Lq, Dv)
    HeadsView<const T> q, k, v, out;
    HeadsView<const acc_t<T>> lse;  // (B, H, Lq)
};

// Queries against caches of keys and values, no lse and no backward. Row b of the batch sees its
// first lengths[b] keys, the last of which are the new ones, if there are any: these are copied to
// the end of the cache first. How a backend divides the keys of a row depends on their number
// alone, and the results of the parts are merged in order.
template <typename T>
struct CachedAttentionArgs {
    AttentionOptions options;         // dense, no dropout; k_rows.length: most keys of a row
    const int32_t* lengths;           // (B) keys, the new ones included, at most as the cache holds
    HeadsView<T> out;                 // (B, H, Lq, Dv)
    HeadsView<const T> q;             // (B, H, Lq, D)
    HeadsView<T> k, v;                // (B, KV, capacity, D), (B, KV, capacity, Dv)
    HeadsView<const T> new_k, new_v;  // (B, KV, Lq, D), (B, KV, Lq, Dv); data may be null
};

}  // namespace plainformer
