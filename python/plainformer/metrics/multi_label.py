"""Scores where an example has any number of labels, none included.

Definitions and the answers for 0 / 0 (always 0) are scikit-learn's, on the matrix of examples and
labels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

from ..errors import DTypeError
from ._scores import LabelScore, as_labels, by_name, check_list, check_pairs, mean, ratio, scores_by

Sets = Sequence[Collection[Any]]


@by_name
def multi_label_scores(*, references: Sets, predictions: Sets) -> dict[Any, LabelScore]:
    """Precision, recall, F1 and support of each label that occurs on either side, sorted.

    Parameters
    ----------
    references, predictions : (N,) collections of labels, N >= 1

    Raises
    ------
    ShapeError : no examples, or different numbers of them
    DTypeError : a text where a collection of labels is expected
    """
    found, wanted = _sets("predictions", predictions), _sets("references", references)
    check_pairs(predictions, references)
    both = [a & b for a, b in zip(found, wanted)]
    kinds = frozenset().union(*found, *wanted)
    order = sorted(kinds, key=lambda label: (isinstance(label, str), label))
    return scores_by(chain(*found), chain(*wanted), chain(*both), order)


def multi_label_metrics(references: Sets, predictions: Sets) -> dict[str, float]:
    """`{"micro_f1", "macro_f1", "subset_accuracy"}`, fractions, whichever side comes first.

    Micro F1 is that of all counts together, macro F1 the plain mean over the labels that occur, and
    subset accuracy the share of examples with all labels right and none too many.

    Raises
    ------
    ShapeError, DTypeError : as `multi_label_scores`
    """
    scores = multi_label_scores(predictions=predictions, references=references)
    found, wanted = _sets("predictions", predictions), _sets("references", references)
    correct = sum(len(a & b) for a, b in zip(found, wanted))
    return {
        "micro_f1": ratio(2 * correct, sum(map(len, found)) + sum(map(len, wanted))),
        "macro_f1": mean(score.f1 for score in scores.values()),
        "subset_accuracy": mean(a == b for a, b in zip(found, wanted)),
    }


def _sets(name: str, values: Sets) -> list[frozenset[Any]]:
    check_list(name, values)
    for i, value in enumerate(values):
        if isinstance(value, (str, bytes)) or not isinstance(value, Collection):
            raise DTypeError(f"{name}[{i}]: got {type(value).__name__}, expected a list of labels")
    return [frozenset(as_labels(f"{name}[{i}]", list(value))) for i, value in enumerate(values)]
