"""Kernels and differentiable operations: valid arguments of each, and odd ones in their place."""

from __future__ import annotations

import numpy as np

from plainformer import functional, kernels

from .function import Call, floats, lists, one_of, tensors, whole

X, V, N = floats(3, 4), floats(4), floats(3)
BOOL = one_of(True, False)
Q, KV, LSE = floats(2, 5, 4, 8), floats(2, 6, 2, 8), floats(2, 4, 5)
CU_Q, CU_K = whole(0, 3, 5, dtype=np.int32), whole(0, 2, 6, dtype=np.int32)
OPTIONS = {
    "dropout_p": one_of(0.0, 0.1), "softmax_scale": one_of(None, 0.3), "causal": BOOL,
    "window_size": one_of((-1, -1), (2, 0)), "softcap": one_of(0.0, 5.0), "seed": one_of(3),
    "offset": one_of(0, 7), "alibi_slopes": floats(4),
}  # fmt: skip
CACHED = {k: OPTIONS[k] for k in ("softmax_scale", "causal", "window_size", "softcap")}
VARLEN = {"cu_seqlens_q": CU_Q, "cu_seqlens_k": CU_K, "max_seqlen_q": one_of(3),
          "max_seqlen_k": one_of(4)}  # fmt: skip
PACKED = {"cu_seqlens": CU_Q, "max_seqlen": one_of(3)}
SDPA = {"dropout_p": one_of(0.0, 0.1), "is_causal": BOOL, "scale": one_of(None, 0.3),
        "enable_gqa": one_of(True), "seed": one_of(3), "offset": one_of(0)}  # fmt: skip
HEADS_FIRST = floats(2, 4, 5, 8), floats(2, 2, 6, 8)
PARAMS = lists(floats(3, 4), floats(4))
ADAMW = {"lr": one_of(0.1), "betas": one_of((0.9, 0.99)), "eps": one_of(1e-8),
         "weight_decay": one_of(0.1), "grad_scale": one_of(1.0), "step": one_of(1, 5)}  # fmt: skip
SGD = {"lr": one_of(0.1), "momentum": one_of(0.9), "nesterov": BOOL, "weight_decay": one_of(0.1),
       "grad_scale": one_of(1.0)}  # fmt: skip
REDUCTION, SMOOTHING = one_of("mean", "sum", "none"), one_of(0.0, 0.1)
LABELS = whole(0, 3, -100)
LOSS = {"ignore_index": one_of(-100, 1), "label_smoothing": SMOOTHING, "reduction": REDUCTION}
APPROXIMATE = one_of("none", "tanh")
ACTIVATION = one_of(None, "relu", "gelu", "gelu_tanh", "silu")

QUANTIZED = kernels.quantize_weight(np.eye(5, 4, dtype=np.float32))
INT8 = kernels.pack_int8(*QUANTIZED)

