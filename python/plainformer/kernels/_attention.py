"""What the attention functions share: options, checks with each function's own words, the calls."""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError, DTypeError, ShapeError, shown
from ..kinds import as_index
from ._arrays import (
    accumulator_dtype,
    check_aligned,
    check_apart,
    check_array,
    check_flag,
    check_number,
    check_same_device,
    check_same_dtype,
    check_shape,
    computed,
    contiguous,
    defers,
    is_writable,
    largest,
    readable,
    unit_last_axis,
)
from ._backend import backend
from ._devices import float32

WIDEST_HEAD = 256
NO_WINDOW = (-1, -1)
BHLD, BLHD, PACKED = range(3)
"""Layouts of arrays of heads; packed: (rows of all sequences, H, D)."""

_AXES = ("(B, H, L, D)", "(B, L, H, D)", "(total, H, D)")
_HEAD_AXIS, _ROW_AXIS = (1, 2, 1), (2, 1, 0)


class Words(NamedTuple):
    """What a function calls its arguments and the number of sequences, for its errors."""

    q: str
    k: str
    v: str
    mask: str
    scale: str


class Options(NamedTuple):
    """All that is not an array, as the compiled functions take it: a plain tuple will do, which
    costs less to make, and checks give it names."""

    layout: int
    shares_heads: bool
    longest_q: int
    longest_k: int
    scale: float
    softcap: float
    left: int
    right: int
    bottom_right: bool
    dropout_p: float
    seed: int
    offset: int


class Arrays(NamedTuple):
    """All arrays but the gradients, as the compiled functions take them; likewise."""

    q: Any
    k: Any
    v: Any
    mask: Any
    alibi: Any
    starts_q: Any
    starts_k: Any


# ---- the compiled functions ---------------------------------------------------------------------


def forward(
    words: Words, arrays: tuple[Any, ...], options: tuple[Any, ...], out: Any, return_lse: bool
) -> Any:
    """y, or (y, lse), of Arrays and Options."""
    attention = backend(words.q, arrays[0]).attention
    return_lse = check_flag("return_lse", return_lse)
    result = attention(*arrays, options, out, return_lse)
    if result is None:  # not the canonical case: explain, or copy a strided last axis
        good = checked_call(words, Arrays(*arrays), Options(*options))
        if out is not None:
            check_result("out", out, _with_width(good.q, good.v), good.q)
            check_apart({"out": out}, _inputs(words, arrays))
        result = computed(attention(*good, options, out, return_lse))
    return result


def backward(
    words: Words,
    saved: tuple[Any, Any, Any],
    arrays: tuple[Any, ...],
    options: tuple[Any, ...],
    out: tuple[Any, Any, Any] | None,
    mask_grad: bool,
) -> Any:
    """dq, dk, dv, dmask or None; `saved` is grad_output, output, lse."""
    differentiate = backend(words.q, arrays[0]).attention_backward
    outs = _three(words, out)
    grad, y, lse = saved
    q, k, v, *rest = arrays
    result = differentiate(grad, q, k, v, y, lse, *rest, options, *outs, mask_grad)
    if result is None:
        good = checked_call(words, Arrays(*arrays), Options(*options))
        grad, y, lse = _checked_saved(words, saved, good, Options(*options))
        if out is not None:
            written = {f"out[{i}]": given for i, given in enumerate(outs)}
            for (name, given), like in zip(written.items(), good[:3]):
                check_result(name, given, like.shape, like)
            read = dict(zip(("grad_output", "output", "lse"), saved))
            check_apart(written, read | _inputs(words, arrays))
        q, k, v, *rest = good
        result = computed(differentiate(grad, q, k, v, y, lse, *rest, options, *outs, mask_grad))
    return result


def _inputs(words: Words, arrays: tuple[Any, ...]) -> dict[str, Any]:
    """The arrays as they were given, by their names: a copy shares no memory, its source may."""
    names = words.q, words.k, words.v, words.mask, "alibi_slopes", "cu_seqlens_q", "cu_seqlens_k"
    return dict(zip(names, arrays))


def _three(words: Words, out: Any) -> tuple[Any, Any, Any]:
    if out is None:
        return None, None, None
    wanted = f"(d{words.q}, d{words.k}, d{words.v})"
    try:
        outs = tuple(out)
    except TypeError:
        raise DTypeError(f"out: got {shown(out)}, expected {wanted}") from None
    if len(outs) != 3:
        raise ShapeError(f"out: got {len(outs)} arrays, expected {wanted}")
    return outs


# ---- options ------------------------------------------------------------------------------------


def checked_scale(name: str, scale: float | None, q: Any) -> float:
    """`scale`, or 1 / sqrt(D) where it is None."""
    if scale is None:
        return 1.0 / math.sqrt(q.shape[-1]) if q.ndim and q.shape[-1] else 1.0
    scale = check_number(name, scale)
    if math.isinf(scale):
        raise ConfigError(f"{name}: got {scale}, expected a finite number")
    return scale


