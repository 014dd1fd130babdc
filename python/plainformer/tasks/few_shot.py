"""Few labels: an encoder learns that texts of one label are alike, then a head learns the labels.

Of 8 to 64 texts a label pairs are made, alike where both have the same label and else not; the
encoder learns their cosines to be 1 and 0. Then a logistic regression on its vectors is the head.
Before the training that is the head on the vectors as they came.

Tunstall and others, "Efficient Few-Shot Learning Without Prompts", 2022, arXiv:2209.11055 (SetFit).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..data._random import Draws
from ..data.fingerprints import digest
from ..errors import DataError
from ..models.heads import read_pooled
from ..nn import Linear, evaluating
from ..tape import no_grad
from ..training.batches import collate_groups
from .features import TaskExamples
from .logistic import logistic_regression
from .sentence_losses import COSINE, SentenceLearner
from .task import Array, Batch, chunks

PAIRS = 20  # of each kind, with each text, in an epoch
DEFAULTS = {
    "learning_rate": 5e-5,
    "num_train_epochs": 1.0,
    "per_device_train_batch_size": 16,
    "warmup_steps": 0.1,
}
_SMALL, _HIGH = 0.1, 10.0  # where tanh is nearly a line, and above all that relu and gelu bend


class FewShot:
    """The steps of learning from few labels, around those of `Trainer`.

    Parameters
    ----------
    task : TextClassification whose model has a new head that reads pooled states
    examples : to learn from, with one label each
    pairs : of each kind, with each text, in an epoch
    """

    def __init__(self, task: Any, examples: Sequence[Any], pairs: int = PAIRS):
        self.task, self.model = task, task.model
        self._inputs = [own[0].inputs for own in task.encode(examples, labelled=True)]
        self._labels = np.array([int(one["labels"]) for one in self._inputs])
        self.dataset = LabelPairs(self._inputs, self._labels, pairs)

    def learner(self) -> Any:
        """What the trainer trains."""
        return SentenceLearner(
            self.model, pooling=self.model.config.classifier_pooling, loss=COSINE
        )

    def collate(self, inputs: Sequence[Any]) -> Batch:
        """A batch of pairs."""
        return collate_groups("texts", inputs)

    def examples(self, examples: Sequence[Any]) -> TaskExamples:
        """Examples to watch training by; the head is fitted before each evaluation."""
        return _Fitted(self, examples)

    def fit(self) -> None:
        """Make the head the logistic regression on the vectors of the training texts."""
        head, between = _head_of(self.model)
        if between is not None:
            _straighten(between)
        vectors, offset, gain = self._vectors(between)
        weights, bias = logistic_regression(
            (vectors - offset) / gain, self._labels, len(self.task.labels)
        )
        weights = weights / gain
        bias = bias - (weights * offset).sum(axis=1)
        _assign(head, weights, bias)

    def _vectors(self, between: Linear | None) -> tuple[Array, float, float]:
        """What the last layer reads of each text (N, C), and what is to be taken off and divided by
        to have vectors 1 long."""
        found = []
        how, size = self.model.config.classifier_pooling, len(self._inputs)
        with evaluating(self.model), no_grad():
            for own in chunks(self._inputs, min(32, size)):
                batch = self.task.collate(own)
                batch.pop("labels")
                rows = self.model.rows(**batch)
                read = read_pooled(self.model.hidden_rows(rows), rows.sequences, how)
                read = read if between is None else between(read)
                found.append(kernels.asnumpy(read.data).astype(np.float64))
        vectors = np.vstack(found)
        length = float(np.sqrt(vectors.shape[1]))
        if between is None:
            return vectors, 0.0, length
        return (vectors, 0.0, _SMALL * length) if _bends(between) else (vectors, _HIGH, length)


class LabelPairs:
    """Pairs of texts, each epoch its own: with each text others of its label, and of other labels.

    Items are what a model takes of both, under `labels` 1 where they have the same label, else 0.
    A text whose label no other has is paired with itself.

    Raises
    ------
    DataError : all texts have one label
    """

    def __init__(self, inputs: Sequence[Any], labels: Array, pairs: int, chosen: Any = None):
        self._inputs, self._labels, self._pairs = inputs, labels, pairs
        if len(set(labels.tolist())) < 2:
            raise DataError("labels: got one alone, expected at least two to tell apart")
        self._chosen = self._draw(0, 0) if chosen is None else chosen

    def for_epoch(self, seed: int, epoch: int) -> LabelPairs:
        """The pairs of an epoch, a function of seed and epoch."""
        chosen = self._draw(seed, epoch)
        return LabelPairs(self._inputs, self._labels, self._pairs, chosen)

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> dict[str, Any]:
        i, j, alike = self._chosen[index]
        both = [self._inputs[i], self._inputs[j]]
        columns = {k: [one[k] for one in both] for k in both[0] if k != "labels"}
        return {**columns, "labels": np.float32(alike)}

    def fingerprint(self) -> str:
        """A digest of all inputs, and of how many pairs there are."""
        return digest([self._inputs, self._pairs])

    def _draw(self, seed: int, epoch: int) -> list[tuple[int, int, int]]:
        found = []
        for i, label in enumerate(self._labels):
            draws, same = Draws(seed, epoch, i), self._labels == label
            same[i] = same.sum() == 1
            for alike, others in ((1, np.flatnonzero(same)), (0, np.flatnonzero(~same))):
                others = others[(others != i) | bool(alike)]
                words = draws.words(self._pairs) % np.uint64(len(others))
                found += [(i, int(others[int(w)]), alike) for w in words]
        return found


class _Fitted(TaskExamples):
    """Examples of which a head is asked that was fitted just now."""

    def __init__(self, few: FewShot, examples: Sequence[Any]):
        super().__init__(few.task, examples)
        self._few = few

    def evaluate(self, batch_size: int) -> dict[str, float]:
        self._few.fit()
        return super().evaluate(batch_size)


def _head_of(model: Any) -> tuple[Linear, Linear | None]:
    """The layer that gives logits, and one between it and the vectors, where the family has it."""
    last = model.classifier
    if isinstance(last, Linear):
        return last, getattr(model, "pre_classifier", None)
    return last.out_proj, last.dense


def _straighten(layer: Linear) -> None:
    """Let a square layer pass on what it reads: a head on vectors needs nothing between."""
    size, bends = layer.weight.shape[0], _bends(layer)
    _assign(layer, np.eye(size) * (_SMALL if bends else 1), np.full(size, 0 if bends else _HIGH))


def _assign(layer: Linear, weight: Array, bias: Array) -> None:
    assert layer.bias is not None  # heads have one
    for parameter, value in ((layer.weight, weight), (layer.bias, bias)):
        parameter.copy_from(value.astype(np.float32), parameter.dtype)


def _bends(layer: Linear) -> bool:
    """Whether the layer's activation is tanh, a line about 0; relu and gelu are one far above."""
    return layer.activation == "tanh"
