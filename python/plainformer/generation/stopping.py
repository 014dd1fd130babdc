"""When a row ends, besides its end tokens and its length.

Criteria are callables `(input_ids, scores) -> bool or bools (rows,)`, as in transformers: the
texts so far (rows, L), and the steps' scores with output_scores, else None.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..data.decoding import Decoder, decode_continuation
from ..errors import ShapeError
from ..tensor import Array

StoppingCriterion = Callable[[Array, Any], Any]

# Tokens that are decoded to look for a string: a character has at most four (UTF-8 bytes).
_TOKENS_A_CHARACTER = 4
_SLACK = 8
_CONTEXT = 32  # tokens before those, whose text says where the first of them begins


class StopStrings:
    """True for rows whose new text holds one of the strings.

    Asked after each token, it stops with the token that completes a string, however the string
    is cut into tokens.

    tokenizer : object with `decode(ids)`
    prompt_length : tokens of a row that were given, not written
    """

    def __init__(self, tokenizer: Any, strings: Sequence[str], prompt_length: int):
        self.decoder = Decoder(tokenizer)
        self.strings = strings
        self.prompt_length = prompt_length
        self.window = max(len(s) for s in strings) * _TOKENS_A_CHARACTER + _SLACK

    def __call__(self, input_ids: Array, scores: Any) -> Array:
        texts = map(self._last_text, input_ids.tolist())
        return np.fromiter((find_stop(text, self.strings) is not None for text in texts), bool)

    def _last_text(self, row: list[int]) -> str:
        """The end of the new text, as it stands behind what comes before it."""
        first = max(self.prompt_length, len(row) - self.window)
        start = self.decoder.whole_from(row, max(0, first - _CONTEXT))
        return decode_continuation(self.decoder, row[start:first], row[first:])


class MaxTime:
    """True for all rows when so many seconds are over."""

    def __init__(self, seconds: float):
        self.end = time.monotonic() + seconds

    def __call__(self, input_ids: Array, scores: Any) -> bool:
        return time.monotonic() >= self.end


def find_stop(text: str, strings: Iterable[str]) -> int | None:
    """Where the first of the strings begins in `text`; None where none does."""
    places = [place for place in (text.find(string) for string in strings) if place >= 0]
    return min(places, default=None)


def possible_start(text: str, strings: Iterable[str]) -> int:
    """Where, at the end of `text`, one of the strings may have begun; its length where none."""
    starts = (
        len(text) - size
        for string in strings
        for size in range(1, min(len(string), len(text) + 1))
        if text.endswith(string[:size])
    )
    return min(starts, default=len(text))


def any_stop(criteria: Iterable[StoppingCriterion], input_ids: Array, scores: Any) -> Array:
    """Which rows (rows,) one of the criteria ends."""
    stopped = np.zeros(len(input_ids), bool)
    for criterion in criteria:
        found = criterion(input_ids, scores)
        if np.shape(found) not in ((), stopped.shape):
            raise ShapeError(
                f"stopping_criteria: returned {np.shape(found)}, expected a bool or {stopped.shape}"
            )
        stopped |= np.asarray(found, bool)
    return stopped
