"""Attention over sequences of rows, forward and backward, and rotary positions.

Queries, keys and values are rows (N, heads x width) of all sequences of a batch, one after another;
`cu_seqlens` says where each starts, as in flash-attention's varlen functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from ..errors import DTypeError, ShapeError, shown
from ..kernels._arrays import accumulator_dtype, check_array, check_size
from ..tensor import Array, Tensor, needs_grad, record
from ._data import beside, data_of, data_or_none, ids_beside
from .random import take

_MOST_HEADS = 1 << 20


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
    borders = _beside(borders, data_of("q", q))
    heads = (
        _heads("q", data_of("q", q), num_heads),
        _heads("k", data_of("k", k), kv_heads),
        _heads("v", data_of("v", v), kv_heads),
    )
    shape = (len(q), num_heads * heads[2].shape[-1])
    options["attn_bias"] = data_or_none("bias", bias)
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


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Array | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention of heads (B, H, L, D) under torch's name; see the kernel for the options.

    attn_mask : array of bools, True takes part, or of numbers, which get no gradient
    dropout_p : as in torch also outside of training; its mask is the next of `dropout_state`
    """
    heads = data_of("query", query), data_of("key", key), data_of("value", value)
    mask = None if attn_mask is None else beside("attn_mask", attn_mask, heads[0])
    options: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa}
    if dropout_p:
        seed, offset = take()
        options |= {"dropout_p": dropout_p, "seed": seed, "offset": offset}
    forward = kernels.scaled_dot_product_attention
    if not needs_grad(query, key, value):
        return Tensor(forward(*heads, mask, **options))
    y, lse = forward(*heads, mask, **options, return_lse=True)

    def backward(grad: Array) -> Sequence[Any]:
        return kernels.scaled_dot_product_attention_backward(grad, *heads, y, lse, mask, **options)

    return record(y, (query, key, value), backward, is_fresh=True)


