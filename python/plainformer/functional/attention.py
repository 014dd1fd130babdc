"""Attention over sequences of rows, forward and backward, and rotary positions.

Queries, keys and values are rows (N, heads x width) of all sequences of a batch, one after another;
`cu_seqlens` says where each starts, as in flash-attention's varlen functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from ..tensor import Array, Tensor, needs_grad, record
from ._data import data_of


class Borders(NamedTuple):
    """Where sequences of queries and of keys start, int32 (S + 1), and their longest lengths."""

    cu_seqlens_q: Array
    cu_seqlens_k: Array
    max_seqlen_q: int
    max_seqlen_k: int


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    borders: Borders,
    num_heads: int,
    num_kv_heads: int | None = None,
    *,
    bias: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """Scaled dot product attention of each sequence of queries over its sequence of keys.

    Parameters
    ----------
    q : Tensor (Nq, H D)
    k, v : Tensor (Nk, KV D) and (Nk, KV Dv); KV is num_kv_heads or H
    borders : where sequences start
    bias : Tensor that broadcasts to (S, H, max_seqlen_q, max_seqlen_k), added to the scores
    options : dropout_p, seed, offset, softmax_scale, causal, window_size, softcap, alibi_slopes of
        `kernels.flash_attn_varlen_func`

    Returns
    -------
    y : Tensor (Nq, H Dv)
    """
    kv_heads = num_kv_heads or num_heads
    heads = _heads(q.data, num_heads), _heads(k.data, kv_heads), _heads(v.data, kv_heads)
    shape = (len(q), num_heads * heads[2].shape[-1])
    options["attn_bias"] = data_of(bias)
    if not needs_grad(q, k, v, bias):
        return Tensor(kernels.flash_attn_varlen_func(*heads, *borders, **options).reshape(shape))
    y, lse = kernels.flash_attn_varlen_func(*heads, *borders, **options, return_lse=True)
    bias_grad = bias is not None and bias.requires_grad

    def backward(grad: Array) -> Sequence[Any]:
        grads = kernels.flash_attn_varlen_backward(
            grad.reshape(y.shape), *heads, y, lse, *borders, bias_grad=bias_grad, **options
        )
        joined = [g.reshape(x.shape) for g, x in zip(grads, (q, k, v))]
        return (*joined, grads[3] if bias_grad else None)

    return record(y.reshape(shape), (q, k, v, bias), backward, is_fresh=True)


def self_attention(
    qkv: Tensor, cu_seqlens: Array, max_seqlen: int, num_heads: int, **options: Any
) -> Tensor:
    """Attention of each sequence with itself, from packed projections.

    Parameters
    ----------
    qkv : Tensor (N, 3 C): queries, keys and values side by side, read in place by strides
    num_heads : int, H; the width of a head is C / H
    options : as for `attention`

    Returns
    -------
    y : Tensor (N, C); its backward writes the three gradients into one (N, 3 C) array
    """
    borders = Borders(cu_seqlens, cu_seqlens, max_seqlen, max_seqlen)
    heads = split_heads(qkv.data, num_heads)
    shape = (len(qkv), qkv.shape[1] // 3)
    if not needs_grad(qkv):
        return Tensor(kernels.flash_attn_varlen_func(*heads, *borders, **options).reshape(shape))
    y, lse = kernels.flash_attn_varlen_func(*heads, *borders, **options, return_lse=True)

    def backward(grad: Array) -> Sequence[Any]:
        dqkv = np.empty(qkv.shape, y.dtype)
        kernels.flash_attn_varlen_backward(
            grad.reshape(y.shape), *heads, y, lse, *borders, **options,
            out=split_heads(dqkv, num_heads),
        )  # fmt: skip
        return (dqkv,)

    return record(y.reshape(shape), (qkv,), backward, is_fresh=True)


def split_heads(qkv: Array, num_heads: int) -> tuple[Array, Array, Array]:
    """Views (N, H, D) of the queries, keys and values in (N, 3 C)."""
    N, width = qkv.shape
    packed = qkv.reshape(N, 3, num_heads, width // (3 * num_heads))
    return packed[:, 0], packed[:, 1], packed[:, 2]


def rotary_embedding(
    x: Tensor,
    positions: Array,
    cos: Array,
    sin: Array,
    num_heads: int,
    *,
    interleaved: bool = False,
) -> Tensor:
    """Turn each head of x (N, H D) by its row's position; see the kernel for the tables."""
    y = kernels.rotary_embedding(
        _heads(x.data, num_heads), positions, cos, sin, interleaved=interleaved
    ).reshape(x.shape)
    if not needs_grad(x):
        return Tensor(y)

    def backward(grad: Array) -> Sequence[Any]:
        dx = kernels.rotary_embedding_backward(
            _heads(grad, num_heads), positions, cos, sin, interleaved=interleaved
        )
        return (dx.reshape(grad.shape),)

    return record(y, (x,), backward, is_fresh=True)


def _heads(x: Array, num_heads: int) -> Array:
    """(N, H D) as (N, H, D)."""
    return x.reshape(len(x), num_heads, x.shape[1] // num_heads)
