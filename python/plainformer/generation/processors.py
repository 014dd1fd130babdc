"""What changes the scores of the next token: callables `(input_ids, logits) -> logits`.

input_ids (rows, L) int64 are the texts so far, padding on the left, on the host; logits (rows, V)
float32 are the scores of their next tokens (in beam search log-probabilities), where the model is.
A processor may write into `logits`, which nobody else needs, and returns them or others. Any
function of this kind can be given to `generate` as `logits_processor`: that is controllable
generation. The rows of one prompt (its beams, or the texts drawn for it) are neighbors.

Names, meanings and order are those of transformers (`generation/logits_process.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from .. import kernels
from ..errors import ShapeError
from ..tensor import Array

LogitsProcessor = Callable[[Array, Array], Array]

_NONE = -np.inf


def bounded_power(base: float, exponent: float) -> float:
    """base ** exponent for a base above 0, between e**-60 and e**60: float32 and sums hold it."""
    logarithm = exponent * math.log(base)
    return base**exponent if abs(logarithm) < 60 else math.exp(math.copysign(60, logarithm))


def index_array(ids: Iterable[int]) -> Array:
    """Ids as an index array."""
    return kernels.array_of(list(ids)).astype(np.int64)


class SequenceBias:
    """Add a number to the last id of a sequence where the text ends with the ids before it.

    biases : list of (ids, bias); -inf bans the sequence
    """

    def __init__(self, biases: Iterable[tuple[Sequence[int], float]]):
        self.singles: list[tuple[int, float]] = []
        self.longer: list[tuple[Array, int, float]] = []
        for ids, bias in biases:
            if len(ids) == 1:
                self.singles.append((ids[0], bias))
            else:
                self.longer.append((index_array(ids[:-1]), ids[-1], bias))

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        for token, bias in self.singles:
            logits[:, token] += bias
        for before, token, bias in self.longer:
            if len(before) <= input_ids.shape[1]:
                rows = (input_ids[:, -len(before) :] == before).all(axis=1)
                logits[kernels.asarray(rows, logits), token] += bias
        return logits


class NoBadWords(SequenceBias):
    """Ban sequences of ids; a sequence that is just an end token stays allowed."""

    def __init__(self, bad_words_ids: Iterable[Sequence[int]], ends: Sequence[int] = ()):
        super().__init__(
            (ids, _NONE) for ids in bad_words_ids if list(ids) not in [[e] for e in ends]
        )


class RepetitionPenalty:
    """Divide positive logits of tokens that the row has by the penalty, multiply negative ones.

    Keskar and others, "CTRL", 2019, arXiv:1909.05858.

    starts : column of each row's first token; padding before it does not count
    """

    def __init__(self, penalty: float, starts: Array):
        self.penalty = np.float32(penalty)
        self.starts = starts

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        return _penalize(logits, _without_padding(input_ids, self.starts), self.penalty)


class EncoderRepetitionPenalty:
    """The inverse of `RepetitionPenalty` for the tokens of the source: above 1 favors them.

    sources : ids of each row's source, the same row for all its beams
    """

    def __init__(self, penalty: float, sources: Sequence[Array]):
        self.penalty = np.float32(1 / penalty)
        self.sources = sources

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        for row, source in zip(logits, self.sources):
            _penalize(row[None], source[None], self.penalty)
        return logits


class NoRepeatNGram:
    """Ban tokens that would complete an n-gram which the text has already.

    Paulus, Xiong, Socher, "A Deep Reinforced Model for Abstractive Summarization", 2017,
    arXiv:1705.04304.

    starts : column of each row's first token; padding before it is no text
    """

    def __init__(self, size: int, starts: Array | None = None):
        self.size = size
        self.starts = starts

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        if input_ids.shape[1] < self.size:
            return logits
        _ban_followers(input_ids, input_ids, self.size, logits, self.starts)
        return logits


class EncoderNoRepeatNGram:
    """Ban tokens that would complete an n-gram of the row's source."""

    def __init__(self, size: int, sources: Sequence[Array]):
        self.size = size
        self.sources = sources

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        if input_ids.shape[1] < self.size - 1:
            return logits
        for r, source in enumerate(self.sources):
            if len(source) >= self.size:
                _ban_followers(source[None], input_ids[r : r + 1], self.size, logits[r : r + 1])
        return logits


