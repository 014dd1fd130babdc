"""Questions about long contexts: windows that cover all of it, answers as tokens and back.

Pure functions on the sub-tokens of a context and their `offsets` (L, 2): the characters of the
context, end not included, that each stands for. Token spans are (first, stop), stop not included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .alignment import check_window

TokenSpan = tuple[int, int]


class WindowScores(NamedTuple):
    """What a model said about one window of T tokens, question and special tokens included.

    `offsets` (T, 2) are characters of the context, (-1, -1) for tokens that are none of it. The
    first token stands for "no answer". `document` says which of several contexts this is.
    """

    start_logits: np.ndarray
    end_logits: np.ndarray
    offsets: np.ndarray
    document: int = 0


class SpanScore(NamedTuple):
    """Characters `start` to `end` of a context, start logit + end logit, and which context."""

    start: int
    end: int
    score: float
    document: int = 0


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
    """
    check_window(size, overlap)
    starts = range(0, max(1, length - overlap), size - overlap)
    windows = [(start, min(start + size, length)) for start in starts]
    for first, stop in cover:
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
    """
    begins, ends = offsets[:, 0], offsets[:, 1]
    inside = np.flatnonzero((begins < end) & (ends > start) & (ends > begins))
    return (int(inside[0]), int(inside[-1]) + 1) if inside.size else None


def trimmed_offsets(text: str, offsets: np.ndarray) -> np.ndarray:
    """The characters (L, 2) of tokens without white space at their ends; (-1, -1) for nothing else.

    The tokens of byte-level and Metaspace tokenizers begin with the space before a word, and an
    answer begins with the word.
    """
    places = np.arange(len(text))
    word = np.array([not character.isspace() for character in text], bool)
    following = np.minimum.accumulate(np.where(word, places, len(text))[::-1])[::-1]
    before = np.maximum.accumulate(np.where(word, places, -1)) + 1
    begins = np.append(following, len(text))[offsets[:, 0]]
    ends = np.insert(before, 0, 0)[offsets[:, 1]]
    kept = (begins < ends) & (offsets[:, 0] >= 0)
    return np.where(kept[:, None], np.stack([begins, ends], axis=1), -1)


def answer_target(window: TokenSpan, span: TokenSpan | None, *, shift: int) -> tuple[int, int]:
    """(first, last) position in the model's input of an answer; the first token twice if it does
    not lie whole in this window.

    Parameters
    ----------
    window : (start, stop) tokens of the context
    span : `answer_tokens`, None for no answer
    shift : int, tokens before the context ([CLS] question [SEP])
    """
    if span is None or not contains(window, span):
        return 0, 0
    return span[0] - window[0] + shift, span[1] - 1 - window[0] + shift


def best_spans(
    windows: Sequence[WindowScores], *, n_best: int = 20, max_answer_length: int = 30
) -> tuple[list[SpanScore], float]:
    """The best answers over all windows of one or several contexts, and the score of none.

    An answer's score is start logit + end logit, over all pairs of tokens of the context that are
    at most `max_answer_length` long; of the same characters in several windows the best counts.
    The null score is the least over windows of both logits of the first token: there is no answer
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
    """
    best: dict[tuple[int, int, int], float] = {}
    nulls = []
    for window in windows:
        start, end = (np.asarray(logits, np.float64) for logits in window[:2])
        nulls.append(float(start[0] + end[0]))
        for place, score in _window_spans(start, end, window.offsets, n_best, max_answer_length):
            span = (window.document, *place)
            best[span] = max(score, best.get(span, score))
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    found = [SpanScore(start, end, score, which) for (which, start, end), score in ranked[:n_best]]
    return found, min(nulls)


def has_no_answer(
    spans: Sequence[SpanScore], null_score: float, null_threshold: float | None = None
) -> bool:
    """Whether the answer is that there is none.

    Parameters
    ----------
    spans, null_score : from `best_spans`
    null_threshold : None if every question has an answer; else there is none where the null score
        exceeds the best one by more than this
    """
    if not spans or null_threshold is None:
        return not spans
    return null_score - spans[0].score > null_threshold


def apart(spans: Iterable[SpanScore]) -> list[SpanScore]:
    """The spans that share no character with a better one before them."""
    kept: list[SpanScore] = []
    for span in spans:
        if not any(_overlap(span, other) for other in kept):
            kept.append(span)
    return kept


def _overlap(one: SpanScore, other: SpanScore) -> bool:
    same = one.document == other.document
    return same and one.start < other.end and other.start < one.end


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