def checked_dropout(dropout_p: float, seed: int | None, offset: int) -> tuple[float, int, int]:
    """The three of them; without dropout seed and offset mean nothing."""
    if not dropout_p:
        return 0.0, 0, 0
    dropout_p = check_number("dropout_p", dropout_p, 0.0, 1.0)
    return dropout_p, _dropout_word("seed", seed, 64), _dropout_word("offset", offset, 32)


def _dropout_word(name: str, value: Any, bits: int) -> int:
    """`value` as an unsigned integer of `bits` bits."""
    if value is None:
        raise ConfigError(
            f"{name}: got None, expected a whole number; kernels hold no random state, so "
            "dropout_p > 0 needs one that names the mask"
        )
    word = as_index(name, value)
    if not 0 <= word < 1 << bits:
        raise ConfigError(f"{name}: got {word}, expected 0 to 2**{bits} - 1")
    return word


def checked_window(window_size: Any, causal: bool) -> tuple[int, int]:
    """How many keys a query sees to its left and right, -1 for all; none to the right if causal."""
    causal = check_flag("causal", causal)
    try:
        if type(window_size) is tuple and window_size == NO_WINDOW:  # as is usual
            return -1, 0 if causal else -1
        left, right = (operator.index(n) for n in window_size)
    except (TypeError, ValueError):
        raise DTypeError(
            f"window_size: got {shown(window_size)}, expected (left, right), two whole numbers"
        ) from None
    if left < -1 or right < -1 or max(left, right) >= 1 << 62:
        raise ConfigError(
            f"window_size: got {shown(window_size)}, expected -1 (no limit) or a number of keys"
        )
    return left, 0 if causal else right


def checked_softcap(softcap: float) -> float:
    """0, or a positive finite number."""
    if not softcap:
        return 0.0
    softcap = check_number("softcap", softcap, 0.0)
    if math.isinf(softcap):
        raise ConfigError("softcap: got inf, expected 0 (no cap) or a finite number")
    return softcap


# ---- arrays -------------------------------------------------------------------------------------


def checked_call(words: Words, arrays: Arrays, options: Options) -> Arrays:
    """The arrays in a form the kernel reads, or the error that says which one is wrong."""
    q, k, v = arrays[:3]
    check_heads(words, q, k, v, options)
    check_same_device(**_inputs(words, arrays))
    starts = _checked_starts(words, arrays, options)
    sequences = len(starts[0]) - 1 if options.layout == PACKED else q.shape[0]
    head, row = _HEAD_AXIS[options.layout], _ROW_AXIS[options.layout]
    lengths = q.shape[row], k.shape[row]
    if options.layout == PACKED:
        lengths = options.longest_q, options.longest_k
    mask = _checked_mask(words.mask, arrays.mask, (sequences, q.shape[head], *lengths), q)
    alibi = checked_slopes(arrays.alibi, (sequences, q.shape[head]))
    q, k, v = (unit_last_axis(x) for x in (q, k, v))
    return Arrays(q, k, v, mask, alibi, *starts)


def check_heads(words: Words, q: Any, k: Any, v: Any, options: Options) -> None:
    """Raise unless the three are arrays of heads that fit one another."""
    layout = options.layout
    for name, array in zip(words, (q, k, v)):
        check_array(name, array)
        if array.ndim != len(_AXES[layout].split(",")):
            count = "three" if layout == PACKED else "four"
            raise ShapeError(
                f"{name}: got shape {array.shape}, expected {count} axes {_AXES[layout]}"
            )
        if not 1 <= array.shape[-1] <= WIDEST_HEAD:
            raise ShapeError(
                f"{name}: got head width {array.shape[-1]}, expected 1 to {WIDEST_HEAD}"
            )
    check_same_dtype(**dict(zip(words, (q, k, v))))
    sequences = () if layout == PACKED else q.shape[:1]
    check_shape((*sequences, *k.shape[len(sequences) : -1], q.shape[-1]), **{words.k: k})
    check_shape(_with_width(k, v), **{words.v: v})
    _check_groups(words, q.shape[_HEAD_AXIS[layout]], k.shape[_HEAD_AXIS[layout]], options)


def _with_width(array: Any, of: Any) -> tuple[int, ...]:
    return (*array.shape[:-1], of.shape[-1])


def _check_groups(words: Words, heads: int, shared: int, options: Options) -> None:
    if shared == heads:
        return
    if not options.shares_heads:
        raise ShapeError(
            f"{words.k}: got {shared} heads, expected {heads} like {words.q}; "
            "enable_gqa=True lets groups of query heads share one"
        )
    if not shared or heads % shared:
        raise ShapeError(
            f"{words.k}: got {shared} heads, expected a divisor of {words.q}'s {heads}"
        )


