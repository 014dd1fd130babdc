// The operations that every backend has, each with the name of its argument struct, in alphabetical
// order. The struct is in the header of its family.
#pragma once

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
    X(embedding, EmbeddingArgs) \
    X(embedding_backward, EmbeddingBackwardArgs) \
    X(gated_activation, GatedActivationArgs) \
    X(gated_activation_backward, GatedActivationBackwardArgs) \
    X(gemm, GemmArgs) \
    X(linear_cross_entropy, LinearCrossEntropyArgs) \
    X(linear_grad, LinearGradArgs) \
    X(norm, NormArgs) \
    X(norm_backward, NormBackwardArgs) \
    X(rotary, RotaryArgs) \
    X(sgd_step, SgdStepArgs) \
    X(softmax, SoftmaxArgs) \
    X(softmax_backward, SoftmaxBackwardArgs) \
    X(squared_norm, SquaredNormArgs) \
    X(topk, TopkArgs)
// clang-format on
