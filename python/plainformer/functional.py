"""Differentiable operations: each joins a forward and a backward kernel on the tape.

Arguments that may carry a gradient are Tensors; labels, ids and masks are arrays. Formulas, shapes
and errors stand with the function of the same name in `plainformer.kernels`. Nothing is saved, and
no statistics are computed, when no gradient is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import kernels
from .tensor import Array, Tensor, needs_grad, record, record_all


def add(a: Tensor, b: Tensor) -> Tensor:
    """y = a + b, of one shape and dtype."""
    y = kernels.add(a.data, b.data)
    if not needs_grad(a, b):
        return Tensor(y)
    return record(y, (a, b), lambda grad: (grad, grad))


def scale(x: Tensor, factor: float) -> Tensor:
    """y = factor * x, for a number that needs no gradient."""
    y = np.asarray(x.data * factor)  # NumPy makes a scalar of a 0-d product
    if not needs_grad(x):
        return Tensor(y)
    return record(y, (x,), lambda grad: (np.asarray(grad * factor),))


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape; a view where the strides allow it."""
    y = x.data.reshape(shape)
    if not needs_grad(x):
        return Tensor(y)
    before = x.shape
    return record(y, (x,), lambda grad: (grad.reshape(before),))


def last_positions(x: Tensor, count: int) -> Tensor:
    """A view of the last `count` positions of x (B, L, C)."""
    y = x.data[:, -count:]
    if not needs_grad(x):
        return Tensor(y)
    shape = x.shape

    def backward(grad: Array) -> Sequence[Any]:
        dx = np.zeros(shape, grad.dtype)
        dx[:, -count:] = grad
        return (dx,)

    return record(y, (x,), backward)


def embedding(input_ids: Array, weight: Tensor) -> Tensor:
    """y[...] = weight[input_ids[...]]."""
    y = kernels.embedding(input_ids, weight.data)
    if not needs_grad(weight):
        return Tensor(y)

    def backward(grad: Array) -> Sequence[Any]:
        total = weight.sum_in_place  # a tied head's gradient: add our few rows to it
        if total is not None:
            kernels.embedding_backward(grad, input_ids, len(total), out=total, accumulate=True)
            return (None,)
        return (kernels.embedding_backward(grad, input_ids, weight.shape[0]),)

    return record(y, (weight,), backward, is_fresh=True)


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: str | None = None
) -> Tensor:
    """y = activation(x weight^T + bias); weight is (out, in)."""
    return _linear(x, weight, bias, activation, is_in_out=False)


def conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: str | None = None
) -> Tensor:
    """y = activation(x weight + bias); weight is (in, out), as GPT-2 stores it, read in place."""
    return _linear(x, weight, bias, activation, is_in_out=True)


def _linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, *, is_in_out: bool
) -> Tensor:
    x_data, w, b = x.data, weight.data.T if is_in_out else weight.data, _data(bias)
    if not needs_grad(x, weight, bias):
        return Tensor(kernels.linear(x_data, w, b, activation=activation))
    needs = (x.requires_grad, weight.requires_grad, bias is not None and bias.requires_grad)
    if activation is None:
        y, z = kernels.linear(x_data, w, b), None
    else:  # the backward starts from the input of the activation
        y, z = kernels.linear(x_data, w, b, activation=activation, return_preactivation=True)

    def backward(grad: Array) -> Sequence[Any]:
        dx, dw, db = kernels.linear_backward(
            grad, x_data, w, b, z, activation=activation, needs=needs
        )
        return dx, dw.T if is_in_out and dw is not None else dw, db

    return record(y, (x, weight, bias), backward, is_fresh=True)


def layer_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *,
    residual: Tensor | None = None,
) -> Any:
    """Layer norm over the last axis: y, or with `residual` the norm of x + residual and that sum.

    One pass makes both outputs, so that a block's residual add costs no memory traffic of its own;
    backward, the gradient of the sum joins that of the norm in one pass as well.
    """
    w, b = _data(weight), _data(bias)
    width, added = x.shape[-1], _data(residual)
    if not needs_grad(x, weight, bias, residual):
        y = kernels.layer_norm(x.data, width, w, b, eps, residual=added)
        return Tensor(y) if residual is None else (Tensor(y[0]), Tensor(y[1]))
    *outputs, mean, rstd = kernels.layer_norm(
        x.data, width, w, b, eps, residual=added, return_stats=True
    )
    normed = outputs[-1] if residual is not None else x.data

    def backward(grad: Array | None, grad_sum: Array | None = None) -> Sequence[Any]:
        if grad is None:  # only the sum was used
            return grad_sum, None, None, grad_sum
        dx, dweight, dbias = kernels.layer_norm_backward(
            grad, normed, w, mean, rstd, bias=b, grad_residual=grad_sum
        )
        return dx, dweight, dbias, dx

    tensors = record_all(outputs, (x, weight, bias, residual), backward)
    return tensors[0] if residual is None else tuple(tensors)


