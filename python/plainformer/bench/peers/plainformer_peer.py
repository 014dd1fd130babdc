"""Ours: `plainformer.kernels`, as a caller uses them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import kernels, runtime
from ...kernels import devices
from .. import roofline
from ..case import Case
from ..cases import attention as attention_case
from ..cases import dropout as dropout_case
from ..cases import norm as norm_case
from ..cases import optimizer as optimizer_case
from ..cases import rotary as rotary_case
from ..machine import sources
from . import DEVICE, Call, Ways

WAYS = Ways("float32", "bfloat16")
HANDLERS = {"roofline": roofline.measure if DEVICE == "cpu" else roofline.measure_device}
if DEVICE != "cpu":
    finish = devices.synchronize


def load(array: Any) -> Any:
    """The array on the device of this process."""
    return devices.to_device(array, DEVICE)


def to_numpy(array: Any) -> Any:
    """And back."""
    return kernels.asnumpy(array)


def describe() -> dict[str, Any]:
    """The level in use, the processor, and the hashes of what was compiled."""
    return {
        "level": runtime.current_level(),
        "instructions": {"plainformer": runtime.current_level()},
        "cpu": runtime.cpu_summary(),
        "threads": runtime.get_num_threads(),
        "numpy": np.__version__,
        "device": DEVICE,
        "sources": sources(runtime.compiled_file()),
    }


def set_threads(threads: int) -> None:
    """The size of our pool."""
    runtime.set_num_threads(threads)


# ---- products ------------------------------------------------------------------------------------


@WAYS("gemm", "nn", "nt", "tn")
def gemm(case: Case, a: Any, b: Any) -> Call:
    transposed = {"transpose_a": case.variant == "tn", "transpose_b": case.variant == "nt"}
    return lambda: kernels.matmul(a, b, **transposed)


@WAYS("linear", "forward", "gelu")
def linear(case: Case, x: Any, weight: Any, bias: Any) -> Call:
    activation = "gelu" if case.variant == "gelu" else None
    return lambda: kernels.linear(x, weight, bias, activation=activation)


@WAYS("linear", "packed")
def linear_packed(x: Any, weight: Any, bias: Any) -> Call:
    packed = kernels.pack_weight(weight)
    return lambda: kernels.linear(x, packed, bias)


@WAYS("linear", "backward")
def linear_backward(x: Any, weight: Any, bias: Any, grad_output: Any) -> Call:
    return lambda: kernels.linear_backward(grad_output, x, weight, bias)


# ---- attention -----------------------------------------------------------------------------------


@WAYS("attention", "forward", "backward")
def attention(case: Case, query: Any, key: Any, value: Any, grad_output: Any) -> Call:
    grouped = attention_case.kv_heads(case) != case["H"]
    options = {"is_causal": case["causal"], "enable_gqa": grouped}
    attend = kernels.scaled_dot_product_attention
    if case.variant == "forward":
        return lambda: attend(query, key, value, **options)
    output, lse = attend(query, key, value, return_lse=True, **options)
    return lambda: kernels.scaled_dot_product_attention_backward(
        grad_output, query, key, value, output, lse, **options
    )


@WAYS("masked_attention", "padding", "bias")
def masked_attention(query: Any, key: Any, value: Any, mask: Any) -> Call:
    return lambda: kernels.scaled_dot_product_attention(query, key, value, mask)


@WAYS("varlen_attention", "forward", "backward")
def varlen_attention(
    case: Case, query: Any, key: Any, value: Any, grad_output: Any, starts: Any
) -> Call:
    sequences = starts, starts, case["longest"], case["longest"]
    causal, attend = case["causal"], kernels.flash_attn_varlen_func
    if case.variant == "forward":
        return lambda: attend(query, key, value, *sequences, causal=causal)
    output, lse = attend(query, key, value, *sequences, causal=causal, return_lse=True)
    return lambda: kernels.flash_attn_varlen_backward(
        grad_output, query, key, value, output, lse, *sequences, causal=causal
    )


@WAYS("decode_attention")
def decode_attention(query: Any, key: Any, value: Any, lengths: Any) -> Call:
    return lambda: kernels.flash_attn_with_kvcache(query, key, value, cache_seqlens=lengths)


# ---- rows ----------------------------------------------------------------------------------------


@WAYS("softmax")
def softmax(x: Any) -> Call:
    return lambda: kernels.softmax(x)


@WAYS("softmax", "backward")
def softmax_backward(x: Any, grad_output: Any) -> Call:
    y = kernels.softmax(x)
    return lambda: kernels.softmax_backward(grad_output, y)


@WAYS("norm", "layer_norm")
def layer_norm(x: Any, weight: Any, bias: Any) -> Call:
    return lambda: kernels.layer_norm(x, x.shape[-1], weight, bias, norm_case.EPS)


@WAYS("norm", "layer_norm_residual")
def layer_norm_residual(x: Any, weight: Any, bias: Any, residual: Any) -> Call:
    return lambda: kernels.layer_norm(
        x, x.shape[-1], weight, bias, norm_case.EPS, residual=residual
    )


@WAYS("norm", "layer_norm_residual_dropout", name="apart")
def layer_norm_residual_dropout_apart(x: Any, weight: Any, bias: Any, residual: Any) -> Call:
    return lambda: kernels.layer_norm(
        kernels.dropout(x, norm_case.P, seed=0, offset=0),
        x.shape[-1], weight, bias, norm_case.EPS, residual=residual,
    )  # fmt: skip


@WAYS("norm", "layer_norm_residual_dropout", name="fused")
def layer_norm_residual_dropout(x: Any, weight: Any, bias: Any, residual: Any) -> Call:
    options = {"residual": residual, "dropout_p": norm_case.P, "seed": 0, "offset": 0}
    return lambda: kernels.layer_norm(x, x.shape[-1], weight, bias, norm_case.EPS, **options)


@WAYS("norm", "layer_norm_backward")
def layer_norm_backward(x: Any, weight: Any, bias: Any, grad_output: Any) -> Call:
    _, mean, rstd = kernels.layer_norm(
        x, x.shape[-1], weight, bias, norm_case.EPS, return_stats=True
    )
    return lambda: kernels.layer_norm_backward(grad_output, x, weight, mean, rstd, bias)


@WAYS("norm", "rms_norm")
def rms_norm(x: Any, weight: Any) -> Call:
    return lambda: kernels.rms_norm(x, x.shape[-1], weight, norm_case.EPS)


@WAYS("norm", "rms_norm_backward")
def rms_norm_backward(x: Any, weight: Any, grad_output: Any) -> Call:
    _, rstd = kernels.rms_norm(x, x.shape[-1], weight, norm_case.EPS, return_stats=True)
    return lambda: kernels.rms_norm_backward(grad_output, x, weight, rstd)


# ---- elementwise ---------------------------------------------------------------------------------

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "gelu": ("gelu", {}),
    "gelu_tanh": ("gelu", {"approximate": "tanh"}),
    "silu": ("silu", {}),
    "relu": ("relu", {}),
}


@WAYS("activation", *_ACTIVATIONS)
def activation(case: Case, x: Any) -> Call:
    name, options = _ACTIVATIONS[case.variant]
    function = getattr(kernels, name)
    return lambda: function(x, **options)


@WAYS("activation", *(f"{name}_backward" for name in _ACTIVATIONS))
def activation_backward(case: Case, x: Any, grad_output: Any) -> Call:
    name, options = _ACTIVATIONS[case.variant.removesuffix("_backward")]
    function = getattr(kernels, f"{name}_backward")
    return lambda: function(grad_output, x, **options)


@WAYS("add")
def add(x: Any, residual: Any) -> Call:
    return lambda: kernels.add(x, residual)


@WAYS("dropout")
def dropout(x: Any) -> Call:
    return lambda: kernels.dropout(x, dropout_case.P, seed=0, offset=0)


@WAYS("dropout", "backward")
def dropout_backward(grad_output: Any) -> Call:
    return lambda: kernels.dropout_backward(grad_output, dropout_case.P, seed=0, offset=0)


# ---- loss and table ------------------------------------------------------------------------------


@WAYS("cross_entropy")
def cross_entropy(logits: Any, target: Any) -> Call:
    return lambda: kernels.cross_entropy(logits, target)


@WAYS("cross_entropy", "backward")
def cross_entropy_backward(logits: Any, target: Any) -> Call:
    grad_output = kernels.xp(logits).ones((), np.float32)
    _, lse = kernels.cross_entropy(logits, target, return_lse=True)
    return lambda: kernels.cross_entropy_backward(grad_output, logits, target, lse)


@WAYS("linear_cross_entropy", "loss")
def linear_cross_entropy(x: Any, weight: Any, target: Any) -> Call:
    return lambda: kernels.fused_linear_cross_entropy(x, weight, target)


@WAYS("linear_cross_entropy", "train")
def linear_cross_entropy_train(x: Any, weight: Any, target: Any) -> Call:
    def call() -> Any:
        loss, grads = kernels.fused_linear_cross_entropy(x, weight, target, return_grads=True)
        return loss, *grads[:2]

    return call


@WAYS("embedding")
def embedding(weight: Any, ids: Any) -> Call:
    return lambda: kernels.embedding(ids, weight)


@WAYS("embedding", "backward")
def embedding_backward(weight: Any, ids: Any, grad_output: Any) -> Call:
    return lambda: kernels.embedding_backward(grad_output, ids, len(weight))


@WAYS("rotary", "half_split", "interleaved")
def rotary(case: Case, x: Any, positions: Any, angles: Any) -> Call:
    cos, sin = _tables(angles, x)
    interleaved = case.variant == "interleaved"
    return lambda: kernels.rotary_embedding(x, positions, cos, sin, interleaved=interleaved)


def _tables(angles: Any, x: Any) -> list[Any]:
    """cos and sin, beside x."""
    angles = rotary_case.in_float32(kernels.asnumpy(angles))
    return [kernels.asarray(f(angles), x) for f in (np.cos, np.sin)]


# ---- optimizer -----------------------------------------------------------------------------------


def _state(params: Any) -> list[Any]:
    """Float32 zeros beside each parameter."""
    return [kernels.xp(p).zeros(p.shape, np.float32) for p in params]


@WAYS("optimizer", "adamw")
def adamw(params: Any, grads: Any) -> Call:
    params = [p.copy() for p in params]
    first, second, steps = _state(params), _state(params), iter(range(1, 2**62))

    def call() -> Any:
        kernels.adamw_step(params, grads, first, second, step=next(steps), **optimizer_case.ADAMW)
        return params

    return call


@WAYS("optimizer", "sgd")
def sgd(params: Any, grads: Any) -> Call:
    params = [p.copy() for p in params]
    momenta = _state(params)

    def call() -> Any:
        kernels.sgd_step(params, grads, momenta, **optimizer_case.SGD)
        return params

    return call


@WAYS("optimizer", "norm")
def gradient_norm(grads: Any) -> Call:
    def call() -> Any:
        norm, _ = kernels.clip_grad_norm(grads, optimizer_case.MAX_NORM)
        return np.asarray(norm)

    return call
