"""Denoising: the input is a damaged text, the target the text itself."""

from __future__ import annotations

import math

import numpy as np

from .._random import Draws
from ..batches import Example
from .spans import FromTarget, check_noise, place_spans
from .vocabulary import Vocabulary

_LONGEST = 64  # of a table of span lengths, in means; a longer one has no chance


class Denoising(FromTarget):
    """`{"input_ids": (L,), "labels": (M,)}` for an encoder and a decoder.

    Text infilling: spans with lengths from a Poisson distribution of mean `mean_span_length`, in
    all a part `noise_density` of the text, become one mask token each; a span of length 0 is a
    mask token put in. At least one token is kept between two of them, so that no two stand side
    by side. With `permute_sentences` the sentences of the input are shuffled first. Both input
    and labels are framed as the tokenizer frames one text.

    Lewis and others, "BART", arXiv:1910.13461.

    Parameters
    ----------
    vocabulary : of a tokenizer with a mask token
    noise_density : float in (0, 1)
    mean_span_length : float, at least 1
    permute_sentences : bool

    Raises
    ------
    ConfigError : a value out of range, or no mask token
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        noise_density: float = 0.3,
        mean_span_length: float = 3.0,
        permute_sentences: bool = False,
    ):
        check_noise(noise_density, mean_span_length)
        self.mask = vocabulary.need_mask("denoise")
        super().__init__(vocabulary)
        self.density = noise_density
        self.permute_sentences = permute_sentences
        self._cumulative = _poisson_cdf(mean_span_length)

    def text_size(self, block_size: int) -> int:
        """What the tokenizer's prefix and suffix leave of `block_size`."""
        return self.vocabulary.room(block_size)

    def __call__(self, text: np.ndarray, draws: Draws) -> Example:
        """The example of `text` (N,)."""
        damaged = self._permuted(text, draws) if self.permute_sentences else text
        framed = self.vocabulary.framed
        return {"input_ids": framed(self._infill(damaged, draws)), "labels": framed(text)}

    def _permuted(self, text: np.ndarray, draws: Draws) -> np.ndarray:
        """The sentences of `text` in a random order; the last one may have no end."""
        ends = np.flatnonzero(self.vocabulary.ends_sentence[text[:-1]]) + 1
        sentences = np.split(text, ends)
        return np.concatenate([sentences[i] for i in draws.order(len(sentences))])

    def _infill(self, text: np.ndarray, draws: Draws) -> np.ndarray:
        removed, places = place_spans(len(text), self._lengths(len(text), draws), draws)
        return np.insert(text[~removed], places, np.int32(self.mask))

    def _lengths(self, count: int, draws: Draws) -> np.ndarray:
        """Span lengths that sum to `noise_density` of `count` tokens, the last one made to fit.

        Not more spans than tokens to remove, so that the input is not longer than the text, nor
        than there are places between those that stay: empty spans go first, then the last are
        joined.
        """
        wanted = max(1, round(self.density * count))
        drawn = draws.uniform(4 * wanted + 16)  # enough, as the mean is at least 1
        lengths = np.searchsorted(self._cumulative, drawn, side="right")
        before = np.cumsum(lengths) - lengths
        lengths = lengths[before < wanted]
        lengths[-1] = wanted - before[len(lengths) - 1]
        room = min(wanted, count - wanted + 1)
        empty = np.flatnonzero(lengths == 0)
        lengths = np.delete(lengths, empty[len(empty) - max(0, len(lengths) - room) :])
        if len(lengths) > room:
            lengths = np.append(lengths[: room - 1], lengths[room - 1 :].sum())
        return lengths


def _poisson_cdf(mean: float) -> np.ndarray:
    """P(length <= n) for n from 0 on."""
    counts = range(math.ceil(mean) * _LONGEST)
    logs = [n * math.log(mean) - mean - math.lgamma(n + 1) for n in counts]
    return np.cumsum(np.exp(logs))
