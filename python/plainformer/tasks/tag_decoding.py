"""The most probable tags of a sentence that make sense together: Viterbi's algorithm.

Word by word, the most probable tags may say `B-ORG I-LOC`, which is no entity of any kind. Here the
best of all sequences is found in which an entity begins, goes on and ends as its scheme has it:

    best[w, b] = logit[w, b] + max over a that b may follow of best[w - 1, a]

Logits do as well as log-probabilities: they differ by a constant of each word, which every sequence
has in it. Where the most probable tags are in order already they are the best sequence, which is
so for most sentences and costs nothing.

Viterbi, "Error bounds for convolutional codes", 1967; of taggers without a trained transition
Strubell and others, "Fast and Accurate Entity Recognition", 2017, arXiv:1702.02098.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..metrics.tags import OUTSIDE, split_tag

Array = np.ndarray
_NEVER = -np.inf


class TagDecoder:
    """Which tags may follow each other, and the best sequence that keeps to it.

    An entity begins with B or S and goes on with I or E of its type; where the labels of its type
    have E or S (IOBES, BILOU, BMES) it ends with one of them. A type that lacks the letter for it
    (a model of I- tags alone) begins, or ends, with what it has.

    Parameters
    ----------
    labels : (L,) tags in the order of their ids; `O` among them

    Attributes
    ----------
    follows : (L, L) bool, [a, b] whether b may follow a
    begins, ends : (L,) bool, whether a sentence may begin, or end, with a tag
    """

    def __init__(self, labels: Sequence[str]):
        tags = [split_tag(label) for label in labels]
        letters: dict[str, set[str]] = {}
        for letter, kind in tags:
            letters.setdefault(kind, set()).add(letter)
        places = {kind: i for i, kind in enumerate(letters)}
        kinds = np.array([places[kind] for _, kind in tags])
        own = [letters[kind] for _, kind in tags]
        outside = np.array([letter == OUTSIDE for letter, _ in tags])
        first = [letter in _first(given) for (letter, _), given in zip(tags, own)]
        last = [letter in _last(given) for (letter, _), given in zip(tags, own)]
        self.begins, self.ends = outside | first, outside | last
        is_open = np.array([letter in "BI" for letter, _ in tags])
        goes_on = np.array([letter in "IE" for letter, _ in tags])
        inside = np.outer(is_open, goes_on) & (kinds[:, None] == kinds)
        self.follows = inside | np.outer(self.ends, self.begins)

    def best(self, logits: Array) -> Array:
        """The ids (W,) of the best sequence for logits (W, L), W at least 1; of several that are as
        good the one with the lowest ids at the end."""
        greedy = logits.argmax(axis=1)
        if self.is_in_order(greedy):
            return greedy
        scores = logits.astype(np.float64)
        cost = np.where(self.follows, 0.0, _NEVER)
        came = np.zeros(scores.shape, np.intp)
        best = np.where(self.begins, scores[0], _NEVER)
        for word in range(1, len(scores)):
            ways = best[:, None] + cost  # (before, now)
            came[word] = ways.argmax(axis=0)
            best = ways.max(axis=0) + scores[word]
        path = [int(np.where(self.ends, best, _NEVER).argmax())]
        for word in range(len(scores) - 1, 0, -1):
            path.append(int(came[word, path[-1]]))
        return np.array(path[::-1])

    def is_in_order(self, ids: Array) -> bool:
        """Whether each of the tags may stand where it does."""
        inner = self.follows[ids[:-1], ids[1:]].all()
        return bool(inner and self.begins[ids[0]] and self.ends[ids[-1]])


def _first(letters: set[str]) -> set[str]:
    """With which letters an entity begins whose type has these."""
    return letters & {"B", "S"} or letters


def _last(letters: set[str]) -> set[str]:
    """With which letters one ends: any where no letter says so."""
    if not letters & {"E", "S"}:
        return letters
    lacking = ({"B"} if "S" not in letters else set()) | (
        {"B", "I"} if "E" not in letters else set()
    )
    return letters & ({"E", "S"} | lacking)
