"""PyTorch, eager, by its own fused functions.

Backwards are `torch.autograd.grad` through a graph made once, as a training step runs them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from ..case import Case
from ..cases import attention as attention_case
from ..cases import dropout as dropout_case
from ..cases import norm as norm_case
from ..cases import optimizer as optimizer_case
from ..cases import varlen_attention as varlen_case
from . import DEVICE, Call, Ways, instructions

WAYS = Ways("float32", "bfloat16")


def describe() -> dict[str, Any]:
    """Version and vector level."""
    facts: dict[str, Any] = {
        "torch": torch.__version__,
        "level": torch.backends.cpu.get_cpu_capability(),
    }
    if DEVICE == "cpu":
        facts["instructions"] = instructions.of_torch()
    if DEVICE != "cpu":
        if not torch.cuda.is_available():
            raise ImportError("this torch sees no GPU")
        facts |= {"device": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
    return facts


def set_threads(threads: int) -> None:
    """The threads of one operation; there are no parallel operations here."""
    torch.set_num_threads(threads)


def load(array: Any) -> Any:
    """A tensor on the array's own memory, or a copy on the device."""
    if array.dtype == ml_dtypes.bfloat16:
        tensor = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy(array)
    return tensor if DEVICE == "cpu" else tensor.to(DEVICE)


