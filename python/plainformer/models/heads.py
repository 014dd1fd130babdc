"""Task heads: what they compute on the states of any encoder or decoder, and their losses.

A family's head class owns the parameters under Hugging Face's names; the arithmetic that families
share is here. Rows (N, C) are the tokens of all sequences; S is the number of sequences.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional
from ..errors import ConfigError, ShapeError
from ..nn import Sequences
from ..tensor import Array, Tensor
from .inputs import IGNORED, as_ids, like_ids

POOLINGS = ("cls", "mean", "last")


def pool(x: Tensor, rows: Sequences, how: str) -> Tensor:
    """One vector a sequence (S, C) of rows (N, C): its first row, its last one or their mean."""
    if how == "cls":
        return functional.take_rows(x, rows.first_rows())
    if how == "last":
        return functional.take_rows(x, rows.last_rows())
    if how == "mean":
        rows.first_rows()  # raises for a sequence without tokens
        return functional.mean_of_sequences(x, rows.cu_seqlens)
    raise ConfigError(f"pooling: got {how!r}, expected one of {', '.join(POOLINGS)}")


def class_labels(name: str, labels: Any, count: int) -> Array:
    """One label a sequence, int64 (S,)."""
    array = np.asarray(labels)
    if array.dtype.kind not in "iu" or array.shape != (count,):
        raise ShapeError(
            f"{name}: got {array.dtype} {array.shape}, expected integers ({count},), one a row"
        )
    return array.astype(np.int64)


def classification_loss(
    logits: Tensor,
    labels: Array,
    *,
    class_weight: Array | None = None,
    num_items: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of logits (M, classes) with labels (M,); -100 takes no part.

    With `num_items` the sum is divided by it, else by the labels that count (their weights, with
    `class_weight` (classes,)).
    """
    loss = functional.cross_entropy(
        logits,
        labels,
        class_weight,
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
        reduction="mean" if num_items is None else "sum",
    )
    return loss if num_items is None else functional.scale(loss, 1 / num_items)


def token_labels(rows: Sequences, labels: Any, shape: tuple[int, int]) -> Array:
    """The labels (N,) of all rows from a batch (B, L)."""
    return rows.rows_of(like_ids("labels", labels, shape))


def span_logits(logits: Tensor, rows: Sequences) -> tuple[Tensor, Tensor]:
    """Start and end logits (B, L) of rows (N, 2); padding gets the lowest finite number."""
    B, L = rows.shape
    batch = rows.batch_of(logits)
    columns = (functional.columns(batch, i, i + 1) for i in (0, 1))
    start, end = (functional.reshape(column, (B, L)) for column in columns)
    if rows.index is None:
        return start, end
    hidden = np.zeros((B, L), start.dtype)
    hidden.reshape(-1)[:] = np.finfo(np.float32).min / 2
    hidden.reshape(-1)[rows.index] = 0
    return functional.add(start, Tensor(hidden)), functional.add(end, Tensor(hidden))


def span_loss(
    start: Tensor, end: Tensor, start_positions: Any, end_positions: Any, num_items: int | None
) -> Tensor:
    """Mean of the cross entropies of start and end; positions beyond the row take no part."""
    B, L = start.shape
    losses = []
    for name, logits, positions in (
        ("start_positions", start, start_positions),
        ("end_positions", end, end_positions),
    ):
        if positions is None:
            raise ConfigError(f"{name}: got None, expected start_positions and end_positions")
        target = class_labels(name, positions, B)
        target = np.where((target < 0) | (target >= L), IGNORED, target)
        losses.append(classification_loss(logits, target, num_items=num_items))
    return functional.scale(functional.add(*losses), 0.5)


def as_choices(name: str, ids: Any) -> tuple[Array, int]:
    """Ids (B, choices, L) as (B choices, L), and the number of choices."""
    array = np.asarray(ids)
    if array.ndim != 3:
        raise ShapeError(f"{name}: got shape {array.shape}, expected (batch, choices, tokens)")
    return as_ids(name, array.reshape(-1, array.shape[2])), array.shape[1]
