// Attention's forward on sm_90a: what it takes, and its launch. Host code.
#pragma once
#include "context.h"
#include "plainformer/attention.h"

namespace plainformer::cuda {

// Heads of 16-bit elements that TMA can read, and scores that need nothing but a positive factor
// and the window; enough queries to fill its tiles.
template <typename T>
bool attention_sm90_takes(const AttentionArgs<T>& s, const Context& context);

template <typename T>
void attention_sm90(const AttentionArgs<T>& s, Context& context);

}  // namespace plainformer::cuda