def to_numpy(tensor: Any) -> Any:
    """bfloat16 comes back as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


if DEVICE != "cpu":
    finish = torch.cuda.synchronize


def _without_grad(function: Any, *args: Any, **options: Any) -> Call:
    """The call with autograd off, as in inference."""

    def call() -> Any:
        with torch.inference_mode():
            return function(*args, **options)

    return call


def _leaves(*tensors: Any) -> list[Any]:
    return [t.detach().requires_grad_() for t in tensors]


def _either(case: Case, function: Any, tensors: Any, grad_output: Any) -> Call:
    """`function` of the tensors, or for a variant backward their gradients."""
    if not case.variant.endswith("backward"):
        return _without_grad(function, *tensors)
    leaves = _leaves(*tensors)
    output = function(*leaves)
    return lambda: torch.autograd.grad(output, leaves, grad_output, retain_graph=True)


# ---- products ------------------------------------------------------------------------------------


@WAYS("gemm", "nn", "nt", "tn")
def gemm(case: Case, a: Any, b: Any) -> Call:
    a = a.T if case.variant == "tn" else a
    b = b.T if case.variant == "nt" else b
    return _without_grad(torch.matmul, a, b)


@WAYS("gemm", "nn", "nt", "tn", name="out")
def gemm_out(case: Case, a: Any, b: Any) -> Call:
    a = a.T if case.variant == "tn" else a
    b = b.T if case.variant == "nt" else b
    return _without_grad(torch.matmul, a, b, out=a.new_empty(a.shape[0], b.shape[1]))


@WAYS("linear", "forward", "packed", "backward")
def linear(case: Case, x: Any, weight: Any, bias: Any, grad_output: Any) -> Call:
    return _either(case, F.linear, (x, weight, bias), grad_output)


@WAYS("linear", "gelu")
def linear_gelu(x: Any, weight: Any, bias: Any) -> Call:
    return _without_grad(lambda: F.gelu(F.linear(x, weight, bias)))


# ---- attention -----------------------------------------------------------------------------------


def _attend(case: Case, query: Any, key: Any, value: Any) -> Any:
    grouped = attention_case.kv_heads(case) != case["H"]
    return F.scaled_dot_product_attention(
        query, key, value, is_causal=case["causal"], enable_gqa=grouped
    )


@WAYS("attention", "forward", "backward")
def attention(case: Case, query: Any, key: Any, value: Any, grad_output: Any) -> Call:
    return _either(case, partial(_attend, case), (query, key, value), grad_output)


@WAYS("masked_attention", "padding", "bias")
def masked_attention(query: Any, key: Any, value: Any, mask: Any) -> Call:
    return _without_grad(F.scaled_dot_product_attention, query, key, value, mask)


def _padded(case: Case, *packed: Any) -> list[Any]:
    """Rows of sequences (total, H, D) as (B, H, longest, D) with zeros behind each, and a mask of
    the keys that are there."""
    lengths = varlen_case.lengths(case).tolist()
    arrays = (
        torch.nn.utils.rnn.pad_sequence(x.split(lengths), batch_first=True).transpose(1, 2)
        for x in packed
    )
    keys = torch.arange(case["longest"]) < torch.tensor(lengths)[:, None]
    return [*(x.contiguous() for x in arrays), keys[:, None, None]]


@WAYS("varlen_attention", "forward", "backward")
def varlen_attention(case: Case, query: Any, key: Any, value: Any, grad_output: Any) -> Call:
    *arrays, grad, keys = _padded(case, query, key, value, grad_output)
    causal = case["causal"]  # then no row that counts sees padding
    mask = None if causal or bool(keys.all()) else keys
    attend = partial(F.scaled_dot_product_attention, attn_mask=mask, is_causal=causal)
    return _either(case, attend, arrays, grad)


@WAYS("varlen_attention", name="one by one")
def varlen_attention_one_by_one(case: Case, query: Any, key: Any, value: Any) -> Call:
    lengths = varlen_case.lengths(case).tolist()
    heads = [x.transpose(0, 1).split(lengths, dim=1) for x in (query, key, value)]
    causal = case["causal"]

    def call() -> Any:
        parts = [F.scaled_dot_product_attention(*x, is_causal=causal) for x in zip(*heads)]
        return torch.cat(parts, dim=1).transpose(0, 1)

    return _without_grad(call)


def _attend_cache(case: Case, query: Any, key: Any, value: Any) -> Any:
    y = F.scaled_dot_product_attention(query, key, value, enable_gqa=bool(case["groups"]))
    return y.transpose(1, 2)


@WAYS("decode_attention")
def decode_attention(case: Case, query: Any, key: Any, value: Any) -> Call:
    heads = (x.transpose(1, 2) for x in (query, key, value))
    return _without_grad(_attend_cache, case, *heads)


@WAYS("decode_attention", name="heads outside")
def decode_attention_of_heads(case: Case, query: Any, key: Any, value: Any) -> Call:
    heads = (x.transpose(1, 2).contiguous() for x in (query, key, value))
    return _without_grad(_attend_cache, case, *heads)


# ---- rows ----------------------------------------------------------------------------------------


@WAYS("softmax", "forward", "backward")
def softmax(case: Case, x: Any, grad_output: Any) -> Call:
    return _either(case, partial(F.softmax, dim=-1), (x,), grad_output)


@WAYS("softmax", name="out")
def softmax_out(x: Any) -> Call:
    return _without_grad(torch.softmax, x, -1, out=torch.empty_like(x))


def _layer_norm(x: Any, weight: Any, bias: Any) -> Any:
    return F.layer_norm(x, x.shape[-1:], weight, bias, norm_case.EPS)


def _rms_norm(x: Any, weight: Any) -> Any:
    return F.rms_norm(x, x.shape[-1:], weight, norm_case.EPS)


@WAYS("norm", "layer_norm", "layer_norm_backward")
def layer_norm(case: Case, x: Any, weight: Any, bias: Any, grad_output: Any) -> Call:
    return _either(case, _layer_norm, (x, weight, bias), grad_output)


@WAYS("norm", "rms_norm", "rms_norm_backward")
def rms_norm(case: Case, x: Any, weight: Any, grad_output: Any) -> Call:
    return _either(case, _rms_norm, (x, weight), grad_output)


@WAYS("norm", "layer_norm_residual")
def norm_residual(x: Any, weight: Any, bias: Any, residual: Any) -> Call:
    def both() -> Any:
        total = x + residual
        return _layer_norm(total, weight, bias), total

    return _without_grad(both)


@WAYS("norm", "layer_norm_residual_dropout")
def norm_residual_dropout(x: Any, weight: Any, bias: Any, residual: Any) -> Call:
    def both() -> Any:
        total = F.dropout(x, norm_case.P, training=True) + residual
        return _layer_norm(total, weight, bias), total

    return _without_grad(both)


# ---- elementwise ---------------------------------------------------------------------------------

_ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "relu": F.relu,
}


@WAYS("activation", *_ACTIVATIONS, *(f"{name}_backward" for name in _ACTIVATIONS))
def activation(case: Case, x: Any, grad_output: Any) -> Call:
    function = _ACTIVATIONS[case.variant.removesuffix("_backward")]
    return _either(case, function, (x,), grad_output)


@WAYS("add")
def add(x: Any, residual: Any) -> Call:
    return _without_grad(torch.add, x, residual)


@WAYS("dropout", "forward", "backward")
def dropout(case: Case, x: Any, grad_output: Any) -> Call:
    return _either(case, partial(F.dropout, p=dropout_case.P, training=True), (x,), grad_output)


# ---- loss and table ------------------------------------------------------------------------------


@WAYS("cross_entropy", "forward", "backward")
def cross_entropy(case: Case, logits: Any, target: Any) -> Call:
    return _either(case, partial(F.cross_entropy, target=target), (logits,), None)


@WAYS("linear_cross_entropy", "loss")
def linear_cross_entropy(x: Any, weight: Any, target: Any) -> Call:
    return _without_grad(lambda: F.cross_entropy(F.linear(x, weight), target))


@WAYS("linear_cross_entropy", "train")
def linear_cross_entropy_train(x: Any, weight: Any, target: Any) -> Call:
    leaves = _leaves(x, weight)

    def call() -> Any:
        loss = F.cross_entropy(F.linear(*leaves), target)
        return loss, *torch.autograd.grad(loss, leaves)

    return call


@WAYS("embedding", "forward", "backward")
def embedding(case: Case, weight: Any, ids: Any, grad_output: Any) -> Call:
    return _either(case, partial(F.embedding, ids), (weight,), grad_output)


@WAYS("rotary", "half_split")
def rotary(x: Any, positions: Any, angles: Any) -> Call:
    """As transformers does: tables of the rows once a model, two products and a rotation."""
    angles = torch.cat([angles.float()] * 2, -1)[positions][:, None]
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)

    def turned() -> Any:
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin

    return _without_grad(turned)


@WAYS("rotary", "interleaved")
def rotary_interleaved(x: Any, positions: Any, angles: Any) -> Call:
    """As Llama's first code does: pairs are complex numbers."""
    angles = angles.float()[positions][:, None]
    factors = torch.polar(torch.ones_like(angles), angles)

    def turned() -> Any:
        pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * factors).flatten(-2).to(x.dtype)

    return _without_grad(turned)


# ---- optimizer -----------------------------------------------------------------------------------


def _step(optimizer: Any, params: Any) -> Call:
    def call() -> Any:
        optimizer.step()
        return params

    return call


def _parameters(params: Any, grads: Any) -> Any:
    """Copies that an optimizer may write, with their gradients."""
    copies = [torch.nn.Parameter(p.clone()) for p in params]
    for p, g in zip(copies, grads):
        p.grad = g
    return copies


@WAYS("optimizer", "adamw", name="fused")
def adamw(params: Any, grads: Any) -> Call:
    copies = _parameters(params, grads)
    return _step(torch.optim.AdamW(copies, **optimizer_case.ADAMW, fused=True), copies)


@WAYS("optimizer", "sgd", name="fused")
def sgd(params: Any, grads: Any) -> Call:
    copies = _parameters(params, grads)
    return _step(torch.optim.SGD(copies, **optimizer_case.SGD, fused=True), copies)


@WAYS("optimizer", "norm")
def gradient_norm(grads: Any) -> Call:
    return _without_grad(torch.nn.utils.get_total_norm, grads)
