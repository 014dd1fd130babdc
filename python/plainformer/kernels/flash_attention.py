"""Attention under flash-attention's names: equal lengths, and sequences packed without padding.

Both forms are one kernel, so a sequence gives the same bytes alone, in a batch and packed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ConfigError
from ._arrays import check_flag, check_size
from ._attention import (
    BLHD,
    PACKED,
    Words,
    backward,
    checked_dropout,
    checked_scale,
    checked_softcap,
    checked_window,
    forward,
)
from ._backend import backend

WORDS = Words("q", "k", "v", "attn_bias", "softmax_scale")


def flash_attn_func(
    q: Any,
    k: Any,
    v: Any,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Any = None,
    *,
    attn_bias: Any = None,
    out: Any = None,
    return_lse: bool = False,
    seed: int | None = None,
    offset: int = 0,
) -> Any:
    """Attention of B sequences of one length, without ever holding the (Sq, Sk) scores.

    y = dropout(softmax(softmax_scale q k^T + attn_bias)) v

    Query head h reads key and value head h // (H // KV). A row that sees no key gives 0 (and
    log-sum-exp -inf). What a row does not see never reaches it, NaN included. Leading axes may have
    any strides: views of packed projections are read in place.

    Parameters
    ----------
    q : array (B, Sq, H, D), float32, bfloat16 or float64; D from 1 to 256
    k : array (B, Sk, KV, D), dtype of q; KV divides H
    v : array (B, Sk, KV, Dv), dtype of q
    dropout_p : float, probability with which a probability becomes 0; the others are scaled up
    softmax_scale : float; None means 1 / sqrt(D)
    causal : bool, no query sees a key to its right. The last query stands at the last key, so that
        query i of Lq sees keys 0 .. i + Lk - Lq (bottom-right alignment)
    window_size : (left, right), how many keys a query sees to each side of its own place, which is
        key i + Lk - Lq; -1 means all. Tiles outside the window cost nothing; causal makes right 0
    softcap : float, c > 0 replaces scores s by c tanh(s / c) before anything is added; 0: no cap
    alibi_slopes : float32 array (H,) or (B, H); slope |i + Lk - Lq - j| is subtracted from scores
    attn_bias : array that broadcasts to (B, H, Sq, Sk), dtype of q, added to the
        scores, read in place, never expanded; -inf, values <= -1e30 and -65504 hide a key
    out : array of y's shape and dtype, last axis contiguous, written and returned; None: a new one
    return_lse : bool, also return what the backward needs
    seed, offset : int, name the dropout mask; seed is required with dropout_p > 0

    Returns
    -------
    y : array (B, Sq, H, Dv), dtype of q; with return_lse also the log-sum-exp of the scores :
        float32 (float64 for float64) array (B, H, Sq)

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    References
    ----------
    Dao, "FlashAttention-2", 2023, arXiv:2307.08691; Press et al. (alibi_slopes), 2021,
    arXiv:2108.12409; Gemma team (softcap), 2024, arXiv:2408.00118.
    """
    options = _options(BLHD, q, 0, 0, dropout_p, softmax_scale, causal, window_size, softcap,
                       seed, offset)  # fmt: skip
    arrays = q, k, v, additive(attn_bias), alibi_slopes, None, None
    return forward(WORDS, arrays, options, out, return_lse)


def flash_attn_backward(
    grad_output: Any,
    q: Any,
    k: Any,
    v: Any,
    output: Any,
    lse: Any,
    *,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Any = None,
    attn_bias: Any = None,
    bias_grad: bool = False,
    out: tuple[Any, Any, Any] | None = None,
    seed: int | None = None,
    offset: int = 0,
) -> Any:
    """Gradients of `flash_attn_func`; the probabilities are computed again from lse.

    Parameters
    ----------
    grad_output : array like output
    q, k, v, attn_bias, alibi_slopes and the options : as given to the forward
    output, lse : what the forward returned
    bias_grad : bool, also return the gradient of attn_bias
    out : (dq, dk, dv) to write, arrays like q, k and v with any strides but a contiguous last axis,
        such as views of one packed array; None means new ones

    Returns
    -------
    dq, dk, dv : arrays like q, k and v; with bias_grad also dbias : array like attn_bias, summed in
        a fixed order over the axes along which it was broadcast. Slopes get no gradient

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    options = _options(BLHD, q, 0, 0, dropout_p, softmax_scale, causal, window_size, softcap,
                       seed, offset)  # fmt: skip
    arrays = q, k, v, additive(attn_bias), alibi_slopes, None, None
    return _backward((grad_output, output, lse), arrays, options, out, bias_grad)


