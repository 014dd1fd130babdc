"""One pass over a data set without gradients: the loss, and predictions where asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError, shown
from ..models.heads import PADDING_LOGIT
from ..models.seq2seq_lm import until_last_label
from ..nn import evaluating
from ..reprs import outline, table_of
from .sampling import (
    IGNORED,
    Batch,
    Collator,
    check_dataset,
    check_inputs,
    count_labels,
    sequential_batches,
    takes,
)


class EvalPrediction(NamedTuple):
    """What `compute_metrics` gets: logits and labels of the whole data set.

    Arrays; for models that find spans pairs of arrays, of starts and of ends.
    """

    predictions: Any
    label_ids: Any


class PredictionOutput(NamedTuple):
    """What `Trainer.predict` returns."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float]

    def __repr__(self) -> str:
        arrays = f"predictions={outline(self.predictions)}, label_ids={outline(self.label_ids)}"
        return f"{type(self).__name__}({arrays}, metrics={self.metrics})"

    def _repr_html_(self) -> str:
        """The metrics as a notebook shows them."""
        return table_of(self.metrics, f"predictions: {outline(self.predictions)}")


Arrays = tuple[np.ndarray, ...]
_LABELS = (("shift_labels",), ("labels",), ("start_positions", "end_positions"))
ComputeMetrics = Callable[[EvalPrediction], dict[str, float]]


@dataclass
class Pass:
    """A pass over a data set: sum and count of the loss, and the rows of every batch.

    The sum is a Python float over per-batch float32 sums, divided once by all labels that count,
    so that batches of unequal size weigh what they hold.
    """

    loss_sum: float = 0.0
    count: int = 0
    labelled: bool = False
    logits: list[Arrays] = field(default_factory=list)
    labels: list[Arrays] = field(default_factory=list)
    fill: float = IGNORED  # what logits of padding are

    @property
    def loss(self) -> float:
        """Mean over all labels that count; NaN without any."""
        return self.loss_sum / self.count if self.count else math.nan

    def add(self, model: Any, batch: Batch, keep_logits: bool) -> None:
        """Run one batch."""
        labels = batch_labels(batch)
        if not labels:
            check_inputs(model, batch)
            self._keep(model(**batch), batch)
            return
        self.labelled = True
        self.count += count_labels(model, batch)
        options = {"return_logits": keep_logits} if takes(model, "return_logits") else {}
        output = model(**batch, num_items_in_batch=1, **options)
        self.loss_sum += float(np.asarray(output.loss))
        if keep_logits:
            self._keep(output, batch)
            self.labels.append(labels)

    def _keep(self, output: Any, batch: Batch) -> None:
        """The logits, or what stands for them, with padding marked as such."""
        found, self.fill = _predicted(output)
        computed = _computed(output, batch)
        if computed is not None and found[0].shape[:2] == computed.shape:
            found = tuple(_masked(array, computed, self.fill) for array in found)
        self.logits.append(found)

    def prediction(self) -> EvalPrediction:
        """All rows in order, short ones filled up."""
        labels = _joined(self.labels, IGNORED) if self.labels else None
        return EvalPrediction(_joined(self.logits, self.fill), labels)


def run_pass(
    model: Any, dataset: Any, batch_size: int, collate: Collator, keep_logits: bool
) -> Pass:
    """Run `model` in evaluation mode over `dataset`, in order, and leave its mode as it was."""
    check_dataset("eval_dataset", dataset)
    result = Pass()
    with evaluating(model):
        for batch in sequential_batches(dataset, batch_size, collate):
            result.add(model, batch, keep_logits)
    return result


def metrics_of(result: Pass, compute_metrics: ComputeMetrics | None, prefix: str) -> dict[str, Any]:
    """The loss and the user's metrics, all with `prefix`."""
    metrics: dict[str, Any] = {"loss": result.loss} if result.labelled else {}
    if compute_metrics is not None and result.labels:
        extra = compute_metrics(result.prediction())
        if not isinstance(extra, dict):
            raise ConfigError(f"compute_metrics: returned {type(extra).__name__}, expected a dict")
        metrics.update(extra)
    return {_prefixed(name, prefix): _plain(name, value) for name, value in metrics.items()}


def batch_labels(batch: Batch) -> Arrays:
    """The labels of a batch under whatever name, those of spans a pair; empty without any."""
    for names in _LABELS:
        found = [batch[name] for name in names if batch.get(name) is not None]
        if found:
            return tuple(map(np.asarray, found))
    return ()


def _predicted(output: Any) -> tuple[Arrays, float]:
    """What a model's output says of each row, and what stands there for padding."""
    if getattr(output, "start_logits", None) is not None:
        return (np.asarray(output.start_logits), np.asarray(output.end_logits)), PADDING_LOGIT
    logits = getattr(output, "logits", None)
    return (np.asarray(output.last_hidden_state if logits is None else logits),), IGNORED


def _computed(output: Any, batch: Batch) -> np.ndarray | None:
    """Which places (B, L) of the logits are of the text, where that is known."""
    if getattr(output, "encoder_last_hidden_state", None) is None:
        mask = batch.get("attention_mask")
    else:
        mask = batch.get("decoder_attention_mask")
        if mask is None and batch.get("labels") is not None:
            return until_last_label(np.asarray(batch["labels"]))
    return None if mask is None else np.asarray(mask) != 0


def _masked(array: np.ndarray, computed: np.ndarray, fill: float) -> np.ndarray:
    places = computed.reshape(computed.shape + (1,) * (array.ndim - 2))
    return np.where(places, array, np.asarray(fill, array.dtype))


def _joined(batches: list[Arrays], fill: float) -> Any:
    """The rows of all batches: an array, or a tuple of several."""
    joined = tuple(join_rows(list(own), fill) for own in zip(*batches))
    return joined[0] if len(joined) == 1 else joined


def join_rows(arrays: list[np.ndarray], fill: float = IGNORED) -> np.ndarray:
    """Concatenate along the first axis; shorter second axes are filled up."""
    if arrays[0].ndim < 2 or len({a.shape[1] for a in arrays}) == 1:
        return np.concatenate(arrays)
    width = max(a.shape[1] for a in arrays)
    rest = [(0, 0)] * (arrays[0].ndim - 2)
    filled = [
        np.pad(a, [(0, 0), (0, width - a.shape[1]), *rest], constant_values=fill) for a in arrays
    ]
    return np.concatenate(filled)


def _prefixed(name: str, prefix: str) -> str:
    if not isinstance(name, str):
        raise ConfigError(f"compute_metrics: got the name {shown(name)}, expected a str")
    return name if name.startswith(f"{prefix}_") else f"{prefix}_{name}"


def _plain(name: str, value: Any) -> Any:
    """A NumPy scalar as the Python number that JSON can hold."""
    if isinstance(value, np.ndarray) and value.size != 1:
        raise ConfigError(
            f"compute_metrics: {shown(name)}: got an array of shape {value.shape}, expected a "
            "number; return one under each name"
        )
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value
