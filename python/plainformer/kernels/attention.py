"""Scaled dot product attention: fused, in memory linear in the length, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ConfigError
from ._arrays import check_choice, check_flag
from ._attention import BHLD, BLHD, Words, backward, checked_dropout, checked_scale, forward
from ._backend import backend

LAYOUTS = {"bhld": BHLD, "blhd": BLHD}
_WORDS = Words("query", "key", "value", "attn_mask", "scale")


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    layout: str = "bhld",
    out: Any = None,
    return_lse: bool = False,
    seed: int | None = None,
    offset: int = 0,
) -> Any:
    """Attention, without ever holding the (Lq, Lk) scores.

    y = dropout(softmax(scale query key^T + attn_mask)) value

    A row that sees no key gives 0 (and log-sum-exp -inf). Values at keys that a row does not see
    never reach it, NaN included. Leading axes may have any strides: views of packed projections,
    such as `qkv.reshape(B, L, 3, H, D)[:, :, 0]`, are read in place.

    Parameters
    ----------
    query : array (B, H, Lq, D), float32, bfloat16 or float64; D from 1 to 256
    key : array (B, KV, Lk, D), dtype of query; KV is H unless enable_gqa
    value : array (B, KV, Lk, Dv), dtype of query
    attn_mask : array that broadcasts to (B, H, Lq, Lk), read in place, never expanded. bool: True
        takes part. Dtype of query: added to the scores; -inf, values <= -1e30 and -65504, float16's
        lowest, hide a key like False
    dropout_p : float, probability with which a probability becomes 0; the others are scaled up
    is_causal : bool, row i sees keys 0 .. i, also where Lq and Lk differ
    scale : float; None means 1 / sqrt(D)
    enable_gqa : bool, allow H a multiple of KV: head h reads key and value head h // (H // KV)
    layout : "bhld", or "blhd" for arrays (B, L, H, D); of all arrays but the mask
    out : array of y's shape and dtype, last axis contiguous, written and returned; None: a new one
    return_lse : bool, also return what the backward needs
    seed, offset : int, name the dropout mask; seed is required with dropout_p > 0

    Returns
    -------
    y : array (B, H, Lq, Dv) in `layout`, dtype of query; with return_lse also the log-sum-exp of
        the scores : float32 (float64 for float64) array (B, H, Lq) in either layout

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    References
    ----------
    Vaswani et al., "Attention is all you need", 2017, arXiv:1706.03762; Dao et al.,
    "FlashAttention", 2022, arXiv:2205.14135.
    """
    options = _options(query, dropout_p, is_causal, scale, enable_gqa, layout, seed, offset)
    arrays = query, key, value, attn_mask, None, None, None
    return forward(_WORDS, arrays, options, out, return_lse)


def scaled_dot_product_attention_backward(
    grad_output: Any,
    query: Any,
    key: Any,
    value: Any,
    output: Any,
    lse: Any,
    attn_mask: Any = None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    layout: str = "bhld",
    out: tuple[Any, Any, Any] | None = None,
    mask_grad: bool = False,
    seed: int | None = None,
    offset: int = 0,
) -> Any:
    """Gradients of `scaled_dot_product_attention`; the probabilities are computed again from lse.

    dvalue = dropout(P)^T grad_output
    dS = P (dropout(grad_output value^T) - sum(grad_output output))
    dquery = scale dS key        dkey = scale dS^T query        dmask = dS

    Rows that see no key get and give gradient 0.

    Parameters
    ----------
    grad_output : array like output
    query, key, value, attn_mask and the options : as given to the forward
    output, lse : what the forward returned
    out : (dquery, dkey, dvalue) to write, arrays like query, key and value with any strides but a
        contiguous last axis, such as views of one packed array; None means new ones
    mask_grad : bool, also return the gradient of an additive attn_mask

    Returns
    -------
    dquery, dkey, dvalue : arrays like query, key and value; with mask_grad also dmask : array like
        attn_mask, summed over the axes along which it was broadcast

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    options = _options(query, dropout_p, is_causal, scale, enable_gqa, layout, seed, offset)
    _check_mask_grad(mask_grad, attn_mask)
    arrays = query, key, value, attn_mask, None, None, None
    saved = grad_output, output, lse
    result = backward(_WORDS, saved, arrays, options, out, bool(mask_grad))
    return result if mask_grad else result[:3]


def _options(
    query: Any,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
    layout: str,
    seed: int | None,
    offset: int,
) -> tuple[Any, ...]:
    """The fields of `_attention.Options`."""
    if type(layout) is not str or layout not in LAYOUTS:
        check_choice("layout", layout, tuple(LAYOUTS))
    backend("query", query)
    return (
        LAYOUTS[layout], check_flag("enable_gqa", enable_gqa), 0, 0,
        checked_scale("scale", scale, query), 0.0,
        -1, 0 if check_flag("is_causal", is_causal) else -1, False,
        *checked_dropout(dropout_p, seed, offset),
    )  # fmt: skip


def _check_mask_grad(mask_grad: bool, attn_mask: Any) -> None:
    is_bool = getattr(attn_mask, "dtype", None) == np.dtype(bool)
    if check_flag("mask_grad", mask_grad) and (attn_mask is None or is_bool):
        kind = "a bool mask" if is_bool else "None"
        raise ConfigError(
            f"mask_grad: got True with attn_mask {kind}, expected an additive mask of query's dtype"
        )