def attention_weights(
    q: Array,
    k: Array,
    borders: Borders,
    num_heads: int,
    num_kv_heads: int | None = None,
    *,
    attn_bias: Array | None = None,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
) -> list[Array]:
    """What `attention` weighs values with, for people to look at; nothing is recorded.

    q (Nq, H D) and k (Nk, KV D) are arrays, options as for `attention`. Returns an array
    (H, Lq, Lk) for each sequence.
    """
    q, k = _heads("q", q, num_heads), _heads("k", k, num_kv_heads or num_heads)
    borders = _beside(borders, q)
    kernels.flash_attn_varlen_func(  # says what is wrong with an argument
        q, k, k, *borders, softmax_scale=softmax_scale, causal=causal, window_size=window_size,
        softcap=softcap, attn_bias=attn_bias,
    )  # fmt: skip
    xp = kernels.xp(q)
    group = q.shape[1] // k.shape[1]
    scale = q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
    result = []
    for s in range(len(borders.cu_seqlens_q) - 1):
        q_s = q[borders.cu_seqlens_q[s] : borders.cu_seqlens_q[s + 1]].transpose(1, 0, 2)
        k_s = k[borders.cu_seqlens_k[s] : borders.cu_seqlens_k[s + 1]].transpose(1, 0, 2)
        k_s = xp.repeat(k_s, group, axis=0)
        with np.errstate(all="ignore"):  # as the kernels
            scores = kernels.matmul(q_s, k_s, transpose_b=True) * q.dtype.type(scale)
            if softcap:
                scores = (softcap * xp.tanh(scores / softcap)).astype(q.dtype)
        Lq, Lk = scores.shape[1:]
        if attn_bias is not None:
            wanted = (len(borders.cu_seqlens_q) - 1, num_heads, *borders[2:])
            scores = scores + xp.broadcast_to(attn_bias, wanted)[s, :, :Lq, :Lk]
        distance = xp.arange(Lk) - (xp.arange(Lq) + Lk - Lq)[:, None]  # above 0: a later key
        right = 0 if causal else window_size[1]
        hidden = (right >= 0) & (distance > right)
        hidden |= (window_size[0] >= 0) & (distance < -window_size[0])
        result.append(kernels.softmax(xp.where(hidden, scores.dtype.type(-np.inf), scores)))
    return result


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
    cu_seqlens = beside("cu_seqlens", cu_seqlens, data_of("qkv", qkv))
    borders = Borders(cu_seqlens, cu_seqlens, max_seqlen, max_seqlen)
    heads = split_heads(qkv.data, num_heads)
    shape = (len(qkv), qkv.shape[1] // 3)
    if not needs_grad(qkv):
        return Tensor(kernels.flash_attn_varlen_func(*heads, *borders, **options).reshape(shape))
    y, lse = kernels.flash_attn_varlen_func(*heads, *borders, **options, return_lse=True)

    def backward(grad: Array) -> Sequence[Any]:
        dqkv = kernels.xp(y).empty(qkv.shape, y.dtype)
        kernels.flash_attn_varlen_backward(
            grad.reshape(y.shape), *heads, y, lse, *borders, **options,
            out=split_heads(dqkv, num_heads),
        )  # fmt: skip
        return (dqkv,)

    return record(y.reshape(shape), (qkv,), backward, is_fresh=True)


def relative_bias(weight: Tensor, buckets: Array, num_queries: int) -> Tensor:
    """A bias that depends on the distance from query to key: (1, H, Lq, Lk), a view.

    y[0, h, i, j] = weight[buckets[j - i + Lq - 1], h]

    Parameters
    ----------
    weight : Tensor (num_buckets, H)
    buckets : int array (Lq + Lk - 1,), the row of weight for the distances 1 - Lq .. Lk - 1
    num_queries : int, Lq
    """
    buckets = _buckets_beside(buckets, data_of("weight", weight))
    rows = kernels.embedding(buckets, weight.data)
    if rows.ndim != 2:
        raise ShapeError(f"buckets: got shape {buckets.shape}, expected 1 axis")
    num_queries = check_size("num_queries", num_queries, 1, len(buckets))
    xp = kernels.xp(rows)
    by_distance = xp.ascontiguousarray(rows.T)  # (H, Lq + Lk - 1)
    num_keys = len(buckets) - num_queries + 1
    head, step = by_distance.strides
    y = xp.lib.stride_tricks.as_strided(  # each query's window begins one distance earlier
        by_distance[:, num_queries - 1 :],
        (1, len(by_distance), num_queries, num_keys),
        (0, head, -step, step),
    )
    if not needs_grad(weight):
        return Tensor(y)

    def backward(grad: Array) -> Sequence[Any]:
        rows = xp.ascontiguousarray(_sum_by_distance(grad[0]).T)
        dweight = kernels.embedding_backward(rows, buckets, weight.shape[0])
        return (dweight.astype(weight.dtype, copy=False),)

    return record(y, (weight,), backward, is_fresh=True)


def _sum_by_distance(grad: Array) -> Array:
    """(H, Lq, Lk) to (H, Lq + Lk - 1), the sum of each diagonal j - i from 1 - Lq on.

    Row i is written Lq - 1 - i columns to the right, so that diagonals stand above each other.
    """
    H, Lq, Lk = grad.shape
    xp, width = kernels.xp(grad), Lq + Lk
    shifted = xp.zeros((H, Lq, width), accumulator_dtype(grad.dtype))
    head, row, step = shifted.strides
    view = xp.lib.stride_tricks.as_strided(
        shifted.reshape(H, -1)[:, Lq - 1 :], grad.shape, (head, row - step, step)
    )
    view[...] = grad
    return shifted.sum(axis=1)[:, :-1]


def bucket_bias(weight: Tensor, buckets: Array) -> Tensor:
    """A bias of any shape: (S, H, Lq, Lk) with y[s, h, i, j] = weight[buckets[s, i, j], h].

    Parameters
    ----------
    weight : Tensor (num_buckets, H)
    buckets : int array (S, Lq, Lk)
    """
    buckets = _buckets_beside(buckets, data_of("weight", weight))
    rows = kernels.embedding(buckets, weight.data)  # (S, Lq, Lk, H)
    if rows.ndim != 4:
        raise ShapeError(f"buckets: got shape {buckets.shape}, expected 3 axes")
    xp = kernels.xp(rows)
    y = xp.ascontiguousarray(rows.transpose(0, 3, 1, 2))
    if not needs_grad(weight):
        return Tensor(y)

    def backward(grad: Array) -> Sequence[Any]:
        by_place = xp.ascontiguousarray(grad.transpose(0, 2, 3, 1))
        dweight = kernels.embedding_backward(by_place, buckets, weight.shape[0])
        return (dweight.astype(weight.dtype, copy=False),)

    return record(y, (weight,), backward, is_fresh=True)


def _buckets_beside(buckets: Array, weight: Array) -> Array:
    return ids_beside("buckets", buckets, weight, len(weight) if weight.ndim else 0)


def split_heads(qkv: Array, num_heads: int) -> tuple[Array, Array, Array]:
    """Views (N, H, D) of the queries, keys and values in (N, 3 C)."""
    num_heads = check_size("num_heads", num_heads, 1, _MOST_HEADS)
    check_array("qkv", qkv)
    if qkv.ndim != 2 or qkv.shape[1] % (3 * num_heads):
        wanted = f"(N, 3 C) with C a multiple of the {num_heads} heads"
        raise ShapeError(f"qkv: got shape {qkv.shape}, expected {wanted}")
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
    array = data_of("x", x)
    positions = beside("positions", positions, array)
    cos, sin = beside("cos", cos, array), beside("sin", sin, array)
    y = kernels.rotary_embedding(
        _heads("x", array, num_heads), positions, cos, sin, interleaved=interleaved
    ).reshape(x.shape)
    if not needs_grad(x):
        return Tensor(y)

    def backward(grad: Array) -> Sequence[Any]:
        dx = kernels.rotary_embedding_backward(
            _heads("grad", grad, num_heads), positions, cos, sin, interleaved=interleaved
        )
        return (dx.reshape(grad.shape),)

    return record(y, (x,), backward, is_fresh=True)


def _beside(borders: Borders, x: Array) -> Borders:
    """The borders as arrays of the kind of `x`."""
    if not isinstance(borders, Borders):
        raise DTypeError(f"borders: got {shown(borders)}, expected Borders")
    if type(borders.cu_seqlens_q) is type(borders.cu_seqlens_k) is type(x):
        return borders
    queries, keys, *longest = borders
    return Borders(beside("cu_seqlens_q", queries, x), beside("cu_seqlens_k", keys, x), *longest)


def _heads(name: str, x: Array, num_heads: int) -> Array:
    """(N, H D) as (N, H, D)."""
    num_heads = check_size("num_heads", num_heads, 1, _MOST_HEADS)
    check_array(name, x)
    if x.ndim != 2 or x.shape[1] % num_heads:
        raise ShapeError(f"{name}: got shape {x.shape}, expected (N, C), C in {num_heads} heads")
    return x.reshape(len(x), num_heads, x.shape[1] // num_heads)
