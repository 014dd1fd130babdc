"""What `generate` starts from: prompts of any lengths as one array with padding on the left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import kernels
from ..errors import DTypeError, ShapeError, not_integers
from ..tensor import Array


@dataclass(frozen=True)
class Prompts:
    """Token rows of several lengths.

    ids : int64 (B, L), padding on the left
    starts : int64 (B,), column of each row's first token
    single : the caller gave one row without a batch axis
    mask : bool (B, L), the tokens of a batch with holes or with padding elsewhere, which stands as
        it was given; None: all from `starts` on
    """

    ids: Array
    starts: Array
    single: bool
    mask: Array | None = None

    @property
    def attention_mask(self) -> Array:
        """Which ids are tokens, bool (B, L)."""
        if self.mask is not None:
            return self.mask
        return np.arange(self.ids.shape[1]) >= self.starts[:, None]

    @property
    def rows(self) -> list[Array]:
        """Each row's tokens without padding."""
        return [row[own] for row, own in zip(self.ids, self.attention_mask)]

    def repeat(self, count: int) -> Prompts:
        """Each row `count` times, one after another."""
        return Prompts(self.ids.repeat(count, 0), self.starts.repeat(count), self.single)


def as_prompts(
    input_ids: Any,
    attention_mask: Any,
    pad: int,
    *,
    infer_mask: bool,
    in_place: bool = False,
    name: str = "input_ids",
) -> Prompts:
    """Read ids (L,), (B, L) with an optional mask, or a list of rows of several lengths.

    Parameters
    ----------
    attention_mask : like the ids; where it is 0 there is no token
    pad : fills rows that are shorter than others
    infer_mask : without a mask, take `pad` before and after the other ids of a row as padding
    in_place : leave tokens in their columns, as an encoder reads them; a decoder goes on behind
        the last one, so there what a mask hides is closed up

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    try:
        ids = kernels.asnumpy(kernels.array_of(input_ids))
    except MemoryError:
        raise ShapeError(f"{name}: got more ids than memory holds") from None
    except (ValueError, OverflowError):
        return _ragged(input_ids, attention_mask, pad, name)
    _check_ids(ids, name, input_ids)
    single = ids.ndim == 1
    ids = np.atleast_2d(ids).astype(np.int64)
    if attention_mask is not None:
        mask = np.atleast_2d(_as_array("attention_mask", attention_mask, "biuf")) != 0
        if mask.shape != ids.shape:
            raise ShapeError(f"attention_mask: got shape {mask.shape}, expected {ids.shape}")
    else:
        mask = _between_padding(ids, pad) if infer_mask else np.ones(ids.shape, bool)
    _check_rows(mask, name)
    if in_place and not mask.all():
        return Prompts(ids, np.argmax(mask, axis=1), single, mask)
    return _left_padded(ids, mask, pad, single)


def _between_padding(ids: Array, pad: int) -> Array:
    """False for `pad` at both ends of rows. In the middle it is a token like others."""
    tokens = ids != pad
    after_first = np.maximum.accumulate(tokens, axis=1)
    before_last = np.maximum.accumulate(tokens[:, ::-1], axis=1)[:, ::-1]
    return after_first & before_last


def _ragged(rows: Any, attention_mask: Any, pad: int, name: str) -> Prompts:
    if attention_mask is not None:
        raise ShapeError(f"attention_mask: {name} has rows of several lengths, expected no mask")
    arrays = [_as_array(name, row, "iu") for row in rows]
    for array in arrays:
        _check_ids(array, name, array)
        if array.ndim != 1:
            raise ShapeError(f"{name}: got a row of shape {array.shape}, expected (tokens,)")
    longest = max(len(array) for array in arrays)
    ids = np.full((len(arrays), longest), pad, np.int64)
    starts = np.array([longest - len(array) for array in arrays])
    for row, start, array in zip(ids, starts, arrays):
        row[start:] = array
    return Prompts(ids, starts, single=False)


def _as_array(name: str, value: Any, kinds: str) -> Array:
    """The value as an array of numbers; `kinds` are NumPy's letters for those that will do."""
    try:
        array = kernels.asnumpy(kernels.array_of(value))
    except (ValueError, OverflowError):
        array = None
    if array is None or (array.size and array.dtype.kind not in kinds):
        got = "rows of several lengths" if array is None else f"dtype {array.dtype}"
        raise DTypeError(f"{name}: got {got}, expected numbers in rows of one length")
    return array


def _left_padded(ids: Array, mask: Array, pad: int, single: bool) -> Prompts:
    """Padding at other places is moved to the left."""
    starts = ids.shape[1] - mask.sum(axis=1)
    if (mask != (np.arange(ids.shape[1]) >= starts[:, None])).any():
        order = np.argsort(mask, axis=1, kind="stable")
        ids = np.where(
            np.take_along_axis(mask, order, axis=1), np.take_along_axis(ids, order, axis=1), pad
        )
    return Prompts(ids, starts, single)


def _check_rows(mask: Array, name: str) -> None:
    counts = mask.sum(axis=1)
    if not counts.all():
        row = int(np.argmin(counts))
        raise ShapeError(f"{name}: row {row} has no token but padding, expected at least one")


def _check_ids(ids: Array, name: str, given: Any) -> None:
    if ids.size == 0:
        raise ShapeError(f"{name}: got shape {ids.shape}, expected at least one token a row")
    if ids.dtype.kind not in "iu":
        raise not_integers(name, given, ids.dtype)
    if ids.ndim not in (1, 2):
        raise ShapeError(f"{name}: got shape {ids.shape}, expected (batch, tokens) or (tokens,)")
