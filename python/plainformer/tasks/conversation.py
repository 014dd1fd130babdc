"""What a model has read of a conversation, so that each turn reads only what is new."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Array


class ReadSoFar:
    """Keys and values of the last prompt and of what was written behind it.

    The next prompt of a conversation repeats most of them: tokens up to the first difference are
    not read again. Of a model whose weights stay as they are.

    Parameters
    ----------
    model : a causal language model
    """

    def __init__(self, model: Any):
        self._limit = model.config.context_length
        self._cache = None if self._limit is None else model.new_cache(1, self._limit)
        self._ids: list[int] = []

    def start(self, prompt: Array, new_tokens: int) -> dict[str, Any]:
        """Options of `generate` that let it go on from what was read of a prompt (L,).

        None where prompt and new tokens do not fit the model: it will forget the beginning.
        """
        if self._cache is None or len(prompt) + new_tokens > self._limit:
            return {}
        read = np.array(self._ids[: int(self._cache.lengths[0])], np.int64)
        shorter = min(len(read), len(prompt) - 1)  # one token at least is read, for its logits
        different = np.flatnonzero(read[:shorter] != prompt[:shorter])
        self._cache.crop(int(different[0]) if different.size else shorter)
        self._ids = prompt.tolist()
        return {"past_key_values": self._cache}

    def add(self, token: int) -> None:
        """Take a token that was written."""
        self._ids.append(token)
