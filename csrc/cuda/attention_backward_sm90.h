// Attention's backward on sm_90a: what it takes, and its launches. Host code.
#pragma once
#include "attention_backward_tiles.cuh"
#include "context.h"

namespace plainformer::cuda {

// Heads of 16-bit elements, up to 128 wide, that TMA can read; scores that need nothing but a
// factor and the window; enough rows and keys to fill its tiles.
template <typename T>
bool attention_backward_sm90_takes(const AttentionBackwardArgs<T>& s, const Context& context);

// dQ, dK and dV, from row terms that are there.
template <typename T>
void attention_backward_sm90(const BackwardProblem<T>& problem, Context& context);

}  // namespace plainformer::cuda