class MinLength:
    """Ban the end until rows are `length` tokens long."""

    def __init__(self, length: int, ends: Sequence[int]):
        self.length = length
        self.ends = index_array(ends)

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        if input_ids.shape[1] < self.length:
            logits[:, kernels.asarray(self.ends, logits)] = _NONE
        return logits


class ForcedToken:
    """Allow only these ids where rows are `length` tokens long."""

    def __init__(self, length: int, ids: Sequence[int]):
        self.length = length
        self.ids = index_array(ids)

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        if input_ids.shape[1] == self.length:
            logits[:] = _NONE
            logits[:, kernels.asarray(self.ids, logits)] = 0
        return logits


class OwnProcessor:
    """A processor of the caller, whose scores must be as many as it got."""

    def __init__(self, processor: LogitsProcessor):
        self.processor = processor

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        shape = logits.shape
        found = self.processor(input_ids, logits)
        if getattr(found, "shape", None) != shape:
            got = getattr(found, "shape", type(found).__name__)
            raise ShapeError(f"logits_processor: returned {got}, expected logits {shape}")
        return found


class ExponentialDecayLengthPenalty:
    """Favor the end more with every token beyond `start` tokens: by |logit| (factor**n - 1)."""

    def __init__(self, start: int, factor: float, ends: Sequence[int]):
        self.start = start
        self.factor = factor
        self.ends = index_array(ends)

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        beyond = input_ids.shape[1] - self.start
        if beyond > 0:
            xp, ends = kernels.xp(logits), kernels.asarray(self.ends, logits)
            own = logits[:, ends]
            possible = xp.isfinite(own)
            own[possible] += xp.abs(own[possible]) * np.float32(
                bounded_power(self.factor, beyond) - 1
            )
            logits[:, ends] = own
        return logits


class SuppressTokens:
    """Ban ids, everywhere or only where rows are `length` tokens long."""

    def __init__(self, ids: Iterable[int], length: int | None = None):
        self.ids = index_array(ids)
        self.length = length

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        if self.length is None or input_ids.shape[1] == self.length:
            logits[:, kernels.asarray(self.ids, logits)] = _NONE
        return logits


def _without_padding(input_ids: Array, starts: Array) -> Array:
    """Ids (rows, L) with padding on the left replaced by the row's last id, which counts anyway."""
    if not starts.any():
        return input_ids
    xp = kernels.xp(input_ids)
    padding = xp.arange(input_ids.shape[1]) < starts[:, None]
    return xp.where(padding, input_ids[:, -1:], input_ids)


def _penalize(logits: Array, ids: Array, penalty: np.float32) -> Array:
    """Move the logits (rows, V) of ids (rows, L) towards -inf for a penalty above 1."""
    xp, ids = kernels.xp(logits), kernels.asarray(ids, logits)
    rows = xp.arange(len(logits))[:, None]
    own = logits[rows, ids]
    logits[rows, ids] = xp.where(own < 0, own * penalty, own / penalty)
    return logits


def _ban_followers(
    texts: Array, input_ids: Array, size: int, logits: Array, starts: Array | None = None
) -> None:
    """Ban what follows in `texts`, from `starts` on, the last size - 1 ids of the same row of
    `input_ids`."""
    xp = kernels.xp(texts)
    windows = xp.lib.stride_tricks.sliding_window_view(texts, size, axis=1)
    last = input_ids[:, input_ids.shape[1] + 1 - size :]
    rows, places = xp.nonzero((windows[:, :, :-1] == last[:, None]).all(axis=2))
    if starts is not None:
        inside = places >= starts[rows]
        rows, places = rows[inside], places[inside]
    tokens = windows[rows, places, -1]
    logits[kernels.asarray(rows, logits), kernels.asarray(tokens, logits)] = _NONE
