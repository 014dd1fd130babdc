"""Accuracy, F1, Matthews' correlation and the confusion matrix of single-label classification.

Labels are strings or integers. Where `labels` may be given it says which labels count and in which
order; by default all that occur on either side, sorted. Definitions and the answers for 0 / 0
(always 0) are scikit-learn's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError, shown
from ..options import one_of
from ._scores import Label, LabelScore, as_labels, by_name, label_pairs, mean, ratio, scores_by

Labels = Sequence[Any] | np.ndarray
_AVERAGES = ("macro", "micro", "weighted")


def accuracy(references: Labels, predictions: Labels) -> float:
    """The fraction of examples whose label is right, whichever side comes first.

    Parameters
    ----------
    references, predictions : (N,) labels, strings or integers, N >= 1

    Raises
    ------
    ShapeError : no examples, different lengths, more than one axis
    DTypeError : something that is no label, or strings on one side and integers on the other
    """
    found, wanted = label_pairs(predictions, references)
    return sum(p == r for p, r in zip(found, wanted)) / len(wanted)


@by_name
def confusion_matrix(
    *, references: Labels, predictions: Labels, labels: Labels | None = None
) -> tuple[list[Label], np.ndarray]:
    """How often each label (row) was predicted as each label (column).

    Parameters
    ----------
    references, predictions : (N,) labels
    labels : (L,) labels that must hold all that occur; default those, sorted

    Returns
    -------
    labels : list of L labels
    matrix : int64 array (L, L), `matrix[i, j]` examples of label i predicted as label j

    Raises
    ------
    ConfigError : `labels` lacks one that occurs, or names one twice
    ShapeError, DTypeError : as `accuracy`
    """
    found, wanted = label_pairs(predictions, references)
    order = _order(found, wanted, labels)
    index = {label: i for i, label in enumerate(order)}
    unknown = next((label for label in (*wanted, *found) if label not in index), None)
    if unknown is not None:
        raise ConfigError(
            f"labels: {shown(unknown)} occurs but is not among the {len(order)} given"
        )
    matrix = np.zeros((len(order), len(order)), np.int64)
    np.add.at(matrix, ([index[r] for r in wanted], [index[p] for p in found]), 1)
    return order, matrix


@by_name
def label_scores(
    *, references: Labels, predictions: Labels, labels: Labels | None = None
) -> dict[Label, LabelScore]:
    """Precision, recall, F1 and support of each label.

    P = correct / predicted, R = correct / actual, F1 = 2 P R / (P + R).

    Parameters
    ----------
    references, predictions : (N,) labels
    labels : those wanted, default all that occur, sorted

    Raises
    ------
    ShapeError, DTypeError : as `accuracy`
    ConfigError : `labels` is empty or names one twice
    """
    found, wanted = label_pairs(predictions, references)
    right = (r for p, r in zip(found, wanted) if p == r)
    return scores_by(found, wanted, right, _order(found, wanted, labels))


@by_name
def f1_score(
    *, references: Labels, predictions: Labels, average: str = "macro", labels: Labels | None = None
) -> float:
    """F1 over labels: `macro` their plain mean, `weighted` by support, `micro` of summed counts.

    Parameters
    ----------
    references, predictions : (N,) labels
    average : str
    labels : those that count, default all that occur

    Over all labels micro F1 is accuracy; it differs when `labels` leaves some out.

    Raises
    ------
    ConfigError : another `average`; `labels` empty or with one twice
    ShapeError, DTypeError : as `accuracy`
    """
    one_of(*_AVERAGES).check("average", average)
    scores = label_scores(predictions=predictions, references=references, labels=labels)
    if average == "macro":
        return mean(score.f1 for score in scores.values())
    if average == "weighted":
        support = sum(score.support for score in scores.values())
        return ratio(sum(score.f1 * score.support for score in scores.values()), support)
    found, wanted = label_pairs(predictions, references)
    correct = sum(p == r and p in scores for p, r in zip(found, wanted))
    return ratio(2 * correct, sum(p in scores for p in found) + sum(r in scores for r in wanted))


def matthews_corrcoef(references: Labels, predictions: Labels) -> float:
    """Matthews' correlation coefficient, -1 to 1, for any number of labels.

    With C the confusion matrix, t its row sums, p its column sums, s all and c the correct ones:
    (c s - t.p) / sqrt((s^2 - p.p) (s^2 - t.t)); 0 where either side holds one label only. The same
    whichever side comes first.

    Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient",
    Computational Biology and Chemistry 28, 2004.

    Raises
    ------
    ShapeError, DTypeError : as `accuracy`
    """
    found, wanted = label_pairs(predictions, references)
    predicted, actual = Counter(found), Counter(wanted)
    s, c = len(wanted), sum(p == r for p, r in zip(found, wanted))
    # Python's integers: the products of counts are exact at any size.
    both = sum(predicted[label] * actual[label] for label in actual)
    spread_p = s * s - sum(n * n for n in predicted.values())
    spread_t = s * s - sum(n * n for n in actual.values())
    if spread_p == 0 or spread_t == 0:
        return 0.0
    return (c * s - both) / (math.sqrt(spread_p) * math.sqrt(spread_t))


def classification_metrics(references: Labels, predictions: Labels) -> dict[str, float]:
    """`{"accuracy", "macro_f1", "mcc"}` over all labels that occur; fractions, mcc -1 to 1.

    The same whichever side comes first.

    Micro F1 over all labels is accuracy, where each example has one.

    Raises
    ------
    ShapeError, DTypeError : as `accuracy`
    """
    return {
        "accuracy": accuracy(predictions=predictions, references=references),
        "macro_f1": f1_score(predictions=predictions, references=references),
        "mcc": matthews_corrcoef(predictions=predictions, references=references),
    }


def _order(found: list[Label], wanted: list[Label], labels: Labels | None) -> list[Label]:
    if labels is None:
        return sorted({*found, *wanted})  # one kind, as label_pairs checked
    order = as_labels("labels", labels)
    if not order or len(set(order)) != len(order):
        raise ConfigError(f"labels: got {shown(order)}, expected each once and at least one")
    return order
