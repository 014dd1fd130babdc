"""Task heads: what they compute on the states of any encoder or decoder, and their losses.

A family's head class owns the parameters under Hugging Face's names; the arithmetic that families
share is here. Rows (N, C) are the tokens of all sequences; S is the number of sequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import functional, kernels
from ..data.batches import IGNORE_INDEX
from ..errors import ConfigError, ShapeError, shown
from ..kernels._arrays import accumulator_dtype
from ..nn import RaggedRows, Sequences
from ..tensor import Array, Tensor
from .config import POOLINGS, PretrainedConfig
from .inputs import as_ids, counted, like_ids, sequences_of


def pool(x: Tensor, rows: Sequences, how: str) -> Tensor:
    """One vector a sequence (S, C) of rows (N, C): its first row, its last one or their mean."""
    if how == "cls":
        return functional.take_rows(x, rows.first_rows())
    if how == "last":
        return functional.take_rows(x, rows.last_rows())
    if how == "mean":
        rows.first_rows()  # raises for a sequence without tokens
        return functional.mean_of_sequences(x, rows.cu_seqlens)
    raise ConfigError(f"pooling: got {shown(how)}, expected one of {', '.join(POOLINGS)}")


def read_pooled(x: Tensor, rows: Sequences, how: str | None) -> Tensor:
    """What a head for sequences reads of states (N, C): one vector (S, C) of each.

    how : None, the first token's state, as the family has it; else as in `pool`, scaled to root
        mean square 1. Sentence encoders were trained to be compared by direction, and a head on
        vectors of that size learns at the rates that other heads learn at.
    """
    if how is None:
        return functional.take_rows(x, rows.first_rows())
    return functional.scale(functional.normalize(pool(x, rows, how)), x.shape[1] ** 0.5)


def class_labels(name: str, labels: Any, count: int) -> Array:
    """One label a sequence, int64 (S,)."""
    array = kernels.array_of(labels)
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
        as_class_weights(class_weight, logits),
        ignore_index=IGNORE_INDEX,
        label_smoothing=label_smoothing,
        reduction="mean" if num_items is None else "sum",
    )
    return loss if num_items is None else functional.scale(loss, 1 / num_items)


def as_class_weights(given: Any, logits: Tensor) -> Array | None:
    """Weights (classes,) of the losses of logits (M, classes), in the type that losses have."""
    if given is None:
        return None
    weights = kernels.array_of(given)
    if weights.dtype.kind not in "iuf" or weights.shape != logits.shape[1:]:
        raise ShapeError(
            f"class_weight: got {weights.dtype} {weights.shape}, expected numbers "
            f"{logits.shape[1:]}, one a class"
        )
    return weights.astype(accumulator_dtype(logits.dtype))


def sequence_loss(
    logits: Tensor,
    labels: Any,
    problem_type: str | None,
    *,
    class_weight: Any = None,
    num_items: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The loss of a sequence classifier's logits (S, classes); see `SequenceClassifier`.

    Without a problem type, one class means regression, integer labels mean one class a sequence,
    and others mean several classes a sequence.
    """
    given = kernels.array_of(labels)
    if problem_type is None:
        several = "single" if given.dtype.kind in "iu" else "multi"
        problem_type = "regression" if logits.shape[1] == 1 else f"{several}_label_classification"
    if problem_type == "single_label_classification":
        return classification_loss(
            logits,
            class_labels("labels", given, len(logits)),
            class_weight=class_weight,
            num_items=num_items,
            label_smoothing=label_smoothing,
        )
    if label_smoothing:
        raise ConfigError(f"label_smoothing: got {label_smoothing}, {problem_type} has none")
    if problem_type == "regression" and class_weight is not None:
        raise ConfigError("class_weight: regression has no classes; leave it out")
    target = numeric_labels(given, logits.shape)
    reduction = "mean" if num_items is None else "sum"
    if problem_type == "regression":
        loss = functional.mse_loss(logits, target, reduction)
    else:
        weights = as_class_weights(class_weight, logits)
        loss = functional.binary_cross_entropy_with_logits(logits, target, weights, reduction)
    return loss if num_items is None else functional.scale(loss, 1 / num_items)


def numeric_labels(labels: Array, shape: tuple[int, ...]) -> Array:
    """Numbers beside logits (S, classes); with one class also (S,)."""
    wanted = (shape, shape[:1]) if shape[1] == 1 else (shape,)
    if labels.dtype.kind not in "iuf" or labels.shape not in wanted:
        raise ShapeError(f"labels: got {labels.dtype} {labels.shape}, expected numbers {shape}")
    return labels.reshape(shape)


