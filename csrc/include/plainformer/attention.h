// Scaled dot product attention, fused: the (Lq, Lk) scores exist only as tiles.
//
//   S = scale Q K^T + mask      P = softmax(S)      O = dropout(P) V      lse = log sum exp S
//
// Backward, from the saved lse and with D_i = sum_c dO_ic O_ic:
//
//   dV = dropout(P)^T dO        dS = P (dropout(dO V^T) - D)
//   dQ = scale dS K             dK = scale dS^T Q            dmask = dS
//
// Query head h reads key and value head h / (H / KV). Causal: row i sees keys 0 .. i (top-left).
// A row that sees no key has O = 0, lse = -inf and gradient 0. A key that a row does not see is
// left out by selection, so that a NaN there reaches no result of that row.
//
// Dao et al., "FlashAttention", 2022, arXiv:2205.14135; Rabe, Staats, 2021, arXiv:2112.05682.
#pragma once
#include "plainformer/philox.h"
#include "plainformer/types.h"

namespace plainformer {

// (B, H, L, D) in any order of its first three axes; the last one is contiguous.
template <typename T>
struct HeadsView {
    T* data;
    int64_t batch, head, row;  // strides in elements
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
    int64_t B, H, KV, Lq, Lk;
    int64_t D, Dv;  // width of queries and keys, of values
    double scale;
    bool causal;
    DropoutRule dropout;  // counter (key / 8, query, b H + h, offset); threshold 0: no dropout
    AttentionMask mask;
};

template <typename T>
struct AttentionArgs {
    AttentionOptions options;
    HeadsView<T> out;            // (B, H, Lq, Dv)
    acc_t<T>* lse;               // (B, H, Lq) or null
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
    const acc_t<T>* lse;  // (B, H, Lq)
};

}  // namespace plainformer
