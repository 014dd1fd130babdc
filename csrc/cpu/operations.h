// Every CPU operation and its argument struct, once, in alphabetical order: the dispatch tables
// and the declarations in each ISA namespace come from this list.
#pragma once
#include "plainformer/activation.h"
#include "plainformer/add.h"
#include "plainformer/attention.h"
#include "plainformer/cross_entropy.h"
#include "plainformer/dropout.h"
#include "plainformer/elementary.h"
#include "plainformer/embedding.h"
#include "plainformer/gemm.h"
#include "plainformer/linear_cross_entropy.h"
#include "plainformer/norm.h"
#include "plainformer/optimizer.h"
#include "plainformer/roofline.h"
#include "plainformer/rotary.h"
#include "plainformer/softmax.h"

// clang-format off
#define PF_OPERATIONS(X) \
    X(accumulate, AccumulateArgs) \
    X(activation, ActivationArgs) \
    X(activation_backward, ActivationBackwardArgs) \
    X(adamw_step, AdamWStepArgs) \
    X(add, AddArgs) \
    X(attention, AttentionArgs) \
    X(attention_backward, AttentionBackwardArgs) \
    X(cached_attention, CachedAttentionArgs) \
    X(cross_entropy, CrossEntropyArgs) \
    X(cross_entropy_backward, CrossEntropyBackwardArgs) \
    X(dropout, DropoutArgs) \
    X(elementary, ElementaryArgs) \
    X(embedding, EmbeddingArgs) \
    X(embedding_backward, EmbeddingBackwardArgs) \
    X(gemm, GemmArgs) \
    X(linear_cross_entropy, LinearCrossEntropyArgs) \
    X(linear_grad, LinearGradArgs) \
    X(gated_activation, GatedActivationArgs) \
    X(gated_activation_backward, GatedActivationBackwardArgs) \
    X(memory_pass, MemoryPassArgs) \
    X(norm, NormArgs) \
    X(norm_backward, NormBackwardArgs) \
    X(pack_weight, PackArgs) \
    X(peak, PeakArgs) \
    X(rotary, RotaryArgs) \
    X(sgd_step, SgdStepArgs) \
    X(softmax, SoftmaxArgs) \
    X(softmax_backward, SoftmaxBackwardArgs) \
    X(squared_norm, SquaredNormArgs)
// clang-format on
