"""Constraints on what is written: allowed continuations, and words that must occur.

Processors as in `processors.py`. The rows of a prompt are neighbors: row r belongs to prompt
r // rows_per_prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .. import kernels
from ..errors import ConfigError, shown
from ..tensor import Array
from .processors import index_array
from .settings import ids_below


class PrefixConstrained:
    """Allow only the tokens that `allowed(prompt, ids)` returns for each row.

    `prompt` is the number of the row's prompt, `ids` (L,) the row so far without padding. Where
    all that is allowed was ruled out before, in every row of a prompt, the constraint wins.

    De Cao, Izacard, Riedel, Petroni, "Autoregressive Entity Retrieval", 2020, arXiv:2010.00904.
    """

    def __init__(
        self, allowed: Callable[[int, Array], Sequence[int]], rows_per_prompt: int, starts: Array
    ):
        self.allowed = allowed
        self.rows_per_prompt = rows_per_prompt
        self.starts = starts

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        xp = kernels.xp(logits)
        mask = xp.full_like(logits, -np.inf)
        for row, ids in enumerate(input_ids):
            prompt = row // self.rows_per_prompt
            found = self.allowed(prompt, ids[self.starts[row] :])
            tokens = index_array(ids_below("prefix_allowed_tokens_fn", found, logits.shape[1]))
            if not len(tokens):
                raise ConfigError(
                    f"prefix_allowed_tokens_fn: allowed no token for prompt {prompt}, expected "
                    "at least one; allow the end token where a text is complete"
                )
            mask[row, kernels.asarray(tokens, logits)] = 0
        logits = logits + mask
        impossible = xp.isneginf(logits.max(axis=1)).reshape(-1, self.rows_per_prompt).all(axis=1)
        rows = xp.repeat(impossible, self.rows_per_prompt)
        logits[rows] = mask[rows]
        return logits


class ForceWords:
    """Make sequences of ids occur in what is written, each at least once, in any order.

    The end is banned until all have occurred. They may come by themselves; when the room that is
    left would just hold the missing ones, they are written one after another.

    words : sequences of ids
    prompt_length, max_length : tokens of a row before and after writing
    ends : end ids; with any, room for one of them is kept
    """

    def __init__(
        self,
        words: Sequence[Sequence[int]],
        prompt_length: int,
        max_length: int,
        ends: Sequence[int] = (),
    ):
        self.words = [tuple(word) for word in words]
        self.prompt_length = prompt_length
        self.last = max_length - bool(ends)
        self.ends = index_array(ends)
        for word in self.words:
            if set(word) & set(ends):
                raise ConfigError(
                    f"force_words_ids: got {shown(list(word))} with an id that ends texts"
                )
        needed = sum(len(word) for word in self.words)
        if needed > self.last - prompt_length:
            raise ConfigError(
                f"force_words_ids: {needed} tokens (and an end) do not fit the "
                f"{max_length - prompt_length} new tokens; raise max_new_tokens"
            )

    def __call__(self, input_ids: Array, logits: Array) -> Array:
        for row, ids in zip(logits, input_ids[:, self.prompt_length :].tolist()):
            missing = [word for word in self.words if not _occurs(word, ids)]
            if not missing:
                continue
            row[kernels.asarray(self.ends, logits)] = -np.inf
            # A word that has begun may still break off, so it counts whole.
            if input_ids.shape[1] + sum(len(word) for word in missing) >= self.last:
                word = max(missing, key=lambda word: _overlap(word, ids))
                row[:] = -np.inf
                row[word[_overlap(word, ids)]] = 0
        return logits


def _occurs(word: tuple[int, ...], ids: list[int]) -> bool:
    size = len(word)
    return any(tuple(ids[i : i + size]) == word for i in range(len(ids) - size + 1))


def _overlap(word: tuple[int, ...], ids: list[int]) -> int:
    """How many first ids of `word` the text ends with."""
    longest = min(len(word) - 1, len(ids))
    return next((n for n in range(longest, 0, -1) if tuple(ids[-n:]) == word[:n]), 0)