_K = kernels
KERNELS: dict[str, Call] = {
    "array_of": Call(kernels.array_of, x=X),
    "asarray": Call(kernels.asarray, x=X, like=X),
    "asnumpy": Call(kernels.asnumpy, x=X),
    "xp": Call(kernels.xp, x=X),
    "accumulate": Call(_K.accumulate, out=X, x=X),
    "adamw_step": Call(_K.adamw_step, params=PARAMS, grads=PARAMS, exp_avgs=PARAMS,
                       exp_avg_sqs=PARAMS, **ADAMW),
    "add": Call(_K.add, a=X, b=X),
    "clip_grad_norm": Call(_K.clip_grad_norm, grads=PARAMS, max_norm=one_of(1.0, None)),
    "cross_entropy": Call(_K.cross_entropy, input=X, target=LABELS, weight=V, **LOSS,
                          return_count=BOOL, return_lse=BOOL),
    "cross_entropy_backward": Call(_K.cross_entropy_backward, grad_output=floats(), input=X,
                                   target=LABELS, lse=N, weight=V, **LOSS),
    "dropout": Call(_K.dropout, x=X, p=one_of(0.1), seed=one_of(1), offset=one_of(0)),
    "dropout_backward": Call(_K.dropout_backward, grad_output=X, p=one_of(0.1), seed=one_of(1),
                             offset=one_of(0)),
    "embedding": Call(_K.embedding, input_ids=whole(0, 2, 1), weight=X),
    "embedding_backward": Call(_K.embedding_backward, grad_output=X, input_ids=whole(0, 5, 1),
                               num_embeddings=one_of(6), out=one_of(None), accumulate=BOOL),
    "flash_attn_func": Call(_K.flash_attn_func, q=Q, k=KV, v=KV, **OPTIONS),
    "flash_attn_backward": Call(_K.flash_attn_backward, grad_output=Q, q=Q, k=KV, v=KV, output=Q,
                                lse=LSE, **OPTIONS, bias_grad=one_of(False)),
    "flash_attn_qkvpacked_func": Call(_K.flash_attn_qkvpacked_func, qkv=floats(2, 5, 3, 4, 8),
                                      **OPTIONS),
    "flash_attn_qkvpacked_backward": Call(_K.flash_attn_qkvpacked_backward, grad_output=Q,
                                          qkv=floats(2, 5, 3, 4, 8), output=Q, lse=LSE, **OPTIONS),
    "flash_attn_varlen_func": Call(_K.flash_attn_varlen_func, q=floats(5, 4, 8), k=floats(6, 2, 8),
                                   v=floats(6, 2, 8), **VARLEN, **OPTIONS),
    "flash_attn_varlen_backward": Call(_K.flash_attn_varlen_backward, grad_output=floats(5, 4, 8),
                                       q=floats(5, 4, 8), k=floats(6, 2, 8), v=floats(6, 2, 8),
                                       output=floats(5, 4, 8), lse=floats(4, 5), **VARLEN,
                                       **OPTIONS),
    "flash_attn_varlen_qkvpacked_func": Call(_K.flash_attn_varlen_qkvpacked_func,
                                             qkv=floats(5, 3, 4, 8), **PACKED, **OPTIONS),
    "flash_attn_varlen_qkvpacked_backward": Call(
        _K.flash_attn_varlen_qkvpacked_backward, grad_output=floats(5, 4, 8),
        qkv=floats(5, 3, 4, 8), output=floats(5, 4, 8), lse=floats(4, 5), **PACKED, **OPTIONS),
    "flash_attn_with_kvcache": Call(_K.flash_attn_with_kvcache, q=floats(2, 1, 4, 8),
                                    k_cache=floats(2, 9, 2, 8), v_cache=floats(2, 9, 2, 8),
                                    k=floats(2, 1, 2, 8), v=floats(2, 1, 2, 8),
                                    cache_seqlens=whole(3, 8, dtype=np.int32), **CACHED),
    "fused_linear_cross_entropy": Call(_K.fused_linear_cross_entropy, input=X, weight=floats(5, 4),
                                       target=whole(0, 4, -100), bias=floats(5), **LOSS,
                                       num_items=one_of(None, 2.0), return_count=BOOL,
                                       return_grads=BOOL),
    "geglu": Call(_K.geglu, gate=X, up=X, approximate=APPROXIMATE),
    "geglu_backward": Call(_K.geglu_backward, grad_output=X, gate=X, up=X,
                           approximate=APPROXIMATE),
    "gelu": Call(_K.gelu, x=X, approximate=APPROXIMATE, out=X),
    "gelu_backward": Call(_K.gelu_backward, grad_output=X, x=X, approximate=APPROXIMATE),
    "layer_norm": Call(_K.layer_norm, x=X, normalized_shape=one_of(4, (4,), [3, 4]), weight=V,
                       bias=V, eps=one_of(1e-5), residual=X, return_stats=BOOL),
    "layer_norm_backward": Call(_K.layer_norm_backward, grad_output=X, x=X, weight=V, mean=N,
                                rstd=N, bias=V, grad_residual=X),
    "linear": Call(_K.linear, x=X, weight=floats(5, 4), bias=floats(5), activation=ACTIVATION,
                   residual=floats(3, 5), dropout_p=one_of(0.0, 0.1), seed=one_of(1),
                   return_preactivation=BOOL),
    "linear_backward": Call(_K.linear_backward, grad_output=floats(3, 5), x=X, weight=floats(5, 4),
                            bias=floats(5), preactivation=floats(3, 5), activation=ACTIVATION,
                            needs=one_of((True, True, True), (False, True, False))),
    "log_softmax": Call(_K.log_softmax, x=X, axis=one_of(-1, 0, 1), out=one_of(None)),
    "log_softmax_backward": Call(_K.log_softmax_backward, grad_output=X, output=X,
                                 axis=one_of(-1, 0, 1)),
    "linear_int8": Call(_K.linear_int8, x=X, weight=one_of(INT8), bias=floats(5),
                        activation=ACTIVATION, dynamic=BOOL),
    "matmul": Call(_K.matmul, a=floats(2, 3, 4), b=floats(4, 5), transpose_a=BOOL,
                   transpose_b=BOOL),
    "matmul_backward": Call(_K.matmul_backward, grad_output=floats(2, 3, 5), a=floats(2, 3, 4),
                            b=floats(4, 5), transpose_a=BOOL, transpose_b=BOOL),
    "dequantize_weight": Call(_K.dequantize_weight, values=one_of(QUANTIZED[0]),
                              scale=one_of(QUANTIZED[1]), group_size=one_of(None, 4)),
    "pack_int8": Call(_K.pack_int8, values=one_of(QUANTIZED[0]), scale=one_of(QUANTIZED[1]),
                      group_size=one_of(None, 4)),
    "quantize_weight": Call(_K.quantize_weight, weight=floats(5, 4), group_size=one_of(None, 4)),
    "pack_weight": Call(_K.pack_weight, weight=floats(5, 4)),
    "relu": Call(_K.relu, x=X, out=X),
    "relu_backward": Call(_K.relu_backward, grad_output=X, x=X),
    "rms_norm": Call(_K.rms_norm, x=X, normalized_shape=one_of(4, (4,)), weight=V,
                     eps=one_of(None, 1e-6), residual=X, return_stats=BOOL),
    "rms_norm_backward": Call(_K.rms_norm_backward, grad_output=X, x=X, weight=V, rstd=N,
                              grad_residual=X),
    "rotary_embedding": Call(_K.rotary_embedding, x=floats(3, 2, 8), positions=whole(0, 4, 1),
                             cos=floats(5, 4), sin=floats(5, 4), interleaved=BOOL),
    "rotary_embedding_backward": Call(_K.rotary_embedding_backward, grad_output=floats(3, 2, 8),
                                      positions=whole(0, 4, 1), cos=floats(5, 4),
                                      sin=floats(5, 4), interleaved=BOOL),
    "scaled_dot_product_attention": Call(_K.scaled_dot_product_attention, query=HEADS_FIRST[0],
                                         key=HEADS_FIRST[1], value=HEADS_FIRST[1],
                                         attn_mask=floats(5, 6), **SDPA),
    "scaled_dot_product_attention_backward": Call(
        _K.scaled_dot_product_attention_backward, grad_output=HEADS_FIRST[0], query=HEADS_FIRST[0],
        key=HEADS_FIRST[1], value=HEADS_FIRST[1], output=HEADS_FIRST[0], lse=LSE,
        attn_mask=floats(5, 6), mask_grad=BOOL, **SDPA),
    "sgd_step": Call(_K.sgd_step, params=PARAMS, grads=PARAMS, momentum_buffers=PARAMS, **SGD),
    "silu": Call(_K.silu, x=X, out=X),
    "silu_backward": Call(_K.silu_backward, grad_output=X, x=X),
    "softmax": Call(_K.softmax, x=X, axis=one_of(-1, 0, 1), out=X),
    "softmax_backward": Call(_K.softmax_backward, grad_output=X, output=X, axis=one_of(-1, 0)),
    "swiglu": Call(_K.swiglu, gate=X, up=X),
    "swiglu_backward": Call(_K.swiglu_backward, grad_output=X, gate=X, up=X),
    "tanh": Call(_K.tanh, x=X, out=X),
    "tanh_backward": Call(_K.tanh_backward, grad_output=X, x=X),
    "topk": Call(_K.topk, x=X, k=one_of(0, 1, 3)),
}  # fmt: skip

