"""Sentence similarity: vectors of texts that are near each other where the texts are alike.

An encoder learns from pairs that are alike, from triplets with a third text that is less alike, or
from pairs with a number. What it is saved as, sentence-transformers opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from .. import functional
from ..checkpoints.sentence_transformers import SentenceFiles, write_sentence_files
from ..data import TextExample
from ..errors import ConfigError, DataError
from ..metrics import pearson_correlation, spearman_correlation
from ..options import above, one_of, option
from ..tape import no_grad
from ..tensor import Tensor
from ..training.batches import collate_groups
from ..training.losses import LossSum
from .features import Feature
from .registry import register
from .search import cosines
from .sentence_losses import CONTRASTIVE, LOSSES, RANKING, SentenceLearner
from .task import Array, Batch, Inputs
from .vectors import VectorSettings, VectorTask

_DEFAULT = "default"  # the name of a prompt that stands before every text
_BLOCK = 1024  # texts ranked at once


@dataclass(frozen=True)
class SentenceSimilaritySettings(VectorSettings):
    """Options of sentence similarity."""

    loss: str | None = option(
        None,
        "What vectors learn from: multiple-negatives-ranking (pairs and triplets; all other texts "
        "of a batch are wrong answers), cosine (labels are what cosines should be) or contrastive "
        "(labels 1 and 0); default the first without labels, else the second.",
        one_of(*LOSSES),
    )
    scale: float = option(
        20.0, "What cosines are multiplied with in multiple-negatives-ranking.", above(0)
    )
    margin: float = option(
        0.5, "How far apart (1 - cosine) the contrastive loss wants texts of label 0.", above(0, 2)
    )
    largest_score: float | None = option(
        None,
        "What labels are divided by, to be cosines, as 5 for STS; default the largest of the "
        "training data where one is above 1.",
        above(0),
    )


@register
class SentenceSimilarity(VectorTask):
    """How alike two texts are. A prediction has the vector of each text, float32 (texts, C)."""

    name = "sentence-similarity"
    metric = "spearman"
    smooths = False
    settings_class = SentenceSimilaritySettings
    answer_fields = ("score",)

    @classmethod
    def settings_for(cls, settings: Any, examples: Sequence[Any]) -> Any:
        _check_loss(settings.loss, examples[0])
        labels = [example.label for example in examples if example.label is not None]
        _check_labels(settings.loss, labels)
        largest = max(labels, default=0)
        if settings.largest_score is None and largest > 1:
            return replace(settings, largest_score=float(largest))
        return settings

    def learner(self) -> SentenceLearner:
        own = self.settings
        return SentenceLearner(
            self.model,
            pooling=self.pooling,
            loss=own.loss,
            scale=own.scale,
            margin=own.margin,
            largest=own.largest_score or 1.0,
        )

    def watch(self, examples: Sequence[Any]) -> None:
        if len(examples):
            self.metric = _metric_of(examples[0])

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        texts = [_texts(example) for example in examples]
        encoded = iter(self.encode_prompted([text for own in texts for text in own]))
        features = []
        for example, own in zip(examples, texts):
            found = [next(encoded) for _ in own]
            columns = [self.inputs(one) for one, _ in found]
            inputs: dict[str, Any] = {key: [c[key] for c in columns] for key in columns[0]}
            if labelled:
                inputs["labels"] = np.float32(np.nan if example.label is None else example.label)
            features.append([Feature(inputs, cut=any(cut for _, cut in found))])
        return features

    def collate(self, inputs: Sequence[Inputs]) -> Batch:
        """A batch of `group` rows an example. Raises ShapeError where examples have not as many."""
        if not isinstance(inputs[0]["input_ids"], list):  # texts alone
            return super().collate(inputs)
        return collate_groups("texts", inputs)

    def _forward(self, features: list[Feature], loss: LossSum | None) -> list[Array]:
        """Examples with as many texts as the one before are computed together."""
        found: list[Array] = []
        for count, own in groupby(features, key=lambda f: len(f.inputs["input_ids"])):
            batch = self.collate([feature.inputs for feature in own])
            labels = batch.pop("labels", None)
            vectors = self._pooled(batch)
            if loss is not None:
                self._add_loss(loss, vectors, labels, count)
            found += list(vectors.reshape(-1, count, self.width))
        return found

    def _add_loss(self, loss: LossSum, vectors: Array, labels: Array, count: int) -> None:
        with no_grad():
            unit = functional.normalize(Tensor(vectors))
            loss.total += self.learner().loss_of(unit, labels, None, count).item()
        loss.count, loss.batches = loss.count + len(labels), loss.batches + 1

    def decode(self, example: Any, features: Sequence[Feature], outputs: Sequence[Array]) -> Array:
        return outputs[0]

    def score(self, predictions: Sequence[Array], examples: Sequence[Any]) -> dict[str, float]:
        """Of labels the correlations with the cosine; of triplets how often the second text is
        nearer than the third; of other pairs how well each finds its second text among all."""
        name = _metric_of(examples[0])
        if name == "spearman":
            found = [_cosine(prediction, 1) for prediction in predictions]
            wanted = [example.label for example in examples]
            return {
                "spearman": spearman_correlation(predictions=found, references=wanted),
                "pearson": pearson_correlation(predictions=found, references=wanted),
            }
        if name == "accuracy":
            return {
                "accuracy": float(np.mean([_cosine(p, 1) > _cosine(p, 2) for p in predictions]))
            }
        ranks = _ranks(*np.stack(predictions, axis=1))
        return {"mrr": float(np.mean(1 / ranks)), "recall_at_1": float(np.mean(ranks == 1))}

    def answer(self, example: Any, prediction: Array) -> Any:
        """The cosine of two texts; of a text alone its vector."""
        return prediction[0] if isinstance(example, TextExample) else _cosine(prediction, 1)

    def together(self, answers: list[Any]) -> Any:
        """The cosines (N, N) of texts; for pairs a list of theirs."""
        if answers and all(isinstance(answer, np.ndarray) for answer in answers):
            vectors = np.stack(answers)
            return cosines(vectors, vectors)
        return answers

    def record(self, example: Any, prediction: Array) -> dict[str, Any]:
        if isinstance(example, TextExample):
            raise DataError(
                "text: got one alone, expected text and text_pair, to be compared; `plainformer "
                "embed` makes its vector"
            )
        return {"text": example.text, "text_pair": example.text_pair,
                "score": _cosine(prediction, 1)}  # fmt: skip

    def save_files(self, directory: str | Path) -> None:
        """What sentence-transformers reads of how vectors are made."""
        prompts = {_DEFAULT: self.prompt} if self.prompt else {}
        files = SentenceFiles(
            self.pooling,
            self.normalize,
            self.max_length,
            bool(self.settings.lower_case),
            prompts,
            _DEFAULT if prompts else None,
        )
        write_sentence_files(directory, files, self.width)


def _texts(example: Any) -> list[str]:
    if isinstance(example, TextExample):
        return [example.text]
    third = [] if example.negative is None else [example.negative]
    return [example.text, example.text_pair, *third]


def _metric_of(example: Any) -> str:
    """The figure of examples like this one."""
    if example.label is not None:
        return "spearman"
    return "mrr" if example.negative is None else "accuracy"


def _cosine(vectors: Array, other: int) -> float:
    """Of the first vector and another one."""
    return float(cosines(vectors[:1], vectors[other : other + 1])[0, 0])


def _ranks(asked: Array, answers: Array) -> Array:
    """The place (N,) of each answer among all, by its cosine with what is asked; 1 is the best."""
    found = []
    for start in range(0, len(asked), _BLOCK):
        scores = cosines(asked[start : start + _BLOCK], answers)
        own = scores[np.arange(len(scores)), start + np.arange(len(scores))]
        found.append(1 + (scores > own[:, None]).sum(axis=1))
    return np.concatenate(found)


def _check_loss(loss: str | None, example: Any) -> None:
    """Whether the examples have what a loss learns from."""
    if example.label is not None and loss == RANKING:
        wanted = "pairs or triplets without labels"
    elif example.label is None and loss not in (None, RANKING):
        wanted = "pairs with a label"
    else:
        return
    raise ConfigError(f"loss: {loss} takes {wanted}, but the training data is of another kind")


def _check_labels(loss: str | None, labels: Sequence[float]) -> None:
    if loss == CONTRASTIVE and not set(labels) <= {0.0, 1.0}:
        other = next(label for label in labels if label not in (0.0, 1.0))
        raise ConfigError(f"loss: {loss} takes labels 0 and 1, got {other:g}")
