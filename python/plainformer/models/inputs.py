"""What models take: token ids, masks and labels as arrays, and the rows that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from ..data.batches import IGNORE_INDEX
from ..errors import ConfigError, ShapeError, not_integers
from ..nn import RaggedRows, Sequences
from ..tensor import Array


def as_ids(name: str, ids: Any) -> Any:
    """Token ids as an integer array (B, L); ragged rows of integers stay what they are."""
    try:
        array = ids if isinstance(ids, RaggedRows) else kernels.array_of(ids)
    except ValueError:
        raise ShapeError(
            f"{name}: got rows of several lengths, expected one; pad them, with attention_mask 0"
        ) from None
    if array.dtype.kind not in "iu":
        raise not_integers(name, ids, array.dtype)
    if array.ndim != 2:
        raise ShapeError(f"{name}: got shape {array.shape}, expected (batch, tokens)")
    if array.dtype in (np.int32, np.int64) or isinstance(array, RaggedRows):
        return array
    return array.astype(np.int64)


def counted(labels: Array) -> int:
    """How many labels enter the loss: those that are not -100."""
    return int((labels != IGNORE_INDEX).sum())


def like_ids(name: str, values: Any, shape: tuple[int, int]) -> Any:
    """Integers (B, L) that stand beside the ids, such as token types, positions or labels."""
    array = as_ids(name, values)
    if array.shape != shape:
        raise ShapeError(f"{name}: got shape {array.shape}, expected {shape} like input_ids")
    return array


def sequences_of(ids: Any, attention_mask: Any = None, cu_seqlens: Any = None) -> Sequences:
    """The sequences of a batch of ids (B, L): one a row, or documents packed into one row.

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    if isinstance(ids, RaggedRows):
        if attention_mask is not None or cu_seqlens is not None:
            raise ConfigError("input_ids: got ragged rows, which have neither mask nor cu_seqlens")
        return ids.sequences
    if cu_seqlens is None:
        if attention_mask is None:
            return Sequences.uniform(*ids.shape)
        return Sequences.from_mask(attention_mask, ids.shape)
    if attention_mask is not None:
        raise ConfigError("cu_seqlens: got attention_mask too, expected one of them")
    return Sequences.packed(cu_seqlens, ids.shape)


def positions_of(rows: Sequences, position_ids: Any = None, past: Array | None = None) -> Array:
    """The position of each row, int32 (N,): its place in its sequence, after `past` tokens."""
    if position_ids is not None:
        return rows.rows_of(like_ids("position_ids", position_ids, rows.shape))
    positions = rows.positions()
    return (
        positions if past is None else positions + kernels.asarray(rows.for_rows(past), positions)
    )


def positions_after_padding(batch: Any, rows: Sequences, pad: int) -> Array:
    """Positions (N,) that count only tokens other than padding, from pad + 1 on.

    A token that a mask hides between two others is counted, whatever the mask says; a padding
    token has the position `pad`. Ott et al., "fairseq", 2019, arXiv:1904.01038.
    """
    ids = rows.rows_of(batch)
    if not len(ids):
        return ids
    if isinstance(batch, RaggedRows):
        own = (ids != pad).cumsum()
    else:
        counts = (batch != pad).reshape(-1).cumsum()
        own = counts[kernels.asarray(rows.places(), counts)]
    xp = kernels.xp(ids)
    starts = kernels.asarray(rows.cu_seqlens[:-1], own)
    starts = xp.minimum(starts, len(ids) - 1)  # an empty sequence at the end has none
    own = own - rows.for_rows(own[starts] - (ids[starts] != pad))  # 1 for the first
    return xp.where(ids != pad, own + pad, pad)


def check_positions(
    positions: Array, limit: int, name: str = "max_position_embeddings", first: int = 0
) -> None:
    """Raise unless all positions are below the number that the model has.

    first : the position of a sequence's first token
    """
    if positions.size and positions.max() >= limit:
        reserved = f", of which {first} are reserved" if first else ""
        raise ShapeError(
            f"input_ids: got {int(positions.max()) + 1 - first} tokens in a sequence, the model "
            f"has {name} = {limit}{reserved}; cut the input"
        )


def shifted_rows(rows: Sequences, ids: Array, labels: Any, shift_labels: Any) -> Array | None:
    """The label of each row (N,), -100 where there is none; None without labels.

    `labels` (B, L) say of each token which it is, so a row's label is that of the next row of its
    sequence; `shift_labels` (B, L) are aligned already.
    """
    if labels is not None and shift_labels is not None:
        raise ConfigError("labels: got labels and shift_labels, expected one of them")
    if shift_labels is not None:
        return rows.rows_of(like_ids("shift_labels", shift_labels, ids.shape))
    if labels is None:
        return None
    own = rows.rows_of(like_ids("labels", labels, ids.shape))
    shifted = kernels.xp(own).full_like(own, IGNORE_INDEX)
    shifted[:-1] = own[1:]
    ends = rows.cu_seqlens[1:][rows.lengths > 0] - 1
    shifted[kernels.asarray(ends, shifted)] = IGNORE_INDEX
    return shifted


def check_items(num_items: int | None) -> None:
    """Raise unless the number that a summed loss is divided by is None or at least 1."""
    if num_items is not None and num_items < 1:
        raise ConfigError(f"num_items_in_batch: got {num_items}, expected at least 1")
