"""What a model must beat: unigrams and bigrams, on exactly the labels that it is evaluated on.

Counts come from training text; whatever has to be chosen (the weight of the prior, that of the
left against the right neighbour) is chosen on the evaluated labels themselves, in the baseline's
favour. Memory is that of a few tables over the vocabulary and of the evaluated labels: of all pairs
of tokens only those that occur there are counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from .batches import IGNORE_INDEX, Example

_BATCH = 1 << 20  # tokens counted at once
_PRIORS = 10.0 ** np.arange(-2, 5, 0.25)  # weights, in tokens, tried for a smoother distribution
_SHARES = np.linspace(0, 1, 21)  # of the left neighbour's prediction
UNKNOWN = -1  # a neighbour that says nothing: a mask, a border


@dataclass(frozen=True)
class Baselines:
    """Mean losses in nats over `labels` labels, from `tokens` training tokens."""

    unigram: float
    bigram: float
    labels: int
    tokens: int


@dataclass(frozen=True)
class Labels:
    """Evaluated labels (M,) and the tokens beside them, `UNKNOWN` where there is none.

    left, right : (M,) int64; right is None where a model sees only what is before
    """

    target: np.ndarray
    left: np.ndarray
    right: np.ndarray | None = None


def causal_labels(examples: Iterable[Example]) -> Labels:
    """Labels of causal examples: the token to the left of a label is its input."""
    return _collect((e["shift_labels"], e["input_ids"]) for e in examples)


def masked_labels(examples: Iterable[Example], special: np.ndarray) -> Labels:
    """Labels of masked examples between the neighbours that the model sees; `special` ids, masks
    among them, say nothing."""

    def columns(example: Example) -> tuple[np.ndarray, ...]:
        seen = np.where(special[example["input_ids"]], UNKNOWN, example["input_ids"])
        return example["labels"], np.append(UNKNOWN, seen[:-1]), np.append(seen[1:], UNKNOWN)

    return _collect(columns(example) for example in examples)


def target_labels(examples: Iterable[Example], start: int) -> Labels:
    """Labels of a decoder: before each one stands the label before it, `start` before the first."""
    return _collect((e["labels"], target_text(e, start)[:-1]) for e in examples)


def target_text(example: Example, start: int) -> np.ndarray:
    """The labels of a decoder after `start`, to be counted."""
    return np.concatenate([[start], example["labels"]]).astype(np.int64)


def measure(labels: Labels, texts: Iterable[np.ndarray], size: int) -> Baselines:
    """The losses of both baselines.

    Parameters
    ----------
    labels : what is evaluated
    texts : arrays of training tokens, ids below `size`; pairs do not span two of them

    A unigram is its count over all counts, with a prior of equal chances. A bigram is its count
    over that of its neighbour, with a prior of the unigrams (MacKay and Peto, "A Hierarchical
    Dirichlet Language Model", 1995). With neighbours on both sides their predictions are mixed.
    """
    counts = _Counts(labels, size)
    for text in _joined(texts):
        counts.add(text)
    target, total = labels.target, counts.total
    unigram = _best_prior(total[target], total.sum(), 1 / size)
    bigram = _best_prior(*counts.left(), unigram)
    if labels.right is not None:
        bigram = _mixed(labels.left, bigram, labels.right, _best_prior(*counts.right(), unigram))
    return Baselines(_loss(unigram), _loss(bigram), len(target), int(total.sum()))


class _Counts:
    """Counts of tokens, and of the pairs that the evaluated labels form with their neighbours."""

    def __init__(self, labels: Labels, size: int):
        self.labels, self.size = labels, size
        self.total = np.zeros(size, np.int64)  # as second of a pair: every token but the first
        self.first = np.zeros(size, np.int64)  # as first of a pair
        self.left_keys = self._key(labels.left, labels.target)
        right = np.empty(0) if labels.right is None else self._key(labels.target, labels.right)
        self.right_keys = right.astype(np.int64)
        self.pairs = np.unique(np.concatenate([self.left_keys, self.right_keys]))
        self.pair_counts = np.zeros(len(self.pairs), np.int64)

    def add(self, text: np.ndarray) -> None:
        """Count one text (N,); a negative id parts what is before it from what is after."""
        first, second = text[:-1], text[1:]
        inside = (first >= 0) & (second >= 0)
        first, second = first[inside], second[inside]
        self.total += np.bincount(second, minlength=self.size)
        self.first += np.bincount(first, minlength=self.size)
        found = np.bincount(self._places(self._key(first, second)), minlength=len(self.pairs) + 1)
        self.pair_counts += found[:-1]

    def left(self) -> tuple[np.ndarray, np.ndarray]:
        """(count of the pair, count of the left neighbour) of each label."""
        return self._counts(self.left_keys, self.labels.left, self.first)

    def right(self) -> tuple[np.ndarray, np.ndarray]:
        """(count of the pair, count of the right neighbour) of each label."""
        assert self.labels.right is not None
        return self._counts(self.right_keys, self.labels.right, self.total)

    def _counts(
        self, keys: np.ndarray, neighbour: np.ndarray, counts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        known = neighbour != UNKNOWN
        pairs = np.append(self.pair_counts, 0)[self._places(keys)]
        return np.where(known, pairs, 0), np.where(known, counts[neighbour], 0)

    def _key(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first.astype(np.int64) * self.size + second

    def _places(self, keys: np.ndarray) -> np.ndarray:
        """The place of each key in `pairs`, one past the last for those not there."""
        places = np.searchsorted(self.pairs, keys)
        there = np.append(self.pairs, -self.size - 1)[places] == keys
        return np.where(there, places, len(self.pairs))


def _collect(found: Iterable[tuple[np.ndarray, ...]]) -> Labels:
    """Labels that count, with what is beside them."""
    kept = [[a[columns[0] != IGNORE_INDEX] for a in columns] for columns in found]
    return Labels(*(np.concatenate(column).astype(np.int64) for column in zip(*kept)))


def _joined(texts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Texts in batches of about a million tokens, parted by `UNKNOWN`."""
    parts: list[np.ndarray] = []
    size = 0
    for text in texts:
        parts += [np.asarray(text, np.int64), np.array([UNKNOWN])]
        size += len(text)
        if size >= _BATCH:
            yield np.concatenate(parts)
            parts, size = [], 0
    if parts:
        yield np.concatenate(parts)


def _best_prior(count: np.ndarray, of: np.ndarray, prior: np.ndarray | float) -> np.ndarray:
    """Probabilities (count + w prior) / (of + w), with the weight w that gives the least loss."""
    tried = ((count + w * prior) / (of + w) for w in _PRIORS)
    return min(tried, key=_loss)


def _mixed(
    left: np.ndarray, from_left: np.ndarray, right: np.ndarray, from_right: np.ndarray
) -> np.ndarray:
    """The mean of both predictions with the best share of the left one; a neighbour that is
    unknown leaves it to the other."""
    both = (left != UNKNOWN) & (right != UNKNOWN)
    one = np.where(left != UNKNOWN, from_left, from_right)
    mixed = (np.where(both, s * from_left + (1 - s) * from_right, one) for s in _SHARES)
    return min(mixed, key=_loss)


def _loss(probability: np.ndarray) -> float:
    return float(-np.log(probability).mean()) if len(probability) else math.nan
