"""What a model has read while it writes: keys and values of each row, or nothing kept.

Both kinds answer `next_logits(ids)` for texts that grow by a column a call, and `reorder`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ConfigError
from ..tensor import Array
from .prompts import Prompts
from .settings import Settings

FIRST_CAPACITY = 4096  # tokens of a target that there is room for from the start


class DecoderContext:
    """The window of tokens that a decoder sees of each row.

    When a row's window is full, the older half of it is forgotten and the rest read again; other
    rows go on as they are.

    Parameters
    ----------
    starts : column of each row's first token
    total : columns that the texts can have in the end
    use_cache : keep keys and values; otherwise the whole window is read again for each token
    cache : holds the first tokens of each row already
    """

    def __init__(self, model: Any, starts: Array, total: int, use_cache: bool, cache: Any = None):
        self.model = model
        self.use_cache = use_cache
        self.rows: Array | None = None  # the rows of `ids` that are still computed; None: all
        self._starts = np.array(starts, np.int64)
        capacity = total - int(starts.min())
        self._limit = model.config.context_length or capacity
        self._capacity = min(capacity, self._limit)
        self._border = model.config.rereads_after
        self._cache = cache
        self._starting = True

    def next_logits(self, ids: Array) -> Array:
        """Float32 logits (rows, V) of the token after each row of `ids` (B, L)."""
        length = ids.shape[1]
        restarts = self._forget(length) | self._reread(length) or self._starting
        self._starting = False
        if self._cache is None or not self.use_cache:
            self._cache = self.model.new_cache(len(self._starts), self._capacity)
            restarts = True
        if not restarts:
            new = ids[:, -1:]
            return self.model.next_logits(new if self.rows is None else new[self.rows], self._cache)
        pending = length - self._starts - self._cache.lengths
        rows = ids if self.rows is None else ids[self.rows]
        parts = [row[length - count :] for row, count in zip(rows, pending)]
        return self.model.next_logits(parts, self._cache)

    def reorder(self, index: Array) -> None:
        """Let row i go on from row index[i]; there may be more or fewer rows than before."""
        self._starts = self._starts[index]
        if self._cache is not None:
            self._cache.reorder(index)

    def keep(self, places: Array) -> None:
        """Compute only these of the present rows from now on."""
        self.rows = places if self.rows is None else self.rows[places]
        self.reorder(places)

    def _forget(self, length: int) -> bool:
        """Move the windows of rows that are full; whether there are any."""
        if length - int(self._starts.min()) <= self._limit:
            return False
        full = length - self._starts > self._limit
        self._starts[full] = length - max(1, self._limit // 2)
        if self._cache is not None:
            self._cache.forget(full)
        return True

    def _reread(self, length: int) -> bool:
        """Forget rows that grow past the length from which their keys are others."""
        border = self._border
        if border is None or self._cache is None:
            return False
        held = self._cache.lengths
        grown = (length - self._starts > border) & (held > 0) & (held <= border)
        if grown.any():
            self._cache.forget(grown)
        return bool(grown.any())


class TargetContext:
    """The targets that an encoder-decoder writes beside its encoded sources.

    The targets of a source are neighbors: cross-attention keys are computed once for all of them.
    """

    def __init__(self, model: Any, encoded: Any, batch: int, total: int, use_cache: bool):
        self.use_cache = use_cache
        self.rows: Array | None = None
        self._model = model
        self._encoded = encoded
        self._batch, self._total = batch, total
        self._cache = self._new(1)

    def next_logits(self, ids: Array) -> Array:
        """Float32 logits (rows, V) of the token after each row of `ids` (B, L)."""
        if not self.use_cache:
            self._cache = self._new(ids.shape[1])
        elif ids.shape[1] > self._cache.capacity:
            self._cache.grow(min(self._total, 2 * self._cache.capacity))
        return self._model.next_logits(ids[:, int(self._cache.lengths[0]) :], self._cache)

    def reorder(self, index: Array) -> None:
        """Let target i go on from target index[i], of the same source."""
        self._cache.reorder(index)

    def _new(self, length: int) -> Any:
        """A cache of `FIRST_CAPACITY`, or for so many tokens: `total` may be any number."""
        capacity = min(self._total, max(length, FIRST_CAPACITY))
        return self._model.new_cache(self._batch, capacity, encoder=self._encoded)


def check_past(past: Any, model: Any, settings: Settings, prompts: Prompts, total: int) -> None:
    """Raise ConfigError unless a cache can go on with these prompts; total: tokens in the end."""
    if hasattr(model, "encode"):
        raise ConfigError("past_key_values: has no effect on an encoder-decoder; leave it out")
    if settings.options.use_cache is False:
        raise ConfigError("past_key_values: has no effect with use_cache=False; leave one out")
    if settings.rows_per_prompt > 1 or past.batch != len(prompts.ids):
        raise ConfigError(
            f"past_key_values: got {past.batch} sequences for {len(prompts.ids)} prompts, expected "
            "as many, without num_beams and num_return_sequences"
        )
    lengths = prompts.ids.shape[1] - prompts.starts
    if (past.lengths >= lengths).any():
        raise ConfigError(
            f"past_key_values: holds {past.lengths.max()} tokens, expected fewer than the prompt"
        )
    room = min(past.capacity, model.config.context_length or past.capacity)
    needed = total - int(prompts.starts.min())
    if needed > room:
        raise ConfigError(f"past_key_values: has room for {room} tokens, got {needed}")
