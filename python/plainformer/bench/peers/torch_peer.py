"""PyTorch, eager, by its own fused functions. The only module of the package that imports torch.

Backwards are `torch.autograd.grad` through a graph made once, as a training step runs them.
"""

from __future__ import annotations

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
from . import Call, Ways

WAYS = Ways("float32", "bfloat16")


def describe() -> dict[str, Any]:
    """Version and vector level."""
    return {"torch": torch.__version__, "level": torch.backends.cpu.get_cpu_capability()}


def set_threads(threads: int) -> None:
    """The threads of one operation; there are no parallel operations here."""
    torch.set_num_threads(threads)


def load(array: Any) -> Any:
    """A tensor on the array's own memory."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_numpy(tensor: Any) -> Any:
    """bfloat16 comes back as float32."""
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _without_grad(function: Any, *args: Any, **options: Any) -> Call:
    """The call with autograd off, as in inference."""

    def call() -> Any:
        with torch.inference_mode():
            return function(*args, **options)

    return call


def _gradients(output: Any, inputs: Any, grad_output: Any) -> Call:
    """The backward from `output` to `inputs`."""
    return lambda: torch.autograd.grad(output, inputs, grad_output, retain_graph=True)


def _leaves(*tensors: Any) -> list[Any]:
    return [t.detach().requires_grad_() for t in tensors]


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


@WAYS("linear", "forward", "packed")
def linear(case: Case, x: Any, weight: Any, bias: Any, grad_output: Any) -> Call:
    return _without_grad(F.linear, x, weight, bias)


@WAYS("linear", "gelu")
def linear_gelu(case: Case, x: Any, weight: Any, bias: Any, grad_output: Any) -> Call:
    return _without_grad(lambda: F.gelu(F.linear(x, weight, bias)))


@WAYS("linear", "backward")
def linear_backward(case: Case, x: Any, weight: Any, bias: Any, grad_output: Any) -> Call:
    leaves = _leaves(x, weight, bias)
    return _gradients(F.linear(*leaves), leaves, grad_output)


# ---- attention -----------------------------------------------------------------------------------


def _attend(case: Case, query: Any, key: Any, value: Any) -> Any:
    grouped = attention_case.kv_heads(case) != case["H"]
    return F.scaled_dot_product_attention(
        query, key, value, is_causal=case["causal"], enable_gqa=grouped
    )


@WAYS("attention")
def attention(case: Case, query: Any, key: Any, value: Any, grad_output: Any) -> Call:
    return _without_grad(_attend, case, query, key, value)


@WAYS("attention", "backward")
def attention_backward(case: Case, query: Any, key: Any, value: Any, grad_output: Any) -> Call:
    leaves = _leaves(query, key, value)
    return _gradients(_attend(case, *leaves), leaves, grad_output)


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


def _attend_padded(case: Case, arrays: Any, keys: Any) -> Any:
    if case["causal"]:  # then no row that counts sees padding
        return F.scaled_dot_product_attention(*arrays, is_causal=True)
    mask = None if bool(keys.all()) else keys
    return F.scaled_dot_product_attention(*arrays, mask)


@WAYS("varlen_attention")
def varlen_attention(
    case: Case, query: Any, key: Any, value: Any, grad_output: Any, starts: Any
) -> Call:
    *arrays, keys = _padded(case, query, key, value)
    return _without_grad(_attend_padded, case, arrays, keys)


@WAYS("varlen_attention", name="one by one")
def varlen_attention_one_by_one(
    case: Case, query: Any, key: Any, value: Any, grad_output: Any, starts: Any
) -> Call:
    lengths = varlen_case.lengths(case).tolist()
    heads = [x.transpose(0, 1).split(lengths, dim=1) for x in (query, key, value)]
    causal = case["causal"]

    def call() -> Any:
        parts = [F.scaled_dot_product_attention(*x, is_causal=causal) for x in zip(*heads)]
        return torch.cat(parts, dim=1).transpose(0, 1)

    return _without_grad(call)


@WAYS("varlen_attention", "backward")
def varlen_attention_backward(
    case: Case, query: Any, key: Any, value: Any, grad_output: Any, starts: Any
) -> Call:
    *arrays, grad, keys = _padded(case, query, key, value, grad_output)
    leaves = _leaves(*arrays)
    return _gradients(_attend_padded(case, leaves, keys), leaves, grad)


def _attend_cache(case: Case, query: Any, key: Any, value: Any) -> Any:
    y = F.scaled_dot_product_attention(query, key, value, enable_gqa=bool(case["groups"]))
    return y.transpose(1, 2)


@WAYS("decode_attention")
def decode_attention(case: Case, query: Any, key: Any, value: Any, lengths: Any) -> Call:
    heads = (x.transpose(1, 2) for x in (query, key, value))
    return _without_grad(_attend_cache, case, *heads)


@WAYS("decode_attention", name="heads outside")
def decode_attention_of_heads(case: Case, query: Any, key: Any, value: Any, lengths: Any) -> Call:
    heads = (x.transpose(1, 2).contiguous() for x in (query, key, value))
    return _without_grad(_attend_cache, case, *heads)


# ---- rows ----------------------------------------------------------------------------------------


@WAYS("softmax")
def softmax(case: Case, x: Any, grad_output: Any) -> Call:
    return _without_grad(F.softmax, x, -1)


@WAYS("softmax", name="out")
def softmax_out(case: Case, x: Any, grad_output: Any) -> Call:
    return _without_grad(torch.softmax, x, -1, out=torch.empty_like(x))


@WAYS("softmax", "backward")
def softmax_backward(case: Case, x: Any, grad_output: Any) -> Call:
    leaves = _leaves(x)
    return _gradients(F.softmax(leaves[0], -1), leaves, grad_output)


def _normalize(case: Case, x: Any, weight: Any, bias: Any) -> Any:
    if case.variant.startswith("layer_norm"):
        return F.layer_norm(x, x.shape[-1:], weight, bias, norm_case.EPS)
    return F.rms_norm(x, x.shape[-1:], weight, norm_case.EPS)


@WAYS("norm", "layer_norm", "rms_norm")
def norm(case: Case, x: Any, weight: Any, bias: Any, **unused: Any) -> Call:
    return _without_grad(_normalize, case, x, weight, bias)


@WAYS("norm", "layer_norm_residual")
def norm_residual(case: Case, x: Any, weight: Any, bias: Any, residual: Any, **unused: Any) -> Call:
    def both() -> Any:
        total = x + residual
        return _normalize(case, total, weight, bias), total

    return _without_grad(both)


@WAYS("norm", "layer_norm_backward", "rms_norm_backward")
def norm_backward(
    case: Case, x: Any, weight: Any, bias: Any, grad_output: Any, **unused: Any
) -> Call:
    leaves = _leaves(x, weight, bias)
    output = _normalize(case, *leaves)
    return _gradients(
        output, leaves if case.variant.startswith("layer_norm") else leaves[:2], grad_output
    )


# ---- elementwise ---------------------------------------------------------------------------------

_ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "relu": F.relu,
}


@WAYS("activation", *_ACTIVATIONS)
def activation(case: Case, x: Any, grad_output: Any) -> Call:
    return _without_grad(_ACTIVATIONS[case.variant], x)


@WAYS("activation", *(f"{name}_backward" for name in _ACTIVATIONS))
def activation_backward(case: Case, x: Any, grad_output: Any) -> Call:
    leaves = _leaves(x)
    output = _ACTIVATIONS[case.variant.removesuffix("_backward")](leaves[0])
    return _gradients(output, leaves, grad_output)


@WAYS("dropout")
def dropout(case: Case, x: Any, grad_output: Any) -> Call:
    return _without_grad(F.dropout, x, dropout_case.P, training=True)


@WAYS("dropout", "backward")
def dropout_backward(case: Case, x: Any, grad_output: Any) -> Call:
    leaves = _leaves(x)
    return _gradients(F.dropout(leaves[0], dropout_case.P, training=True), leaves, grad_output)


# ---- loss and table ------------------------------------------------------------------------------


@WAYS("cross_entropy")
def cross_entropy(case: Case, logits: Any, target: Any) -> Call:
    return _without_grad(F.cross_entropy, logits, target)


@WAYS("cross_entropy", "backward")
def cross_entropy_backward(case: Case, logits: Any, target: Any) -> Call:
    leaves = _leaves(logits)
    return _gradients(F.cross_entropy(leaves[0], target), leaves, None)


@WAYS("linear_cross_entropy", "loss")
def linear_cross_entropy(case: Case, x: Any, weight: Any, target: Any) -> Call:
    return _without_grad(lambda: F.cross_entropy(F.linear(x, weight), target))


@WAYS("linear_cross_entropy", "train")
def linear_cross_entropy_train(case: Case, x: Any, weight: Any, target: Any) -> Call:
    leaves = _leaves(x, weight)

    def call() -> Any:
        loss = F.cross_entropy(F.linear(*leaves), target)
        return loss, *torch.autograd.grad(loss, leaves)

    return call


@WAYS("embedding")
def embedding(case: Case, weight: Any, ids: Any, grad_output: Any) -> Call:
    return _without_grad(F.embedding, ids, weight)


@WAYS("embedding", "backward")
def embedding_backward(case: Case, weight: Any, ids: Any, grad_output: Any) -> Call:
    leaves = _leaves(weight)
    return _gradients(F.embedding(ids, leaves[0]), leaves, grad_output)


@WAYS("rotary", "half_split")
def rotary(case: Case, x: Any, positions: Any, angles: Any) -> Call:
    """As transformers does: tables of the rows once a model, two products and a rotation."""
    angles = torch.cat([angles.float()] * 2, -1)[positions][:, None]
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)

    def turned() -> Any:
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin

    return _without_grad(turned)


@WAYS("rotary", "interleaved")
def rotary_interleaved(case: Case, x: Any, positions: Any, angles: Any) -> Call:
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
def adamw(case: Case, params: Any, grads: Any) -> Call:
    copies = _parameters(params, grads)
    optimizer = torch.optim.AdamW(
        copies,
        lr=optimizer_case.LR,
        betas=optimizer_case.BETAS,
        eps=optimizer_case.EPS,
        weight_decay=optimizer_case.WEIGHT_DECAY,
        fused=True,
    )
    return _step(optimizer, copies)


@WAYS("optimizer", "sgd", name="fused")
def sgd(case: Case, params: Any, grads: Any) -> Call:
    copies = _parameters(params, grads)
    optimizer = torch.optim.SGD(
        copies, lr=optimizer_case.LR, momentum=optimizer_case.MOMENTUM, fused=True
    )
    return _step(optimizer, copies)


@WAYS("optimizer", "norm")
def gradient_norm(case: Case, params: Any, grads: Any) -> Call:
    return _without_grad(torch.nn.utils.get_total_norm, grads)
