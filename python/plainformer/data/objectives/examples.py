"""An objective applied to chunks of tokens, and the batches that it gives.

An objective is called with one text, an array of tokens, and its random numbers; it gives an
example, a mapping of arrays. Items of `ObjectiveExamples` are lists of examples, one for each text
of a chunk that sees only itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from .._random import EVALUATION, Draws
from ..baselines import Baselines, Labels, measure
from ..batches import Example, of_epoch
from ..chunks import Chunks
from ..fingerprints import digest

_COUNTED = 1 << 27  # training tokens that baselines count at most; more change nothing


class Objective(Protocol):
    """What a model learns from a text.

    ahead : tokens after a text that only serve as labels, 0 or 1
    """

    ahead: int

    def text_size(self, block_size: int) -> int:
        """Tokens of text that an example of `block_size` tokens has room for."""

    def __call__(self, text: np.ndarray, draws: Draws) -> Example:
        """The example of one text."""

    def labels(self, examples: Iterable[Example]) -> Labels:
        """The labels of examples and what a baseline sees of their neighbours."""

    def counted(self, text: np.ndarray, draws: Draws) -> np.ndarray:
        """The tokens of a training text that baselines count, so that pairs are those of `labels`;
        one id past the vocabulary may stand for the start."""


class ObjectiveExamples:
    """Examples of an objective: a pure function of (seed, epoch, number).

    As they are they serve evaluation: random choices are the same for every run and epoch.
    `for_epoch` gives those of a training epoch.

    Parameters
    ----------
    chunks : `Blocks`, `Windows` or `PackedDocuments`
    objective : `CausalLanguageModeling`, `MaskedLanguageModeling`, `SpanCorruption` or `Denoising`
    """

    def __init__(
        self, chunks: Chunks, objective: Objective, *, seed: int = 0, epoch: int = EVALUATION
    ):
        self.chunks, self.objective, self.seed, self.epoch = chunks, objective, seed, epoch

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> list[Example]:
        return [self.objective(text, draws) for text, draws in self.texts(index)]

    def texts(self, index: int) -> Iterator[tuple[np.ndarray, Draws]]:
        """The texts of a chunk, int32 (N,) each, with their random numbers."""
        index = range(len(self))[index]
        for part, text in enumerate(self.chunks[index]):
            yield np.asarray(text, np.int32), Draws(self.seed, self.epoch, index, part)

    def fingerprint(self) -> str:
        """A digest of the chunks and of the kind of objective; reads all tokens."""
        return digest([type(self.objective).__name__, self.chunks])

    def for_epoch(self, seed: int, epoch: int) -> ObjectiveExamples:
        """The examples of one training epoch."""
        chunks = of_epoch(self.chunks, seed, epoch)
        return ObjectiveExamples(chunks, self.objective, seed=seed, epoch=epoch)


def baselines_of(
    training: ObjectiveExamples, evaluation: ObjectiveExamples, vocab_size: int
) -> Baselines:
    """Unigram and bigram losses on the labels of `evaluation`, counted in the texts of `training`.

    Of more than 134 million training tokens only every second, third, ... chunk is counted.
    """
    objective = training.objective
    step = -(-len(training) * training.chunks.size // _COUNTED)
    counted = (
        objective.counted(text, draws)
        for index in range(0, len(training), step)
        for text, draws in training.texts(index)
    )
    examples = (example for i in range(len(evaluation)) for example in evaluation[i])
    return measure(objective.labels(examples), counted, vocab_size + 1)


def flat_examples(items: Sequence[list[Example]]) -> Iterator[Example]:
    """The examples of several items, in order."""
    return (example for item in items for example in item)