def count_class_labels(labels: Any) -> int:
    """How many labels of sequences enter the loss: classes that are not -100, or all numbers."""
    array = kernels.array_of(labels)
    return counted(array) if array.dtype.kind in "iu" else array.size


def token_labels(rows: Sequences, labels: Any) -> Array:
    """The labels (N,) of all rows from a batch (B, L)."""
    return rows.rows_of(like_ids("labels", labels, rows.shape))


def replaced_loss(
    logits: Tensor, labels: Any, rows: Sequences, num_items: int | None = None
) -> Tensor:
    """Binary cross entropy of logits (N, 1) with labels (B, L) of 0 and 1; -100 takes no part."""
    target = token_labels(rows, labels)
    places = kernels.xp(target).flatnonzero(target != IGNORE_INDEX)
    kept = target[places]
    if ((kept != 0) & (kept != 1)).any():
        raise ConfigError(
            f"labels: got {shown(int(kept[(kept != 0) & (kept != 1)][0]))}, expected 1 for a "
            "replaced token, 0 for another, or -100"
        )
    return sequence_loss(
        functional.take_rows(logits, places),
        kept.astype(np.float32),
        "multi_label_classification",
        num_items=num_items,
    )


def count_token_labels(batch: Mapping[str, Any]) -> int:
    """How many labels of a batch with a label a token are neither -100 nor at padding."""
    ids = as_ids("labels", batch["labels"])
    sequences = sequences_of(ids, batch.get("attention_mask"), batch.get("cu_seqlens"))
    return counted(token_labels(sequences, ids))


def span_labels(config: PretrainedConfig) -> int:
    """The 2 outputs of a question answerer; raises where the configuration wants others."""
    if config.num_labels != 2:
        raise ConfigError(
            f"num_labels: got {config.num_labels}, question answering has 2, a start and an end"
        )
    return 2


# Of padding, far below any other: finite, so that adding to it stays so.
PADDING_LOGIT = float(np.finfo(np.float32).min / 2)


def span_logits(logits: Tensor, rows: Sequences) -> tuple[Tensor, Tensor]:
    """Start and end logits (B, L) of rows (N, 2); padding gets the lowest finite number."""
    B, L = rows.shape
    batch = rows.batch_of(logits)
    columns = (functional.columns(batch, i, i + 1) for i in (0, 1))
    start, end = (functional.reshape(column, (B, L)) for column in columns)
    if rows.index is None:
        return start, end
    hidden = kernels.xp(start.data).full((B, L), PADDING_LOGIT, start.dtype)
    hidden.reshape(-1)[kernels.asarray(rows.index, hidden)] = 0
    return functional.add(start, Tensor(hidden)), functional.add(end, Tensor(hidden))


def span_loss(
    start: Tensor,
    end: Tensor,
    start_positions: Any,
    end_positions: Any,
    num_items: int | None,
    rows: Sequences,
) -> Tensor:
    """Mean of the cross entropies of start and end; positions beyond the row take no part, nor do
    those in its padding."""
    losses = []
    for name, logits, positions in (
        ("start_positions", start, start_positions),
        ("end_positions", end, end_positions),
    ):
        if positions is None:
            raise ConfigError(f"{name}: got None, expected start_positions and end_positions")
        target = span_targets(class_labels(name, positions, len(start)), rows)
        losses.append(classification_loss(logits, target, num_items=num_items))
    return functional.scale(functional.add(*losses), 0.5)


def span_targets(positions: Array, rows: Sequences) -> Array:
    """Columns (B,), -100 for those outside of the batch's rows, or in their padding."""
    xp, (B, L) = kernels.xp(positions), rows.shape
    outside = (positions < 0) | (positions >= L)
    if rows.index is not None:
        places = xp.arange(B) * L + positions
        outside |= ~xp.isin(places, kernels.asarray(rows.index, places))
    return xp.where(outside, IGNORE_INDEX, positions)


def count_span_labels(positions: Any, rows: Sequences) -> int:
    """How many starts or ends (B,) of answers enter the loss."""
    return counted(span_targets(kernels.array_of(positions), rows))


def as_choices(name: str, ids: Any) -> tuple[Any, int]:
    """Ids (B, choices, L) as (B choices, L), and the number of choices."""
    if isinstance(ids, RaggedRows):
        return ids, ids.group
    array = kernels.array_of(ids)
    if array.ndim != 3:
        raise ShapeError(f"{name}: got shape {array.shape}, expected (batch, choices, tokens)")
    return as_ids(name, array.reshape(-1, array.shape[2])), array.shape[1]