def flash_attn_varlen_func(
    q: Any,
    k: Any,
    v: Any,
    cu_seqlens_q: Any,
    cu_seqlens_k: Any,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Any = None,
    *,
    attn_bias: Any = None,
    out: Any = None,
    return_lse: bool = False,
    seed: int | None = None,
    offset: int = 0,
) -> Any:
    """Attention of S sequences packed one behind the other: `flash_attn_func` of each.

    Rows cu_seqlens[s] .. cu_seqlens[s + 1] - 1 are sequence s; no padding exists or is computed,
    and no sequence sees another. Empty sequences are allowed on either side. Views such as
    `qkv.reshape(total, 3, H, D)[:, 0]` are read in place.

    Parameters
    ----------
    q : array (total_q, H, D), float32, bfloat16 or float64; D from 1 to 256
    k : array (total_k, KV, D), dtype of q; KV divides H
    v : array (total_k, KV, Dv), dtype of q
    cu_seqlens_q, cu_seqlens_k : int32 array (S + 1,), from 0 up to total_q and total_k
    max_seqlen_q, max_seqlen_k : int, at least the longest sequence
    dropout_p : float, probability with which a probability becomes 0; the others are scaled up
    softmax_scale : float; None means 1 / sqrt(D)
    causal : bool, no query sees a key to its right. The last query stands at the last key, so that
        query i of Lq sees keys 0 .. i + Lk - Lq (bottom-right alignment)
    window_size : (left, right), how many keys a query sees to each side of its own place, which is
        key i + Lk - Lq; -1 means all. Tiles outside the window cost nothing; causal makes right 0
    softcap : float, c > 0 replaces scores s by c tanh(s / c) before anything is added; 0: no cap
    alibi_slopes : float32 array (H,) or (S, H); slope |i + Lk - Lq - j| is subtracted from scores
    attn_bias : array that broadcasts to (S, H, max_seqlen_q, max_seqlen_k), dtype of q, added to
        the scores, read in place, never expanded; -inf, values <= -1e30 and -65504 hide a key
    out : array of y's shape and dtype, last axis contiguous, written and returned; None: a new one
    return_lse : bool, also return what the backward needs
    seed, offset : int, name the dropout mask; seed is required with dropout_p > 0

    Returns
    -------
    y : array (total_q, H, Dv), dtype of q; with return_lse also the log-sum-exp of the scores :
        float32 (float64 for float64) array (H, total_q)

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    References
    ----------
    As `flash_attn_func`.
    """
    options = _options(PACKED, q, max_seqlen_q, max_seqlen_k, dropout_p, softmax_scale, causal,
                       window_size, softcap, seed, offset)  # fmt: skip
    arrays = q, k, v, additive(attn_bias), alibi_slopes, cu_seqlens_q, cu_seqlens_k
    return forward(WORDS, arrays, options, out, return_lse)


def flash_attn_varlen_backward(
    grad_output: Any,
    q: Any,
    k: Any,
    v: Any,
    output: Any,
    lse: Any,
    cu_seqlens_q: Any,
    cu_seqlens_k: Any,
    max_seqlen_q: int,
    max_seqlen_k: int,
    *,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Any = None,
    attn_bias: Any = None,
    bias_grad: bool = False,
    out: tuple[Any, Any, Any] | None = None,
    seed: int | None = None,
    offset: int = 0,
) -> Any:
    """Gradients of `flash_attn_varlen_func`: those of `flash_attn_backward` for each sequence.

    Parameters
    ----------
    grad_output : array like output
    q, k, v, attn_bias, alibi_slopes, the sequences and the options : as given to the forward
    output, lse : what the forward returned
    bias_grad : bool, also return the gradient of attn_bias
    out : (dq, dk, dv) to write, arrays like q, k and v with any strides but a contiguous last axis,
        such as views of one packed array; None means new ones

    Returns
    -------
    dq, dk, dv : arrays like q, k and v; with bias_grad also dbias : array like attn_bias, summed in
        a fixed order over the axes along which it was broadcast. Slopes get no gradient

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    options = _options(PACKED, q, max_seqlen_q, max_seqlen_k, dropout_p, softmax_scale, causal,
                       window_size, softcap, seed, offset)  # fmt: skip
    arrays = q, k, v, additive(attn_bias), alibi_slopes, cu_seqlens_q, cu_seqlens_k
    return _backward((grad_output, output, lse), arrays, options, out, bias_grad)


def _options(
    layout: int,
    q: Any,
    longest_q: int,
    longest_k: int,
    dropout_p: float,
    softmax_scale: float | None,
    causal: bool,
    window_size: Any,
    softcap: float,
    seed: int | None,
    offset: int,
) -> tuple[Any, ...]:
    """The fields of `_attention.Options`."""
    backend("q", q)
    left, right = checked_window(window_size, causal)
    dropout = checked_dropout(dropout_p, seed, offset)
    if layout == PACKED:
        longest_q = check_size("max_seqlen_q", longest_q)
        longest_k = check_size("max_seqlen_k", longest_k)
    return (
        layout, True, longest_q, longest_k, checked_scale("softmax_scale", softmax_scale, q),
        checked_softcap(softcap), left, right, True, *dropout,
    )  # fmt: skip


def additive(attn_bias: Any) -> Any:
    """The bias, unless it is a bool mask, which the kernel would take for something else."""
    if attn_bias is None:
        return None
    if getattr(attn_bias, "dtype", None) == np.dtype(bool):
        raise ConfigError(
            "attn_bias: got a bool mask, expected numbers that are added to the scores; "
            "0 where a key takes part and -inf where not"
        )
    return attn_bias


def _backward(
    saved: tuple[Any, ...], arrays: tuple[Any, ...], options: tuple[Any, ...], out: Any,
    bias_grad: bool,
) -> Any:  # fmt: skip
    if check_flag("bias_grad", bias_grad) and arrays[3] is None:
        raise ConfigError("bias_grad: got True with attn_bias None, expected a bias")
    result = backward(WORDS, saved, arrays, options, out, bool(bias_grad))
    return result if bias_grad else result[:3]
