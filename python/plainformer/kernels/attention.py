"""Scaled dot product attention: fused, in memory linear in the length, forward and backward."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ..errors import ConfigError, DTypeError, ShapeError
from ._arrays import (
    accumulator_dtype,
    check_array,
    check_choice,
    check_number,
    check_same_dtype,
    check_shape,
    contiguous,
    readable,
    unit_last_axis,
)
from ._backend import backend

LAYOUTS = ("bhld", "blhd")
WIDEST_HEAD = 256


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
    arguments = (query, key, value, attn_mask)
    result = _forward(arguments, options, out, return_lse)
    if result is None:  # not the canonical case: explain, or copy a strided last axis
        arguments = _checked(*arguments, enable_gqa=bool(enable_gqa), layout=layout)
        if out is not None:
            shape = _with_width(query.shape, value.shape[-1])
            _check_result("out", out, shape, query, dict(zip(_NAMES, arguments)))
        result = _forward(arguments, options, out, return_lse)
    return result


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
    arguments = (grad_output, query, key, value, output, lse, attn_mask)
    grads = _three(out)
    result = _backward(arguments, options, grads, mask_grad)
    if result is None:
        _check_mask_grad(mask_grad, attn_mask, query)
        arguments = _checked_backward(*arguments, enable_gqa=bool(enable_gqa), layout=layout)
        if out is not None:
            names = ("grad_output", "query", "key", "value", "output", "lse", "attn_mask")
            _check_gradients(out, dict(zip(names, arguments)))
        result = _backward(arguments, options, grads, mask_grad)
    return result if mask_grad else result[:3]


_NAMES = ("query", "key", "value", "attn_mask")


# ---- the compiled functions ---------------------------------------------------------------------


def _forward(arguments: tuple[Any, ...], options: tuple[Any, ...], out: Any, lse: bool) -> Any:
    p, causal, scale, gqa, length_first, seed, offset = options
    return backend("query", arguments[0]).attention(
        *arguments, p, causal, scale, gqa, length_first, out, bool(lse), seed, offset
    )


def _backward(
    arguments: tuple[Any, ...], options: tuple[Any, ...], grads: Any, mask_grad: bool
) -> Any:
    p, causal, scale, gqa, length_first, seed, offset = options
    return backend("query", arguments[1]).attention_backward(
        *arguments, p, causal, scale, gqa, length_first, *grads, bool(mask_grad), seed, offset
    )


# ---- checks -------------------------------------------------------------------------------------


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
    """The options as the compiled functions take them."""
    if layout not in LAYOUTS:
        check_choice("layout", layout, LAYOUTS)
    backend("query", query)
    if dropout_p:
        dropout_p = check_number("dropout_p", dropout_p, 0.0, 1.0)
        seed = _dropout_word("seed", seed, 64)
        offset = _dropout_word("offset", offset, 32)
    else:
        dropout_p, seed, offset = 0.0, 0, 0
    if scale is None:
        scale = 1.0 / math.sqrt(query.shape[-1]) if query.ndim and query.shape[-1] else 1.0
    else:
        scale = check_number("scale", scale)
        if math.isinf(scale):
            raise ConfigError(f"scale: got {scale}, expected a finite number")
    return (dropout_p, bool(is_causal), scale, bool(enable_gqa), layout == "blhd", seed, offset)


def _dropout_word(name: str, value: Any, bits: int) -> int:
    """`value` as an unsigned integer of `bits` bits."""
    if value is None:
        raise ConfigError(
            f"{name}: got None, expected a whole number; kernels hold no random state, so "
            "dropout_p > 0 needs one that names the mask"
        )
    try:
        word = operator.index(value)
    except TypeError:
        raise DTypeError(f"{name}: got {value!r}, expected a whole number") from None
    if not 0 <= word < 1 << bits:
        raise ConfigError(f"{name}: got {word}, expected 0 to 2**{bits} - 1")
    return word


def _with_width(shape: tuple[int, ...], width: int) -> tuple[int, ...]:
    return (*shape[:-1], width)


def _checked(
    query: Any, key: Any, value: Any, attn_mask: Any, *, enable_gqa: bool, layout: str
) -> tuple[Any, ...]:
    """The arrays in a form the kernel reads, or the error that says which one is wrong."""
    for name, array in (("query", query), ("key", key), ("value", value)):
        check_array(name, array)
        if array.ndim != 4:
            axes = "(B, H, L, D)" if layout == "bhld" else "(B, L, H, D)"
            raise ShapeError(f"{name}: got shape {array.shape}, expected four axes {axes}")
        if not 1 <= array.shape[-1] <= WIDEST_HEAD:
            raise ShapeError(
                f"{name}: got head width {array.shape[-1]}, expected 1 to {WIDEST_HEAD}"
            )
    check_same_dtype(query=query, key=key, value=value)
    heads, length = (1, 2) if layout == "bhld" else (2, 1)
    check_shape((query.shape[0], *key.shape[1:-1], query.shape[-1]), key=key)
    check_shape(_with_width(key.shape, value.shape[-1]), value=value)
    _check_groups(query.shape[heads], key.shape[heads], enable_gqa)
    scores = (query.shape[0], query.shape[heads], query.shape[length], key.shape[length])
    mask = _checked_mask(attn_mask, scores, query)
    return (*(unit_last_axis(x) for x in (query, key, value)), mask)


def _check_groups(heads: int, shared: int, enable_gqa: bool) -> None:
    if shared == heads:
        return
    if not enable_gqa:
        raise ShapeError(
            f"key: got {shared} heads, expected {heads} like query; "
            "enable_gqa=True lets groups of query heads share one"
        )
    if not shared or heads % shared:
        raise ShapeError(f"key: got {shared} heads, expected a divisor of query's {heads}")


def _checked_mask(mask: Any, scores: tuple[int, ...], query: Any) -> Any:
    if mask is None:
        return None
    check_array("attn_mask", mask, (np.dtype(bool), query.dtype))
    fits = mask.ndim <= 4 and all(m in (1, n) for m, n in zip(mask.shape[::-1], scores[::-1]))
    if not fits:
        raise ShapeError(
            f"attn_mask: got shape {mask.shape}, expected one that broadcasts to {scores}"
        )
    return readable(mask)


def _checked_backward(
    grad_output: Any, query: Any, key: Any, value: Any, output: Any, lse: Any, attn_mask: Any,
    *, enable_gqa: bool, layout: str,
) -> tuple[Any, ...]:  # fmt: skip
    query, key, value, attn_mask = _checked(
        query, key, value, attn_mask, enable_gqa=enable_gqa, layout=layout
    )
    shape = _with_width(query.shape, value.shape[-1])
    for name, array in (("grad_output", grad_output), ("output", output)):
        check_array(name, array)
        check_shape(shape, **{name: array})
    check_same_dtype(query=query, grad_output=grad_output, output=output)
    check_array("lse", lse, (accumulator_dtype(query.dtype),))
    heads, length = (1, 2) if layout == "bhld" else (2, 1)
    check_shape((query.shape[0], query.shape[heads], query.shape[length]), lse=lse)
    grad_output, output = unit_last_axis(grad_output), unit_last_axis(output)
    return grad_output, query, key, value, output, contiguous(lse), attn_mask


def _check_mask_grad(mask_grad: bool, attn_mask: Any, query: Any) -> None:
    if mask_grad and (attn_mask is None or attn_mask.dtype == np.dtype(bool)):
        kind = "None" if attn_mask is None else "a bool mask"
        raise ConfigError(
            f"mask_grad: got True with attn_mask {kind}, expected an additive mask of dtype "
            f"{query.dtype}"
        )


def _check_result(
    name: str, out: Any, shape: tuple[int, ...], like: Any, inputs: dict[str, Any]
) -> None:
    """Raise unless `out` can be written: shape, dtype, strides, and memory of its own."""
    check_array(name, out, (like.dtype,))
    check_shape(shape, **{name: out})
    if not out.flags.writeable:
        raise ConfigError(f"{name}: got a read-only array, expected a writable one")
    steps = [s for s, n in zip(out.strides, out.shape) if n > 1]
    if 0 in steps or (out.shape[-1] > 1 and out.strides[-1] != out.itemsize):
        raise ShapeError(f"{name}: got strides {out.strides}, expected a contiguous last axis")
    for other, array in inputs.items():
        if array is not None and np.may_share_memory(out, array):
            raise ConfigError(f"{name}: shares memory with {other}, expected an array of its own")


def _three(out: Any) -> tuple[Any, Any, Any]:
    if out is None:
        return None, None, None
    if len(out) != 3:
        raise ShapeError(f"out: got {len(out)} arrays, expected (dquery, dkey, dvalue)")
    return tuple(out)


def _check_gradients(out: Any, inputs: dict[str, Any]) -> None:
    for i, (given, name) in enumerate(zip(out, _NAMES)):
        like = inputs[name]
        _check_result(f"out[{i}]", given, like.shape, like, inputs)
