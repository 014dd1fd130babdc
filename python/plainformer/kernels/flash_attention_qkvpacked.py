"""Attention of packed projections, queries, keys and values side by side: nothing is copied."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ._arrays import check_array, empty_like
from .flash_attention import (
    flash_attn_backward,
    flash_attn_func,
    flash_attn_varlen_backward,
    flash_attn_varlen_func,
)


def flash_attn_qkvpacked_func(qkv: Any, *options: Any, **named: Any) -> Any:
    """`flash_attn_func` of a sequence with itself, its three arguments read where they stand.

    Parameters
    ----------
    qkv : array (B, S, 3, H, D): queries, keys and values; a projection of width 3 H D reshaped
    options, named : what `flash_attn_func` takes behind v, by position or by name

    Returns
    -------
    y : array (B, S, H, D); with return_lse also the log-sum-exp : array (B, H, S)

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted; q, k
        and v are the parts of qkv
    """
    return flash_attn_func(*_split("qkv", qkv, 5), *options, **named)


def flash_attn_qkvpacked_backward(
    grad_output: Any,
    qkv: Any,
    output: Any,
    lse: Any,
    *,
    bias_grad: bool = False,
    out: Any = None,
    **options: Any,
) -> Any:
    """Gradient of `flash_attn_qkvpacked_func`, written into one array.

    Parameters
    ----------
    grad_output : array like output
    qkv and the options, by name : as given to the forward
    output, lse : what the forward returned
    bias_grad : bool, also return the gradient of attn_bias
    out : array like qkv to write; None means a new one

    Returns
    -------
    dqkv : array like qkv; with bias_grad also dbias : array like attn_bias

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted; q, k
        and v are the parts of qkv
    """
    parts = _split("qkv", qkv, 5)
    dqkv = empty_like(qkv) if out is None else out
    options = {**options, "bias_grad": bias_grad, "out": _split("out", dqkv, 5)}
    _, _, _, *rest = flash_attn_backward(grad_output, *parts, output, lse, **options)
    return (dqkv, *rest) if bias_grad else dqkv


def flash_attn_varlen_qkvpacked_func(
    qkv: Any, cu_seqlens: Any, max_seqlen: int, *options: Any, **named: Any
) -> Any:
    """`flash_attn_varlen_func` of sequences with themselves, all read where they stand.

    Parameters
    ----------
    qkv : array (total, 3, H, D): queries, keys and values; a projection of width 3 H D reshaped
    cu_seqlens : int32 array (S + 1,), from 0 up to total
    max_seqlen : int, at least the longest sequence
    options, named : what `flash_attn_varlen_func` takes behind max_seqlen_k, likewise

    Returns
    -------
    y : array (total, H, D); with return_lse also the log-sum-exp : array (H, total)

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted; q, k
        and v are the parts of qkv
    """
    sequences = cu_seqlens, cu_seqlens, max_seqlen, max_seqlen
    return flash_attn_varlen_func(*_split("qkv", qkv, 4), *sequences, *options, **named)


def flash_attn_varlen_qkvpacked_backward(
    grad_output: Any,
    qkv: Any,
    output: Any,
    lse: Any,
    cu_seqlens: Any,
    max_seqlen: int,
    *,
    bias_grad: bool = False,
    out: Any = None,
    **options: Any,
) -> Any:
    """Gradient of `flash_attn_varlen_qkvpacked_func`, written into one array.

    Parameters
    ----------
    grad_output : array like output
    qkv, cu_seqlens, max_seqlen and the options, by name : as given to the forward
    output, lse : what the forward returned
    bias_grad : bool, also return the gradient of attn_bias
    out : array like qkv to write; None means a new one

    Returns
    -------
    dqkv : array like qkv; with bias_grad also dbias : array like attn_bias

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted; q, k
        and v are the parts of qkv
    """
    parts = _split("qkv", qkv, 4)
    dqkv = empty_like(qkv) if out is None else out
    sequences = cu_seqlens, cu_seqlens, max_seqlen, max_seqlen
    options = {**options, "bias_grad": bias_grad, "out": _split("out", dqkv, 4)}
    _, _, _, *rest = flash_attn_varlen_backward(
        grad_output, *parts, output, lse, *sequences, **options
    )
    return (dqkv, *rest) if bias_grad else dqkv


def _split(name: str, packed: Any, ndim: int) -> tuple[Any, Any, Any]:
    """Views of the three parts."""
    check_array(name, packed)
    if packed.ndim != ndim or packed.shape[-3] != 3:
        axes = "(B, S, 3, H, D)" if ndim == 5 else "(total, 3, H, D)"
        raise ShapeError(f"{name}: got shape {packed.shape}, expected {axes}")
    return packed[..., 0, :, :], packed[..., 1, :, :], packed[..., 2, :, :]
