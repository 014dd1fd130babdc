"""Accuracy of choosing one of several answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DataError, ShapeError, shown
from ._scores import as_labels, as_numbers, check_pairs
from .classification import accuracy


def multiple_choice_accuracy(
    scores: np.ndarray | Sequence[Sequence[float]], references: Sequence[int] | np.ndarray
) -> float:
    """The fraction of questions whose best-scored choice is the right one; the first of equals.

    Parameters
    ----------
    scores : array (N, C), or N rows of any number of choices each
    references : (N,) integers, index of the right choice

    Raises
    ------
    ShapeError : no questions, different lengths, a row without choices
    DataError : a score that is NaN, or a reference that is no choice of its question
    DTypeError : references that are no integers
    """
    check_pairs(scores, references)
    right = as_labels("references", references)
    best = []
    for i, (row, index) in enumerate(zip(scores, right)):
        values = as_numbers(f"scores[{i}]", row)
        if values.ndim != 1 or values.size == 0:
            raise ShapeError(f"scores[{i}]: got shape {values.shape}, expected one a choice")
        if not isinstance(index, int) or not 0 <= index < values.size:
            raise DataError(f"references[{i}]: got {shown(index)}, expected 0 to {values.size - 1}")
        best.append(int(values.argmax()))
    return accuracy(best, right)
