"""Words and sub-tokens: labels on the first sub-token, long sentences in windows, and back.

Labels on every sub-token would falsify entity F1, and cutting a long sentence would lose labels.
So a sentence is divided into windows of whole words that overlap; each word belongs to the one
window where it has most context, is labelled there and nowhere else, and its prediction is taken
from there. All functions are pure, on numbers of sub-tokens: `counts` (W,), one a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError, ShapeError
from .batches import IGNORE_INDEX


class WordWindow(NamedTuple):
    """Words `start` to `stop` are seen together; those from `own_start` to `own_stop` are decided
    here. Ends are not included."""

    start: int
    stop: int
    own_start: int
    own_stop: int

    @property
    def owned(self) -> slice:
        """Those decided here, among the window's words."""
        return slice(self.own_start - self.start, self.own_stop - self.start)


def fill_words(
    ids: Sequence[int] | np.ndarray,
    word_ids: Sequence[int] | np.ndarray,
    num_words: int,
    unknown_id: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(sub-tokens (N,) of all words in a row, counts (W,)) of a sentence encoded word by word.

    Tokens of no word ([CLS], [SEP]) are left out. A word of which the tokenizer leaves nothing (a
    control character) becomes the unknown token, so that its label has a place.

    Parameters
    ----------
    ids : (T,) sub-tokens
    word_ids : (T,) the word of each, -1 for tokens of no word
    num_words : int, W
    unknown_id : int
    """
    words: list[list[int]] = [[] for _ in range(num_words)]
    for token, word in zip(ids, word_ids):
        if word >= 0:
            words[word].append(int(token))
    words = [word or [unknown_id] for word in words]
    flat = np.array([token for word in words for token in word], np.int64)
    return flat, np.array([len(word) for word in words], np.int64)


def word_windows(
    counts: Sequence[int] | np.ndarray, max_length: int, overlap: int
) -> list[WordWindow]:
    """Windows of whole words of at most `max_length` sub-tokens each, which cover all words.

    A window begins so that it repeats at most `overlap` sub-tokens of the one before. In the words
    that both see, the first half belongs to the first. A word longer than `max_length` has a
    window to itself, in which it is cut; its first sub-token is there.

    Parameters
    ----------
    counts : (W,) sub-tokens of each word, at least 1
    max_length : int, sub-tokens that fit (special tokens taken off)
    overlap : int, less than `max_length`

    Returns
    -------
    list of WordWindow, none for no words; `own_start` and `own_stop` divide all words

    Raises
    ------
    ConfigError : `max_length` below 1, `overlap` not in [0, max_length)
    """
    check_window(max_length, overlap)
    ends = np.concatenate([[0], np.cumsum(counts)])  # sub-tokens before each word
    spans: list[tuple[int, int]] = []
    start = stop = 0
    while stop < len(counts):
        fits = int(np.searchsorted(ends, ends[start] + max_length, side="right")) - 1
        stop = max(fits, start + 1)
        spans.append((start, stop))
        if stop < len(counts):
            start = _next_start(ends, start, stop, max_length, overlap)
    borders = [(b[0] + a[1] + 1) // 2 for a, b in pairwise(spans)]
    owners = zip([0, *borders], [*borders, len(counts)])
    return [WordWindow(*span, *own) for span, own in zip(spans, owners)]


def window_tokens(
    window: WordWindow, counts: Sequence[int] | np.ndarray, max_length: int
) -> np.ndarray:
    """Indices (T,) int64, T <= max_length, of a window's sub-tokens among those of all words."""
    counts = np.asarray(counts)
    first = int(counts[: window.start].sum())
    length = int(counts[window.start : window.stop].sum())
    return first + np.arange(min(length, max_length), dtype=np.int64)


def window_labels(
    window: WordWindow,
    counts: Sequence[int] | np.ndarray,
    labels: Sequence[int] | np.ndarray,
    max_length: int,
) -> np.ndarray:
    """Labels (T,) int64 of a window's sub-tokens: those of the words it owns on their first
    sub-token, -100, which losses ignore, everywhere else.

    Parameters
    ----------
    window, counts, max_length : as `window_tokens`
    labels : (W,) label of each word of the sentence

    Raises
    ------
    ShapeError : as many labels as words are wanted
    """
    if len(labels) != len(counts):
        raise ShapeError(
            f"labels: got shape ({len(labels)},), expected ({len(counts)},), one a word"
        )
    tokens = window_tokens(window, counts, max_length)
    result = np.full(tokens.shape, IGNORE_INDEX, np.int64)
    result[first_tokens(window, counts)[window.owned]] = labels[window.own_start : window.own_stop]
    return result


def first_tokens(window: WordWindow, counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Positions (window's words,) int64 of each word's first sub-token in the window."""
    inside = np.asarray(counts)[window.start : window.stop]
    return np.cumsum(inside) - inside


def merge_words(windows: Sequence[WordWindow], rows: Sequence[np.ndarray]) -> np.ndarray:
    """What was computed for each word, in order, from the window that owns it.

    Parameters
    ----------
    windows : those of one sentence
    rows : for each window an array (its words, ...)

    Returns
    -------
    array (W, ...)
    """
    return np.concatenate([row[window.owned] for window, row in zip(windows, rows)])


def check_window(size: int, overlap: int) -> None:
    """ConfigError unless windows of `size` that overlap by `overlap` go forward."""
    if size < 1:
        raise ConfigError(f"max_length: got {size}, expected at least 1 beside special tokens")
    if not 0 <= overlap < size:
        raise ConfigError(
            f"overlap: got {overlap}, expected 0 to {size - 1}: less than the window's {size}, or "
            "windows would not go forward"
        )


def _next_start(ends: np.ndarray, start: int, stop: int, max_length: int, overlap: int) -> int:
    """The first word after `start` from which at most `overlap` sub-tokens lie before `stop` and
    the word at `stop` still fits."""
    reach = max(ends[stop] - overlap, ends[stop + 1] - max_length)
    return min(max(int(np.searchsorted(ends, reach)), start + 1), stop)
