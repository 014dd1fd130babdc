"""Span corruption: spans are cut out of the input, and the target brings them back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...errors import ConfigError
from ...options import PART, at_least
from .._random import Draws
from ..baselines import Labels, target_labels, target_text
from ..batches import Example
from .vocabulary import Vocabulary


class FromTarget:
    """What objectives share whose target is a text of its own, written by a decoder."""

    ahead = 0

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.start = vocabulary.size  # stands before the first label, in counts alone

    def __call__(self, text: np.ndarray, draws: Draws) -> Example:
        """The example of `text` (N,)."""
        raise NotImplementedError(f"{type(self).__name__} makes no examples")

    def labels(self, examples: Iterable[Example]) -> Labels:
        """The labels of examples, each after the one before it."""
        return target_labels(examples, self.start)

    def counted(self, text: np.ndarray, draws: Draws) -> np.ndarray:
        """What baselines count of a training text: its labels."""
        return target_text(self(text, draws), self.start)


class SpanCorruption(FromTarget):
    """`{"input_ids": (L,), "labels": (M,)}` for an encoder and a decoder.

    A part `noise_density` of a text is cut out in spans of `mean_span_length` tokens on average.
    The input has a sentinel in place of each span; the labels are each sentinel followed by what
    it stands for. Both end with the end-of-text token. `Thank you <0> me to <1> week`, `<0> for
    inviting <1> your party last`.

    Lengths follow from the length of the text alone, as in `random_spans_noise_mask` of the
    paper's code; but there the last span always ends the text, and here it may stand anywhere.
    Raffel and others, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
    Transformer", arXiv:1910.10683, section 3.1.4.

    Parameters
    ----------
    vocabulary : of a tokenizer with sentinels `<extra_id_0>`, ... and an end-of-text token
    block_size : int, the most tokens of an input and of its labels
    noise_density : float in (0, 1)
    mean_span_length : float, at least 1

    Raises
    ------
    ConfigError : a value out of range, no end of text, too few sentinels for block_size
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        block_size: int,
        *,
        noise_density: float = 0.15,
        mean_span_length: float = 3.0,
    ):
        check_noise(noise_density, mean_span_length)
        super().__init__(vocabulary)
        self.density, self.mean = noise_density, mean_span_length
        self.sentinels = vocabulary.sentinels
        self.end = _end_of(vocabulary)
        _, spans = self.counts(self.text_size(block_size))
        if spans > len(self.sentinels):
            raise ConfigError(
                f"tokenizer: has {len(self.sentinels)} sentinels <extra_id_0>, ..., but a block of "
                f"{block_size} tokens has {spans} spans; use smaller blocks, longer spans or less "
                "noise, or train bpe:SIZE or wordpiece:SIZE, which has 100"
            )

    def counts(self, length: int) -> tuple[int, int]:
        """(tokens cut out, spans) of a text of `length` tokens; at least one each."""
        noise = min(max(1, round(length * self.density)), max(1, length - 1))
        return noise, min(max(1, round(noise / self.mean)), length - noise + 1)

    def text_size(self, block_size: int) -> int:
        """The longest text whose input and labels have at most `block_size` tokens each."""
        length = 0
        while self._size(length + 1) <= block_size:
            length += 1
        return length

    def _size(self, length: int) -> int:
        noise, spans = self.counts(length)
        return max(length - noise, noise) + spans + 1

    def __call__(self, text: np.ndarray, draws: Draws) -> Example:
        """The example of `text` (N,)."""
        noise, spans = self.counts(len(text))
        lengths = _cut(noise, spans, draws)
        removed, places = place_spans(len(text), lengths, draws)
        sentinels = self.sentinels[:spans]
        ids = np.insert(text[~removed], places, sentinels)
        labels = np.insert(text[removed], np.cumsum(lengths) - lengths, sentinels)
        return {"input_ids": np.append(ids, self.end), "labels": np.append(labels, self.end)}


def place_spans(count: int, lengths: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Spans of these lengths among `count` tokens, in order, at least one token between two.

    Returns which tokens are in a span, bool (count,), and where each span stands among the tokens
    that are in none, ascending. At most one span more than there are such tokens.
    """
    places = draws.choose(len(lengths), count - int(lengths.sum()) + 1)
    begins = places + np.cumsum(lengths) - lengths
    steps = np.zeros(count + 1, np.int64)
    np.add.at(steps, begins, 1)
    np.add.at(steps, begins + lengths, -1)
    return np.cumsum(steps[:-1]) > 0, places


def check_noise(noise_density: float, mean_span_length: float) -> None:
    """Raise ConfigError for values out of range."""
    PART.check("noise_density", noise_density)
    at_least(1, 1000).check("mean_span_length", mean_span_length)


def _end_of(vocabulary: Vocabulary) -> np.int32:
    if vocabulary.end is None:
        raise ConfigError(
            "tokenizer: has no end-of-text token, which objective span needs; train bpe:SIZE or "
            "wordpiece:SIZE"
        )
    return np.int32(vocabulary.end)


def _cut(total: int, parts: int, draws: Draws) -> np.ndarray:
    """Lengths (parts,) of at least 1 that sum to `total`, each such cut equally likely."""
    borders = draws.choose(parts - 1, total - 1) + 1
    return np.diff(np.concatenate([[0], borders, [total]]))
