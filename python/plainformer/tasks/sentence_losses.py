"""What an encoder learns from by the vectors of texts: losses of pairs and triplets.

Rows of vectors (B group, C) are the texts of B examples, each `group` long: a text, one that is
alike, and in triplets one that is less alike. All losses see directions alone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .. import functional, kernels
from ..models.outputs import SequenceClassifierOutput
from ..nn import RaggedRows
from ..tape import no_grad
from ..tensor import Tensor
from .task import Array

RANKING, COSINE, CONTRASTIVE = "multiple-negatives-ranking", "cosine", "contrastive"
LOSSES = (RANKING, COSINE, CONTRASTIVE)
_HIDDEN = np.float32(-1e9)


def ranking_loss(vectors: Tensor, group: int, scale: float, same: Array | None = None) -> Tensor:
    """The sum over examples of the cross entropy of finding the text that is alike, by cosine times
    `scale`, among those of all examples and all third texts.

    same : bool (B, candidates), candidates that are no wrong answer, being the same text as the
        right one or as the one that is asked for

    Henderson and others, "Efficient Natural Language Response Suggestion for Smart Reply", 2017,
    arXiv:1705.00652; sentence-transformers' MultipleNegativesRankingLoss.
    """
    count = len(vectors) // group
    asked = functional.take_rows(vectors, group * np.arange(count))
    candidates = functional.take_rows(vectors, candidate_rows(count, group))
    scores = functional.scale(
        functional.matmul(asked, functional.permute(candidates, (1, 0))), scale
    )
    if same is not None and same.any():
        hidden = np.where(same, _HIDDEN, np.float32(0)).astype(scores.dtype)
        scores = functional.add(scores, Tensor(kernels.asarray(hidden, scores.data)))
    return functional.cross_entropy(scores, np.arange(count), reduction="sum")


def candidate_rows(count: int, group: int) -> Array:
    """The rows that are compared with: second texts in order, then third ones."""
    return (group * np.arange(count) + np.arange(1, group)[:, None]).reshape(-1)


def cosine_loss(vectors: Tensor, labels: Array) -> Tensor:
    """The sum of (cosine - label)^2 over pairs; labels (B,)."""
    return ((_cosine_of_pairs(vectors) - _beside(labels, vectors)) ** 2).sum()


def contrastive_loss(vectors: Tensor, labels: Array, margin: float) -> Tensor:
    """The sum of half the squared distance, 1 - cosine, of pairs with label 1, and of half the
    square of what those with label 0 lack of `margin`.

    Hadsell, Chopra, LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", 2006.
    """
    alike = _beside(labels, vectors)
    distance = 1 - _cosine_of_pairs(vectors)
    lacks = functional.relu(margin - distance)
    return 0.5 * (alike * distance**2 + (1 - alike) * lacks**2).sum()


def same_texts(ids: RaggedRows, group: int) -> Array:
    """Which candidates (B, candidates) are the same tokens as the text of an example or as its
    right answer, and are not that answer itself."""
    values, borders = kernels.asnumpy(ids.values), kernels.asnumpy(ids.sequences.cu_seqlens)
    names = [values[a:b].tobytes() for a, b in pairwise(borders)]
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    own = np.array([numbers[name] for name in names])
    count = len(names) // group
    candidates = own[candidate_rows(count, group)]
    same: Array = (candidates == own[0::group, None]) | (candidates == own[1::group, None])
    same[np.arange(count), np.arange(count)] = False
    return same


def _cosine_of_pairs(vectors: Tensor, group: int = 2) -> Tensor:
    rows = np.arange(0, len(vectors), group)
    a, b = (functional.take_rows(vectors, rows + i) for i in (0, 1))
    return (a * b).sum(axis=1)


def _beside(labels: Array, vectors: Tensor) -> Any:
    return kernels.asarray(labels.astype(vectors.dtype), vectors.data)


class SentenceLearner:
    """A model with a loss of the vectors that its encoder makes: what `Trainer` takes for it.

    All else that is asked of it is the model's own.

    loss : None for what the labels say: ranking without them, else cosine
    largest : what labels are divided by to be cosines
    """

    def __init__(
        self,
        model: Any,
        *,
        pooling: str,
        loss: str | None = None,
        scale: float = 20.0,
        margin: float = 0.5,
        largest: float = 1.0,
    ):
        self._model, self._pooling, self._loss = model, pooling, loss
        self._scale, self._margin, self._largest = scale, margin, largest

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_model":  # copies ask before there is a model
            raise AttributeError(name)
        return getattr(self._model, name)

    def __call__(
        self,
        input_ids: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        num_items_in_batch: int | None = None,
    ) -> SequenceClassifierOutput:
        """The cosines of the first two texts, and with labels the loss.

        input_ids, token_type_ids : nn.RaggedRows, with `group` rows an example
        labels : (B,) how alike two texts are; NaN where nothing is said
        num_items_in_batch : what the summed loss is divided by; None means the examples
        """
        group = input_ids.group
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        vectors = self._model.base_model.sentence_embeddings(
            input_ids, pooling=self._pooling, normalize=True, **types
        )
        with no_grad():
            near = _cosine_of_pairs(vectors, group)
        if labels is None:
            return SequenceClassifierOutput(logits=near)
        given = kernels.asnumpy(kernels.array_of(labels))
        loss = self.loss_of(vectors, given, same_texts(input_ids, group), group)
        items = len(given) if num_items_in_batch is None else num_items_in_batch
        return SequenceClassifierOutput(functional.scale(loss, 1 / items), logits=near)

    def loss_of(self, vectors: Tensor, labels: Array, same: Array | None, group: int) -> Tensor:
        """The sum of the losses of unit vectors (B group, C)."""
        kind = self._loss or (RANKING if np.isnan(labels).all() else COSINE)
        if kind == RANKING:
            return ranking_loss(vectors, group, self._scale, same)
        if kind == COSINE:
            return cosine_loss(vectors, labels / self._largest)
        return contrastive_loss(vectors, labels, self._margin)

    def count_labels(self, batch: Any) -> int:
        """Examples of a batch."""
        return len(batch["labels"])