def dropout(x: Tensor, p: float, seed: int, offset: int) -> Tensor:
    """Zero each element with probability p and scale the others; see `nn.random` for the seed."""
    y = kernels.dropout(x.data, p, seed, offset)
    if not needs_grad(x):
        return Tensor(y)
    return record(y, (x,), lambda grad: (kernels.dropout_backward(grad, p, seed, offset),))


def self_attention(
    qkv: Tensor,
    num_heads: int,
    attn_mask: Array | None = None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    seed: int | None = None,
    offset: int = 0,
) -> Tensor:
    """Scaled dot product attention of a sequence with itself, from packed projections.

    Parameters
    ----------
    qkv : Tensor (B, L, 3 C): queries, keys and values side by side, read in place by strides
    num_heads : int, H; the width of a head is D = C / H
    attn_mask and the options : as in `kernels.scaled_dot_product_attention`

    Returns
    -------
    y : Tensor (B, L, C); its backward writes the three gradients into one (B, L, 3 C) array
    """
    B, L, width = qkv.shape
    C = width // 3
    options: dict[str, Any] = {"dropout_p": dropout_p, "is_causal": is_causal, "scale": scale,
                               "layout": "blhd"}  # fmt: skip
    if dropout_p:
        options |= {"seed": seed, "offset": offset}
    q, k, v = split_heads(qkv.data, num_heads)
    if not needs_grad(qkv):
        y = kernels.scaled_dot_product_attention(q, k, v, attn_mask, **options)
        return Tensor(y.reshape(B, L, C))
    y, lse = kernels.scaled_dot_product_attention(q, k, v, attn_mask, **options, return_lse=True)

    def backward(grad: Array) -> Sequence[Any]:
        dqkv = np.empty((B, L, width), y.dtype)
        kernels.scaled_dot_product_attention_backward(
            grad.reshape(y.shape), q, k, v, y, lse, attn_mask,
            **options, out=split_heads(dqkv, num_heads),
        )  # fmt: skip
        return (dqkv,)

    return record(y.reshape(B, L, C), (qkv,), backward)


def split_heads(qkv: Array, num_heads: int) -> tuple[Array, Array, Array]:
    """Views (B, L, H, D) of the queries, keys and values in (B, L, 3 C)."""
    B, L, width = qkv.shape
    packed = qkv.reshape(B, L, 3, num_heads, width // (3 * num_heads))
    return packed[:, :, 0], packed[:, :, 1], packed[:, :, 2]


def cross_entropy(
    input: Tensor, target: Array, weight: Array | None = None, **options: Any
) -> Tensor:
    """Cross entropy of logits (N, V) with target (N,); see the kernel for the options."""
    x_data = input.data
    if not needs_grad(input):
        return Tensor(kernels.cross_entropy(x_data, target, weight, **options))
    loss, lse = kernels.cross_entropy(x_data, target, weight, **options, return_lse=True)

    def backward(grad: Array) -> Sequence[Any]:
        return (kernels.cross_entropy_backward(grad, x_data, target, lse, weight, **options),)

    return record(loss, (input,), backward)


def fused_linear_cross_entropy(
    x: Tensor, weight: Tensor, target: Array, bias: Tensor | None = None, **options: Any
) -> Tensor:
    """Cross entropy of the logits x weight^T + bias, which never exist as a whole.

    The gradients are computed in the forward, while a chunk of logits is at hand; backward only
    scales them. x is (..., C), weight (V, C), target (...); see the kernel for the options.
    """
    arrays = (x.data, weight.data, target, _data(bias))
    if not needs_grad(x, weight, bias):
        return Tensor(kernels.fused_linear_cross_entropy(*arrays, **options))
    loss, grads = kernels.fused_linear_cross_entropy(*arrays, **options, return_grads=True)

    def backward(grad: Array) -> Sequence[Any]:
        factor = float(grad)
        if factor != 1.0:
            for array in grads:
                if array is not None:
                    array *= factor  # ours alone, and used once: scaled in place
        return grads

    return record(loss, (x, weight, bias), backward, is_fresh=True)


def _data(x: Tensor | None) -> Array | None:
    return None if x is None else x.data
