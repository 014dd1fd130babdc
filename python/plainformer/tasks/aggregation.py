"""From sub-tokens to words and entities: transformers' aggregation strategies, and our own.

| strategy | a word's tag | an entity |
|---|---|---|
| None | of its first sub-token, the best that make sense (`tag_decoding`) | B- and its I- |
| first | the most probable of its first sub-token | words of a type, a new one at B- |
| average | the most probable of the mean of its sub-tokens | the same |
| max | the most probable of the sub-token that is surest | the same |
| simple | | sub-tokens of a type, a new one at B-, whatever the words |
| none | | each sub-token that is not O by itself |

transformers' own is `TokenClassificationPipeline` (pipelines/token_classification.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from ..data.alignment import WordWindow, first_tokens, merge_words
from ..metrics import spans_of
from ..metrics.tags import OUTSIDE, Span, is_tag
from .task import Array, probabilities

STRATEGIES = ("none", "simple", "first", "average", "max")
BY_PIECE = ("none", "simple")  # those that look at sub-tokens, not at words


class Pieces(NamedTuple):
    """The sub-tokens of a sentence.

    ids : (N,)
    spans : (N, 2), the characters of each in its word
    words : (N,), the word of each
    before : tokens of the sequence before the first
    """

    ids: Array
    spans: Array
    words: Array
    before: int


def word_logits(windows: Sequence[WordWindow], counts: Array, rows: Sequence[Array]) -> Array:
    """Logits (W, L) of the first sub-token of each word.

    windows : those of a sentence
    counts : (W,) sub-tokens of each word
    rows : for each window logits (T, L) of its sub-tokens
    """
    own = [row[first_tokens(window, counts)] for window, row in zip(windows, rows)]
    return merge_words(windows, own)


def word_chances(
    strategy: str, windows: Sequence[WordWindow], counts: Array, rows: Sequence[Array]
) -> Array:
    """Probabilities (W, L) of each word as a strategy has them; see `word_logits`."""
    if strategy not in ("average", "max"):
        return probabilities(word_logits(windows, counts, rows))
    join = _mean if strategy == "average" else _surest
    own = [
        join(probabilities(row), first_tokens(window, counts)) for window, row in zip(windows, rows)
    ]
    return merge_words(windows, own)


def piece_chances(windows: Sequence[WordWindow], counts: Array, rows: Sequence[Array]) -> Array:
    """Probabilities (N, L) of all sub-tokens, each from the window that owns its word.

    Those of a word longer than a window that do not fit have the last one's.
    """
    own = []
    for window, row in zip(windows, rows):
        start = int(counts[window.start : window.own_start].sum())
        stop = start + int(counts[window.own_start : window.own_stop].sum())
        own.append(probabilities(row)[np.minimum(np.arange(start, stop), len(row) - 1)])
    return np.concatenate(own)


def groups_of(tags: Sequence[str]) -> list[Span]:
    """Entities of tags with prefixes; of others what has the same tag in a row, `O` left out."""
    if all(map(is_tag, tags)):
        return spans_of(tags)
    found, start = [], 0
    for tag, same in groupby(tags):
        stop = start + len(list(same))
        if tag != OUTSIDE:
            found.append(Span(tag, start, stop))
        start = stop
    return found


def entity(kind: str, scores: Any, text: str, start: int, end: int) -> dict[str, Any]:
    """An entity as pipelines return it, with the mean of the scores of its parts."""
    mean = float(scores.mean(dtype=np.float64))
    return {
        "entity_group": kind, "score": mean, "word": text[start:end], "start": start, "end": end,
    }  # fmt: skip


def _mean(chances: Array, firsts: Array) -> Array:
    sizes = np.diff(np.append(firsts, len(chances)))
    return np.add.reduceat(chances, firsts) / sizes[:, None].astype(chances.dtype)


def _surest(chances: Array, firsts: Array) -> Array:
    stops = [*firsts[1:], len(chances)]
    best = [a + int(chances[a:b].max(axis=1).argmax()) for a, b in zip(firsts, stops)]
    return chances[best]