TX, TV = tensors(X), tensors(V)
_F = functional
BORDERS = one_of(functional.Borders(np.array([0, 3, 5], np.int32), np.array([0, 2, 6], np.int32),
                                    3, 4))  # fmt: skip
OPERATIONS: dict[str, Call] = {
    "activation": Call(_F.activation, x=TX, name=one_of("relu", "gelu", "silu", "tanh")),
    "add": Call(_F.add, a=TX, b=TX),
    "alias": Call(_F.alias, x=TX),
    "attention": Call(_F.attention, q=tensors(floats(5, 8)), k=tensors(floats(6, 8)),
                      v=tensors(floats(6, 8)), borders=BORDERS, num_heads=one_of(2, 4)),
    "attention_weights": Call(_F.attention_weights, q=floats(5, 8), k=floats(6, 8),
                              borders=BORDERS, num_heads=one_of(2, 4), causal=BOOL,
                              softmax_scale=one_of(None, 0.3), window_size=one_of((-1, -1))),
    "binary_cross_entropy_with_logits": Call(_F.binary_cross_entropy_with_logits, input=TX,
                                             target=X, weight=X, reduction=REDUCTION),
    "bucket_bias": Call(_F.bucket_bias, weight=tensors(floats(6, 2)),
                        buckets=whole([[0, 1], [2, 5]])),
    "columns": Call(_F.columns, x=TX, start=one_of(0, 1), stop=one_of(3, 4)),
    "concatenate": Call(_F.concatenate, xs=lists(TX, TX)),
    "conv1d": Call(_F.conv1d, x=TX, weight=tensors(floats(4, 5)), bias=tensors(floats(5)),
                   activation=ACTIVATION),
    "cross_entropy": Call(_F.cross_entropy, input=TX, target=LABELS, weight=V),
    "dropout": Call(_F.dropout, x=TX, p=one_of(0.1), training=BOOL, seed=one_of(1),
                    offset=one_of(0)),
    "embedding": Call(_F.embedding, input_ids=whole(0, 2, 1), weight=TX,
                      padding_idx=one_of(None, 1)),
    "fused_linear_cross_entropy": Call(_F.fused_linear_cross_entropy, x=TX,
                                       weight=tensors(floats(5, 4)), target=whole(0, 4, -100),
                                       bias=tensors(floats(5))),
    "geglu": Call(_F.geglu, gate=TX, up=TX, approximate=APPROXIMATE),
    "gelu": Call(_F.gelu, x=TX, approximate=APPROXIMATE),
    "layer_norm": Call(_F.layer_norm, x=TX, weight=TV, bias=TV, eps=one_of(1e-5), residual=TX),
    "linear": Call(_F.linear, x=TX, weight=tensors(floats(5, 4)), bias=tensors(floats(5)),
                   activation=ACTIVATION),
    "linear_together": Call(_F.linear_together, x=TX, is_in_out=one_of(False),
                            weights=lists(tensors(floats(5, 4)), tensors(floats(2, 4)))),
    "log_softmax": Call(_F.log_softmax, x=TX, dim=one_of(0, -1)),
    "matmul": Call(_F.matmul, a=TX, b=tensors(floats(4, 2))),
    "mean_of_sequences": Call(_F.mean_of_sequences, x=TX, cu_seqlens=whole(0, 2, 3)),
    "mse_loss": Call(_F.mse_loss, input=TX, target=X, reduction=REDUCTION),
    "normalize": Call(_F.normalize, x=TX, eps=one_of(1e-12)),
    "permute": Call(_F.permute, x=TX, axes=one_of((1, 0), [0, 1])),
    "put_rows": Call(_F.put_rows, x=TX, index=whole(0, 4, 1), count=one_of(5)),
    "relative_bias": Call(_F.relative_bias, weight=tensors(floats(6, 2)), num_queries=one_of(3),
                          buckets=whole(0, 1, 2, 3, 4, 5)),
    "relu": Call(_F.relu, x=TX),
    "reshape": Call(_F.reshape, x=TX, shape=one_of((12,), (2, 6), [4, -1])),
    "rms_norm": Call(_F.rms_norm, x=TX, weight=TV, eps=one_of(None, 1e-6), residual=TX),
    "rotary_embedding": Call(_F.rotary_embedding, x=tensors(floats(3, 16)),
                             positions=whole(0, 4, 1), cos=floats(5, 4), sin=floats(5, 4),
                             num_heads=one_of(2), interleaved=BOOL),
    "scale": Call(_F.scale, x=TX, factor=one_of(2.0)),
    "scaled_dot_product_attention": Call(
        _F.scaled_dot_product_attention, query=tensors(HEADS_FIRST[0]), key=tensors(HEADS_FIRST[1]),
        value=tensors(HEADS_FIRST[1]),
        **{k: v for k, v in SDPA.items() if k not in ("seed", "offset")}),
    "self_attention": Call(_F.self_attention, qkv=tensors(floats(5, 24)), cu_seqlens=CU_Q,
                           max_seqlen=one_of(3), num_heads=one_of(2)),
    "silu": Call(_F.silu, x=TX),
    "softcap": Call(_F.softcap, x=TX, cap=one_of(1.0, 30.0)),
    "softmax": Call(_F.softmax, x=TX, dim=one_of(0, -1)),
    "split_heads": Call(_F.split_heads, qkv=floats(5, 24), num_heads=one_of(2, 4)),
    "swiglu": Call(_F.swiglu, gate=TX, up=TX),
    "take_rows": Call(_F.take_rows, x=TX, index=whole(0, 2)),
    "tanh": Call(_F.tanh, x=TX),
}  # fmt: skip

FUNCTIONS = {f"kernels.{name}": call for name, call in KERNELS.items()} | {
    f"functional.{name}": call for name, call in OPERATIONS.items()
}
