"""One pass over a data set without gradients: the loss, and predictions where asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from ..data.batches import IGNORE_INDEX
from ..errors import ConfigError, shown
from ..models.heads import PADDING_LOGIT
from ..models.seq2seq_lm import until_last_label
from ..nn import RaggedRows, evaluating
from ..reprs import outline, table_of
from ..tensor import Tensor
from .losses import Arrays, Batch, LossSum, batch_labels, part_of


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


ComputeMetrics = Callable[[EvalPrediction], dict[str, float]]


@dataclass
class Predictions:
    """What a model said of a data set, and its labels: the rows of every batch."""

    logits: list[Arrays] = field(default_factory=list)
    labels: list[Arrays] = field(default_factory=list)
    fill: float = IGNORE_INDEX  # what logits of padding are

    def keep(self, output: Any, batch: Batch) -> None:
        """The logits of a batch, or what stands for them, with padding marked as such."""
        found, self.fill = _predicted(output)
        computed = _computed(output, batch)
        if computed is not None and found[0].shape[:2] == computed.shape:
            found = tuple(_masked(array, computed, self.fill) for array in found)
        self.logits.append(found)
        if labels := batch_labels(batch):
            self.labels.append(tuple(map(kernels.asnumpy, labels)))

    def joined(self) -> EvalPrediction:
        """All rows in order, short ones filled up."""
        labels = _joined(self.labels, IGNORE_INDEX) if self.labels else None
        return EvalPrediction(_joined(self.logits, self.fill), labels)


def run_batches(
    model: Any, batches: Iterable[Batch], loss: LossSum | None = None, *, return_logits: bool = True
) -> Iterator[tuple[Batch, Any]]:
    """Each batch, and what `model` returns for it in evaluation mode; its mode stays as it was.

    loss : what the losses of batches with labels are added to
    return_logits : False where a loss is all that is wanted
    """
    for batch in batches:
        with evaluating(model):
            if loss is None:
                output = model(**batch)
            else:
                output = loss.add(model, batch, return_logits=return_logits)
        yield batch, output


def metrics_of(
    loss: LossSum, found: Predictions, compute_metrics: ComputeMetrics | None
) -> dict[str, Any]:
    """The loss and the user's metrics."""
    metrics: dict[str, Any] = {"loss": loss.mean} if loss.batches else {}
    if compute_metrics is not None and found.labels:
        extra = compute_metrics(found.joined())
        if not isinstance(extra, dict):
            raise ConfigError(f"compute_metrics: returned {type(extra).__name__}, expected a dict")
        metrics.update(extra)
    return metrics


def with_prefix(metrics: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Metrics as numbers that JSON can hold, their names behind `prefix` and a line below."""
    return {_prefixed(name, prefix): _plain(name, value) for name, value in metrics.items()}


def _predicted(output: Any) -> tuple[Arrays, float]:
    """What a model's output says of each row, and what stands there for padding."""
    if getattr(output, "start_logits", None) is not None:
        return (np.asarray(output.start_logits), np.asarray(output.end_logits)), PADDING_LOGIT
    if isinstance(output, Tensor):
        return (np.asarray(output),), IGNORE_INDEX
    place = 0 if np.ndim(part_of(output, "loss", 0)) else 1  # of a tuple, behind a loss
    for name in ("logits", "last_hidden_state"):
        found = part_of(output, name, place)
        if found is not None:
            return (np.asarray(found),), IGNORE_INDEX
    raise ConfigError(f"model: returned {type(output).__name__} without logits to predict with")


def _computed(output: Any, batch: Batch) -> np.ndarray | None:
    """Which places (B, L) of the logits are of the text, where that is known."""
    ids = batch.get("input_ids")
    if getattr(output, "encoder_last_hidden_state", None) is None:
        mask = batch.get("attention_mask")
        if isinstance(ids, RaggedRows):
            mask = ids.like(np.ones(ids.size, bool))
    else:
        mask = batch.get("decoder_attention_mask")
        if mask is None and batch.get("labels") is not None:
            return until_last_label(_on_host(batch["labels"]))
    return None if mask is None else _on_host(mask) != 0


def _on_host(values: Any) -> np.ndarray:
    return kernels.asnumpy(kernels.array_of(values))


def _masked(array: np.ndarray, computed: np.ndarray, fill: float) -> np.ndarray:
    places = computed.reshape(computed.shape + (1,) * (array.ndim - 2))
    return np.where(places, array, np.asarray(fill, array.dtype))


def _joined(batches: list[Arrays], fill: float) -> Any:
    """The rows of all batches: an array, or a tuple of several."""
    joined = tuple(join_rows(list(own), fill) for own in zip(*batches))
    return joined[0] if len(joined) == 1 else joined


def join_rows(arrays: list[np.ndarray], fill: float = IGNORE_INDEX) -> np.ndarray:
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
