"""Questions about long contexts: windows that cover all of it, answers as tokens and back.

Pure functions on the sub-tokens of a context and their `offsets` (L, 2): the characters of the
context, end not included, that each stands for. Token spans are (first, stop), stop not included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError, DataError, ShapeError
from .alignment import check_window

TokenSpan = tuple[int, int]


class WindowScores(NamedTuple):
    """What a model said about one window of T tokens, question and special tokens included.

    `offsets` (T, 2) are characters of the context, (-1, -1) for tokens that are none of it;
    `null_index` is the token that stands for "no answer", the first.
    """

    start_logits: np.ndarray
    end_logits: np.ndarray
    offsets: np.ndarray
    null_index: int = 0


class SpanScore(NamedTuple):
    """Characters `start` to `end` of the context and start logit + end logit."""

    start: int
    end: int
    score: float


def token_windows(
    length: int, size: int, overlap: int, *, cover: Iterable[TokenSpan] = ()
) -> list[TokenSpan]:
    """Windows of at most `size` tokens, each repeating `overlap` of the one before, over all.

    A span of up to overlap + 1 tokens lies whole in one of them. For longer ones, or whichever are
    in `cover` and lie whole in none, a window around the span is added, if it fits at all.

    Parameters
    ----------
    length : int, tokens of the context; 0 gives one empty window
    size : int, tokens of the context that fit beside the question
    overlap : int, less than `size`
    cover : token spans that must lie whole in some window

    Returns
    -------
    list of (start, stop) in order; a span of `cover` longer than `size` is in none

    Raises
    ------
    ConfigError : `size` below 1, `overlap` not in [0, size)
    ShapeError : a span that is empty or leaves the context
    """
    check_window(size, overlap)
    starts = range(0, max(1, length - overlap), size - overlap)
    windows = [(start, min(start + size, length)) for start in starts]
    for first, stop in cover:
        if not 0 <= first < stop <= length:
            raise ShapeError(f"cover: got ({first}, {stop}), expected inside {length} tokens")
        inside = any(contains(window, (first, stop)) for window in windows)
        if not inside and stop - first <= size:
            start = max(0, min(first - (size - (stop - first)) // 2, length - size))
            windows.append((start, min(start + size, length)))
    return sorted(set(windows))


def contains(window: TokenSpan, span: TokenSpan) -> bool:
    """Whether a span lies whole in a window."""
    return window[0] <= span[0] and span[1] <= window[1]


def answer_tokens(offsets: np.ndarray, start: int, end: int) -> TokenSpan | None:
    """The tokens that hold characters `start` to `end`: as few as possible; None if none does.

    Parameters
    ----------
    offsets : (L, 2) integers, in order
    start, end : int, characters, end not included

    Raises
    ------
    ShapeError : `offsets` is not (L, 2)
    """
    offsets = _check_offsets(offsets)
    begins, ends = offsets[:, 0], offsets[:, 1]
    inside = np.flatnonzero((begins < end) & (ends > start) & (ends > begins))
    return (int(inside[0]), int(inside[-1]) + 1) if inside.size else None


def trimmed_offsets(text: str, offsets: np.ndarray) -> np.ndarray:
    """The characters (L, 2) of tokens without white space at their ends; (-1, -1) for nothing else.

    The tokens of byte-level and Metaspace tokenizers begin with the space before a word, and an
    answer begins with the word.

    Raises
    ------
    ShapeError : `offsets` is not (L, 2)
    """
    offsets = _check_offsets(offsets)
    places = np.arange(len(text))
    word = np.array([not character.isspace() for character in text], bool)
    following = np.minimum.accumulate(np.where(word, places, len(text))[::-1])[::-1]
    before = np.maximum.accumulate(np.where(word, places, -1)) + 1
    begins = np.append(following, len(text))[offsets[:, 0]]
    ends = np.insert(before, 0, 0)[offsets[:, 1]]
    kept = (begins < ends) & (offsets[:, 0] >= 0)
    return np.where(kept[:, None], np.stack([begins, ends], axis=1), -1)


def answer_target(
    window: TokenSpan, span: TokenSpan | None, *, shift: int, null_index: int = 0
) -> tuple[int, int]:
    """(first, last) position in the model's input of an answer, `null_index` twice if it does not
    lie whole in this window.

    Parameters
    ----------
    window : (start, stop) tokens of the context
    span : `answer_tokens`, None for no answer
    shift : int, tokens before the context ([CLS] question [SEP])
    """
    if span is None or not contains(window, span):
        return null_index, null_index
    return span[0] - window[0] + shift, span[1] - 1 - window[0] + shift


def best_spans(
    windows: Sequence[WindowScores], *, n_best: int = 20, max_answer_length: int = 30
) -> tuple[list[SpanScore], float]:
    """The best answers over all windows of a context, and the score of there being none.

    An answer's score is start logit + end logit, over all pairs of tokens of the context that are
    at most `max_answer_length` long; of the same characters in several windows the best counts.
    The null score is the least over windows of both logits at `null_index`: there is no answer
    only if no window has one.

    Parameters
    ----------
    windows : at least one
    n_best : int, answers returned at most
    max_answer_length : int, tokens

    Returns
    -------
    list of SpanScore, best first, equals by position; empty if no window has context
    float, the null score

    Raises
    ------
    ShapeError : no windows, or arrays of different lengths
    DataError : a logit that is NaN
    ConfigError : `n_best` or `max_answer_length` below 1
    """
    for name, value in (("n_best", n_best), ("max_answer_length", max_answer_length)):
        if value < 1:
            raise ConfigError(f"{name}: got {value}, expected at least 1")
    if not windows:
        raise ShapeError("windows: got none, expected at least one")
    best: dict[tuple[int, int], float] = {}
    nulls = []
    for i, window in enumerate(windows):
        start, end, offsets = _check_scores(i, window)
        nulls.append(float(start[window.null_index] + end[window.null_index]))
        for span, score in _window_spans(start, end, offsets, n_best, max_answer_length):
            best[span] = max(score, best.get(span, score))
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return [SpanScore(*span, score) for span, score in ranked[:n_best]], min(nulls)


def answer_text(
    context: str, spans: Sequence[SpanScore], null_score: float, null_threshold: float | None = None
) -> str:
    """The text of the best answer, or "" for none.

    Parameters
    ----------
    context : str
    spans, null_score : from `best_spans`
    null_threshold : None if every question has an answer; else the answer is "" where the null
        score exceeds the best one by more than this
    """
    if not spans:
        return ""
    best = spans[0]
    if null_threshold is not None and null_score - best.score > null_threshold:
        return ""
    return context[best.start : best.end]


def _window_spans(
    start: np.ndarray, end: np.ndarray, offsets: np.ndarray, n_best: int, longest: int
) -> Iterable[tuple[tuple[int, int], float]]:
    """The `n_best` (characters, score) of one window; all pairs are looked at: T x longest."""
    context = np.flatnonzero(offsets[:, 0] >= 0)
    if not context.size:
        return
    begin, length = start[context], min(longest, context.size)
    padded = np.concatenate([end[context], np.full(length, -np.inf)])
    scores = begin[:, None] + np.lib.stride_tricks.sliding_window_view(padded, length)[:-1]
    flat = scores.ravel()
    best = np.argsort(-flat, kind="stable")[:n_best]
    for index in best[flat[best] > -np.inf]:
        first, more = divmod(int(index), length)
        left, right = offsets[context[first], 0], offsets[context[first + more], 1]
        yield (int(left), int(right)), float(flat[index])


def _check_scores(index: int, window: WindowScores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    start = np.asarray(window.start_logits, np.float64)
    end = np.asarray(window.end_logits, np.float64)
    offsets = _check_offsets(window.offsets)
    if start.ndim != 1 or start.shape != end.shape or len(start) != len(offsets) or not len(start):
        raise ShapeError(
            f"windows[{index}]: got logits {start.shape}, {end.shape} and offsets "
            f"{offsets.shape}, expected (T,), (T,) and (T, 2)"
        )
    if np.isnan(start).any() or np.isnan(end).any():
        raise DataError(f"windows[{index}]: got NaN in its logits")
    return start, end, offsets


def _check_offsets(offsets: np.ndarray) -> np.ndarray:
    offsets = np.asarray(offsets)
    if offsets.size == 0:
        return offsets.reshape(0, 2)
    if offsets.ndim != 2 or offsets.shape[1] != 2:
        raise ShapeError(f"offsets: got shape {offsets.shape}, expected (tokens, 2)")
    return offsets