def _checked_starts(words: Words, arrays: Arrays, options: Options) -> tuple[Any, Any]:
    if options.layout != PACKED:
        return None, None
    starts = arrays.starts_q, arrays.starts_k
    rows = len(arrays.q), len(arrays.k)
    longest = options.longest_q, options.longest_k
    for side, cu_seqlens, total, most in zip("qk", starts, rows, longest):
        check_starts(f"cu_seqlens_{side}", cu_seqlens, total, f"max_seqlen_{side}", most)
    if starts[0].shape != starts[1].shape:
        raise ShapeError(
            f"cu_seqlens_k: got shape {starts[1].shape}, expected {starts[0].shape} like "
            "cu_seqlens_q"
        )
    return readable(starts[0]), readable(starts[1])


def check_starts(name: str, starts: Any, total: int, longest_name: str, longest: int) -> None:
    """Raise unless `starts` holds the rows before each of its sequences and `total` at the end."""
    check_array(name, starts, (np.dtype(np.int32),))
    if starts.ndim != 1 or not len(starts):
        raise ShapeError(
            f"{name}: got shape {starts.shape}, expected (S + 1,): 0 and the rows up to the end of "
            "each sequence"
        )
    if defers(starts):
        return
    if starts[0] != 0:
        raise ShapeError(f"{name}: got {starts[0]} first, expected 0")
    drops = starts[1:] < starts[:-1]  # not a difference, which may be beyond 32 bits
    if drops.any():
        at = int(drops.argmax())
        raise ShapeError(
            f"{name}: got {starts[at + 1]} after {starts[at]} at {at + 1}, expected no decrease"
        )
    if starts[-1] != total:
        raise ShapeError(f"{name}: got {starts[-1]} last, expected the number of rows, {total}")
    lengths = starts[1:] - starts[:-1]
    if largest(lengths) > longest:
        raise ShapeError(
            f"{longest_name}: got {longest}, expected at least {lengths.max()}, the longest "
            f"sequence of {name}"
        )


def _checked_mask(name: str, mask: Any, scores: tuple[int, ...], q: Any) -> Any:
    if mask is None:
        return None
    kinds = (np.dtype(bool), q.dtype) if name == "attn_mask" else (q.dtype,)
    check_array(name, mask, kinds)
    check_broadcast(name, mask, scores)
    return readable(mask)


def check_broadcast(name: str, array: Any, wanted: tuple[int, ...]) -> None:
    """Raise unless `array` broadcasts to `wanted`."""
    pairs = zip(array.shape[::-1], wanted[::-1])
    if array.ndim > len(wanted) or any(m not in (1, n) for m, n in pairs):
        raise ShapeError(
            f"{name}: got shape {array.shape}, expected one that broadcasts to {wanted}"
        )


def checked_slopes(slopes: Any, wanted: tuple[int, int]) -> Any:
    """The slopes of (sequences, heads) in a form the kernel reads, or the error."""
    if slopes is None:
        return None
    check_array("alibi_slopes", slopes, (float32,))
    check_broadcast("alibi_slopes", slopes, wanted)
    return readable(slopes)


def _checked_saved(
    words: Words, saved: tuple[Any, Any, Any], arrays: Arrays, options: Options
) -> tuple[Any, Any, Any]:
    grad_output, output, lse = saved
    q = arrays.q
    shape = _with_width(q, arrays.v)
    for name, array in (("grad_output", grad_output), ("output", output)):
        check_array(name, array)
        check_shape(shape, **{name: array})
    check_same_dtype(**{words.q: q}, grad_output=grad_output, output=output)
    check_array("lse", lse, (accumulator_dtype(q.dtype),))
    check_same_device(**{words.q: q}, lse=lse)
    head, row = _HEAD_AXIS[options.layout], _ROW_AXIS[options.layout]
    sequences = () if options.layout == PACKED else q.shape[:1]
    check_shape((*sequences, q.shape[head], q.shape[row]), lse=lse)
    return unit_last_axis(grad_output), unit_last_axis(output), contiguous(lse)


def check_result(name: str, out: Any, shape: tuple[int, ...], like: Any) -> None:
    """Raise unless `out` can be written: shape, dtype, strides, no element twice."""
    check_array(name, out, (like.dtype,))
    check_shape(shape, **{name: out})
    if not is_writable(out):
        raise ConfigError(f"{name}: got a read-only array, expected a writable one")
    check_aligned(name, out)
    if out.shape[-1] > 1 and out.strides[-1] != out.itemsize:
        raise ShapeError(f"{name}: got strides {out.strides}, expected a contiguous last axis")
    if not backend(name, out).is_distinct(out):
        raise ShapeError(
            f"{name}: got strides {out.strides} for shape {out.shape}, with which elements share "
            "memory; expected one place for each"
        )
