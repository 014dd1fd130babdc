"""A conversation with a model, in which each turn reads only what is new."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import numpy as np

from ..data import Message
from ..tensor import Array

_LEAST = 1024  # tokens that there is room for at first


class ReadSoFar:
    """Keys and values of the last prompt and of what was written behind it.

    The next prompt of a conversation repeats most of them: tokens up to the first difference are
    not read again. Of a model whose weights stay as they are.

    Parameters
    ----------
    model : a causal language model
    """

    def __init__(self, model: Any):
        self._model, self._limit = model, model.config.context_length
        self._cache = model.new_cache(1, 0)
        self._ids: list[int] = []

    def start(self, prompt: Array, new_tokens: int) -> dict[str, Any]:
        """Options of `generate` that let it go on from what was read of a prompt (L,).

        None where prompt and new tokens do not fit the model: it will forget the beginning.
        """
        need = len(prompt) + new_tokens
        if self._limit is None or need > self._limit:
            return {}
        if need > self._cache.capacity:  # twice as much each time: a context may be of any length
            room = min(self._limit, max(_LEAST, 1 << need.bit_length()))
            self._cache, self._ids = self._model.new_cache(1, room), []
        read = np.array(self._ids[: int(self._cache.lengths[0])], np.int64)
        shorter = min(len(read), len(prompt) - 1)  # one token at least is read, for its logits
        different = np.flatnonzero(read[:shorter] != prompt[:shorter])
        self._cache.crop(int(different[0]) if different.size else shorter)
        self._ids = prompt.tolist()
        return {"past_key_values": self._cache}

    def add(self, token: int) -> None:
        """Take a token that was written."""
        self._ids.append(token)


class Conversation:
    """What was said to a model of dialogues, and what it said.

    Parameters
    ----------
    task : a `Dialogue`
    system : the message that it begins with, after `reset` too
    options : of `generate`

    turns : answers so far
    """

    def __init__(
        self, task: Any, system: str | None = None, options: Mapping[str, Any] | None = None
    ):
        self.task, self.system, self.options = task, system, dict(options or {})
        self.turns = 0
        self._read = ReadSoFar(task.model)
        self.reset()

    def reset(self) -> None:
        """Forget all but the system message."""
        self.messages = [] if self.system is None else [Message("system", self.system)]

    def ask(self, line: str) -> Generator[str, None, None]:
        """The assistant's answer piece by piece. What was said of it when it ends, or is closed,
        stays."""
        self.messages.append(Message("user", line))
        options = dict(self.options)
        if "seed" in options:
            options["seed"] += self.turns  # other draws each turn
        said: list[str] = []
        try:
            for piece in self.task.stream(self.messages, self._read, **options):
                said.append(piece)
                yield piece
        finally:
            self.messages.append(Message("assistant", "".join(said).strip()))
            self.turns += 1
