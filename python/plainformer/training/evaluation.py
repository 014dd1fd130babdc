"""One pass over a data set without gradients: the loss, and predictions where asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError
from ..nn import evaluating
from .sampling import IGNORED, Batch, Collator, check_dataset, count_labels, sequential_batches


class EvalPrediction(NamedTuple):
    """What `compute_metrics` gets: logits and labels of the whole data set."""

    predictions: Any
    label_ids: Any


class PredictionOutput(NamedTuple):
    """What `Trainer.predict` returns."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float]


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
    logits: list[np.ndarray] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)

    @property
    def loss(self) -> float:
        """Mean over all labels that count; NaN without any."""
        return self.loss_sum / self.count if self.count else math.nan

    def add(self, model: Any, batch: Batch, keep_logits: bool) -> None:
        """Run one batch."""
        labels = batch_labels(batch)
        if labels is None:
            self._keep(model(**batch).logits, None)
            return
        self.labelled = True
        self.count += count_labels(model, batch)
        output = model(**batch, num_items_in_batch=1, return_logits=keep_logits)
        self.loss_sum += float(np.asarray(output.loss))
        if keep_logits:
            self._keep(output.logits, labels)

    def _keep(self, logits: Any, labels: Any) -> None:
        self.logits.append(np.asarray(logits))
        if labels is not None:
            self.labels.append(np.asarray(labels))

    def prediction(self) -> EvalPrediction:
        """All rows in order, short ones filled up with -100."""
        labels = join_rows(self.labels) if self.labels else None
        return EvalPrediction(join_rows(self.logits), labels)


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
    return {_prefixed(name, prefix): _plain(value) for name, value in metrics.items()}


def batch_labels(batch: Batch) -> Any:
    """The labels of a batch under either of their names, or None."""
    shifted = batch.get("shift_labels")
    return batch.get("labels") if shifted is None else shifted


def join_rows(arrays: list[np.ndarray]) -> np.ndarray:
    """Concatenate along the first axis; shorter second axes are filled up with -100."""
    if arrays[0].ndim < 2 or len({a.shape[1] for a in arrays}) == 1:
        return np.concatenate(arrays)
    width = max(a.shape[1] for a in arrays)
    rest = [(0, 0)] * (arrays[0].ndim - 2)
    filled = [
        np.pad(a, [(0, 0), (0, width - a.shape[1]), *rest], constant_values=IGNORED) for a in arrays
    ]
    return np.concatenate(filled)


def _prefixed(name: str, prefix: str) -> str:
    return name if name.startswith(f"{prefix}_") else f"{prefix}_{name}"


def _plain(value: Any) -> Any:
    """A NumPy scalar as the Python number that JSON can hold."""
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value
