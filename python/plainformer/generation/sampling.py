"""Drawing tokens: temperature, top-k, top-p and min-p.

References
----------
Fan, Lewis, Dauphin, "Hierarchical Neural Story Generation", 2018, arXiv:1805.04833 (top-k).
Holtzman, Buys, Du, Forbes, Choi, "The Curious Case of Neural Text Degeneration", 2019,
arXiv:1904.09751 (top-p). Nguyen and others, "Turning Up the Heat: Min-p Sampling", 2024,
arXiv:2407.01082.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from .. import kernels
from ..errors import ConfigError, NonFiniteError
from ..options import borrowed, check
from ..tensor import Array
from .config import GenerationConfig

_FIRST_GUESS = 64  # tokens that usually hold the mass that top_p asks for
_COLDEST, _HOTTEST = 1e-20, 1e20  # beyond them only the best is drawn, or any; nothing overflows


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn: softmax(logits / temperature) over the tokens that remain.

    top_k keeps the k most probable, top_p then the fewest whose probabilities reach p, min_p
    then those with at least min_p times the probability of the best. Equally probable tokens
    rank by id, so a draw depends on values alone.
    """

    temperature: float = borrowed(GenerationConfig, "temperature", 1.0)
    top_k: int | None = borrowed(GenerationConfig, "top_k")
    top_p: float = borrowed(GenerationConfig, "top_p", 1.0)
    min_p: float = borrowed(GenerationConfig, "min_p", 0.0)

    def __post_init__(self) -> None:
        check(self)

    @property
    def _divisor(self) -> np.float32:
        return np.float32(min(max(self.temperature, _COLDEST), _HOTTEST))

    def draw_at(self, logits: Array, uniform: Array) -> Array:
        """The tokens int64 (B,) that uniform numbers (B,) in [0, 1) choose by logits (B, V)."""
        xp = kernels.xp(logits)
        ids, weights = self._candidates(logits, 1)
        cumulative = weights.cumsum(axis=-1, dtype=np.float64)
        total = cumulative[:, -1:]
        chosen = kernels.asarray(uniform, logits)[:, None] * total
        threshold = xp.minimum(chosen, xp.nextafter(total, 0))
        place = (cumulative <= threshold).sum(axis=-1)
        return place if ids is None else ids[xp.arange(len(ids)), place]

    def filter(self, logits: Array, least: int = 1) -> Array:
        """Logits / temperature (B, V), -inf for tokens that cannot be drawn.

        At least `least` tokens of a row remain.
        """
        scaled = logits / self._divisor
        ids, weights = self._candidates(logits, least)
        if ids is None:
            if self.min_p:
                scaled[weights == 0] = -np.inf
            return scaled
        xp = kernels.xp(logits)
        rows = xp.arange(len(ids))[:, None]
        result = xp.full_like(scaled, -np.inf)
        result[rows, ids] = xp.where(weights > 0, scaled[rows, ids], -np.inf)
        return result

    def _candidates(self, logits: Array, least: int) -> tuple[Array | None, Array]:
        """Ids (B, m), ascending, and their weights, 0 for those left out; None for all ids."""
        xp, V = kernels.xp(logits), logits.shape[-1]
        best = logits.max(axis=-1, keepdims=True)
        if not xp.isfinite(best).all():
            raise_impossible(best)
        count = V if self.top_k is None else min(max(self.top_k, least), V)
        if self.top_p == 1 and count == V:
            weights = self._weights(logits, best)
            if self.min_p:
                lowest = xp.partition(weights, V - least, axis=-1)[:, V - least, None]
                weights[weights < xp.minimum(self.min_p, lowest)] = 0
            return None, weights
        ids, weights = self._ranked(logits, best, count)
        weights = weights.astype(np.float64)
        out = weights < self.min_p
        if self.top_p < 1:
            total = self._total(logits, best) if count == V else weights.sum(axis=-1, keepdims=True)
            out |= weights.cumsum(axis=-1) - weights >= self.top_p * total
        out[:, :least] = False
        weights[out] = 0
        order = ids.argsort(axis=-1)
        return xp.take_along_axis(ids, order, axis=-1), xp.take_along_axis(weights, order, axis=-1)

    def _ranked(self, logits: Array, best: Array, count: int) -> tuple[Array, Array]:
        """The most probable tokens, best first: top_k of them, or enough for top_p."""
        xp, V = kernels.xp(logits), logits.shape[-1]
        if count < V:
            ids = top_indices(logits, count)
            return ids, self._weights(xp.take_along_axis(logits, ids, axis=-1), best)
        wanted = self.top_p * self._total(logits, best)
        count = min(_FIRST_GUESS, V)
        while True:
            ids = top_indices(logits, count)
            weights = self._weights(xp.take_along_axis(logits, ids, axis=-1), best)
            mass = weights.sum(axis=-1, keepdims=True, dtype=np.float64)
            if count == V or (mass >= wanted).all():
                return ids, weights
            count = min(8 * count, V)

    def _weights(self, logits: Array, best: Array) -> Array:
        return kernels.xp(logits).exp((logits - best) / self._divisor)

    def _total(self, logits: Array, best: Array) -> Array:
        return self._weights(logits, best).sum(axis=-1, keepdims=True, dtype=np.float64)


def fresh_seed() -> int:
    """A seed that nobody chose, short enough to be typed."""
    return int.from_bytes(os.urandom(4), "little")


def top_indices(x: Array, count: int) -> Array:
    """Columns of the `count` largest values of each row (B, count), largest first.

    Equal values rank by column. Of NumPy's arrays only the values that are returned are sorted: its
    selection is vectorized, 3 to 5 times as fast as that of `kernels.topk` for hundreds of tokens,
    which on a device is one launch and waits for nothing.
    """
    xp = kernels.xp(x)
    if xp is not np:
        return kernels.topk(x, min(count, x.shape[1]))[1]
    if count >= x.shape[1]:
        return (-x).argsort(axis=-1, kind="stable")
    found = xp.empty((len(x), count), np.int64)
    banned = bool(x.size) and float(x.min()) == -np.inf
    for row, ids in zip(x, found):
        # NumPy selects slowly among many equal values, and those that are -inf seldom matter.
        possible = xp.flatnonzero(row > -np.inf) if banned else None
        if possible is None or len(possible) < count:
            ids[:] = _largest(row, count)
        else:
            ids[:] = possible[_largest(row[possible], count)]
    return found


def _largest(row: Array, count: int) -> Array:
    xp = kernels.xp(row)
    least = xp.partition(row, len(row) - count)[len(row) - count]
    above = xp.flatnonzero(row >= least)  # more than `count` where values are equal
    return above[(-row[above]).argsort(kind="stable")[:count]]


def raise_impossible(values: Array) -> None:
    """Raise for rows whose best logit is no number: a broken model, or no token left to take."""
    if kernels.xp(values).isneginf(values).any():
        raise ConfigError(
            "logits: every token of a row is ruled out; relax what bans tokens "
            "(no_repeat_ngram_size, bad_words_ids, suppress_tokens, a logits processor)"
        )
    raise NonFiniteError("logits: got NaN or infinity, expected finite numbers", "logits")
