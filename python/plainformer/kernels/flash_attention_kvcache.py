"""Attention of new tokens to a cache of keys and values: what each step of generation does."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ConfigError, ShapeError
from ._arrays import (
    check_apart,
    check_array,
    check_same_device,
    check_same_dtype,
    check_shape,
    computed,
    defers,
    largest,
    readable,
    unit_last_axis,
)
from ._attention import (
    BLHD,
    Options,
    check_broadcast,
    check_heads,
    check_result,
    checked_scale,
    checked_slopes,
    checked_softcap,
    checked_window,
)
from ._backend import backend
from .flash_attention import WORDS, additive

_WORDS = WORDS._replace(k="k_cache", v="v_cache")


def flash_attn_with_kvcache(
    q: Any,
    k_cache: Any,
    v_cache: Any,
    k: Any = None,
    v: Any = None,
    *,
    cache_seqlens: Any,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Any = None,
    attn_bias: Any = None,
) -> Any:
    """Attention of a few queries to the keys and values that a cache holds.

    y[b] = softmax(softmax_scale q[b] K^T + attn_bias) V

    K and V are k_cache[b, :n] and v_cache[b, :n] with n = cache_seqlens[b], plus Sq where k and v
    are given, which are first written to the cache at cache_seqlens[b]. What lies beyond is never
    read. A row of a batch gives the same bytes as alone.

    Made for few queries: keys and values are read once, where they stand, for all queries and for
    all query heads that share them; 256 keys at a time are one task. There is no backward.

    Parameters
    ----------
    q : array (B, Sq, H, D), float32, bfloat16 or float64; D from 1 to 256. Queries that share keys,
        such as beams attending to one encoder, go along Sq
    k_cache : array (B, capacity, KV, D), dtype of q; KV divides H. Fastest where KV and D are the
        inner axes
    v_cache : array (B, capacity, KV, Dv), dtype of q
    k, v : arrays (B, Sq, KV, D) and (B, Sq, KV, Dv) to append, or both None
    cache_seqlens : int32 array (B,), keys of each row before k is appended
    softmax_scale : float; None means 1 / sqrt(D)
    causal : bool, query i of row b sees keys 0 .. i + n - Sq (bottom-right alignment)
    window_size : (left, right), how many keys a query sees to each side of its own place, which is
        key i + n - Sq; -1 means all. Chunks outside the window cost nothing
    softcap : float, c > 0 replaces scores s by c tanh(s / c) before anything is added; 0: no cap
    alibi_slopes : float32 array (H,) or (B, H); slope |i + n - Sq - j| is subtracted from scores
    attn_bias : array that broadcasts to (B, H, Sq, M), dtype of q, added to the scores; M is at
        least the largest n and at most the capacity. -inf, values <= -1e30 and -65504 hide a key

    Returns
    -------
    y : array (B, Sq, H, Dv), dtype of q

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    References
    ----------
    Dao et al., "Flash-Decoding for long-context inference", 2023; Shazeer (shared heads), 2019,
    arXiv:1911.02150.
    """
    compiled = backend("q", q).cached_attention
    left, right = checked_window(window_size, causal)
    options = Options(
        BLHD, True, 0, 0, checked_scale("softmax_scale", softmax_scale, q),
        checked_softcap(softcap), left, right, True, 0.0, 0, 0,
    )  # fmt: skip
    bias = additive(attn_bias)
    y = compiled(q, k_cache, v_cache, k, v, cache_seqlens, bias, alibi_slopes, options)
    if y is None:  # not the canonical case: explain, or copy a strided last axis
        arrays = _checked(q, k_cache, v_cache, k, v, cache_seqlens, bias, alibi_slopes, options)
        y = computed(compiled(*arrays, options))
    return y


def _checked(
    q: Any, k_cache: Any, v_cache: Any, k: Any, v: Any, lengths: Any, bias: Any, slopes: Any,
    options: Options,
) -> tuple[Any, ...]:  # fmt: skip
    """The arrays in a form the kernel reads, or the error that says which one is wrong."""
    read = {"q": q, "k": k, "v": v, "cache_seqlens": lengths, "attn_bias": bias,
            "alibi_slopes": slopes}  # fmt: skip
    check_heads(_WORDS, q, k_cache, v_cache, options)
    check_same_device(**read)
    _check_appended(q, k_cache, v_cache, k, v)
    lengths = _checked_lengths(lengths, q, k_cache, 0 if k is None else q.shape[1])
    bias = _checked_bias(bias, q, k_cache, lengths, 0 if k is None else q.shape[1])
    slopes = checked_slopes(slopes, (q.shape[0], q.shape[2]))
    if k is not None:
        caches = {"k_cache": k_cache, "v_cache": v_cache}
        for name, cache in caches.items():
            check_result(name, cache, cache.shape, q)
        check_apart(caches, read)
        k, v = unit_last_axis(k), unit_last_axis(v)
    return (
        unit_last_axis(q),
        unit_last_axis(k_cache),
        unit_last_axis(v_cache),
        k,
        v,
        lengths,
        bias,
        slopes,
    )


def _check_appended(q: Any, k_cache: Any, v_cache: Any, k: Any, v: Any) -> None:
    if (k is None) != (v is None):
        given, missing = ("v", "k") if k is None else ("k", "v")
        raise ConfigError(f"{missing}: got None with {given} given, expected both or neither")
    if k is None:
        return
    check_array("k", k)
    check_array("v", v)
    check_same_dtype(q=q, k=k, v=v)
    check_shape((*q.shape[:2], *k_cache.shape[2:]), k=k)
    check_shape((*q.shape[:2], *v_cache.shape[2:]), v=v)


def _checked_lengths(lengths: Any, q: Any, k_cache: Any, added: int) -> Any:
    check_array("cache_seqlens", lengths, (np.dtype(np.int32),))
    check_shape(q.shape[:1], cache_seqlens=lengths)
    if defers(lengths):
        return readable(lengths)
    capacity = k_cache.shape[1]
    bad = (lengths < 0) | (lengths > capacity - added)
    if bad.any():
        at = int(bad.argmax())
        beside = f" with {added} more to append" if added else ""
        raise ShapeError(
            f"cache_seqlens: got {lengths[at]} at {at}, expected 0 to {capacity - added}: the "
            f"cache holds {capacity} keys a row{beside}"
        )
    return readable(lengths)


def _checked_bias(bias: Any, q: Any, k_cache: Any, lengths: Any, added: int) -> Any:
    if bias is None:
        return None
    check_array("attn_bias", bias, (q.dtype,))
    longest = 0 if defers(lengths) else largest(lengths, -added) + added
    capacity = k_cache.shape[1]
    keys = bias.shape[-1] if bias.ndim else 1
    if keys != 1 and not longest <= keys <= capacity:
        raise ShapeError(
            f"attn_bias: got shape {bias.shape}, expected a last axis of 1 or from {longest}, the "
            f"keys of the longest row, to {capacity}, the cache's capacity"
        )
    check_broadcast("attn_bias", bias, (q.shape[0], q.shape[2], q.shape[1], keys))
    return readable(bias)
