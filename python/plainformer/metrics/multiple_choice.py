"""Accuracy of choosing one of several answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DataError, ShapeError, shown
from ._scores import as_labels, as_numbers, by_name, check_pairs
from .classification import accuracy


@by_name
def multiple_choice_accuracy(
    *, references: Sequence[int] | np.ndarray, predictions: np.ndarray | Sequence[Sequence[float]]
) -> float:
    """The fraction of questions whose best-scored choice is the right one; the first of equals.

    Parameters
    ----------
    references : (N,) integers, index of the right choice
    predictions : scores, array (N, C), or N rows of any number of choices each

    Raises
    ------
    ShapeError : no questions, different lengths, a row without choices
    DataError : a score that is NaN, or a reference that is no choice of its question
    DTypeError : references that are no integers
    """
    check_pairs(predictions, references)
    right = as_labels("references", references)
    best = []
    for i, (row, index) in enumerate(zip(predictions, right)):
        values = as_numbers(f"predictions[{i}]", row)
        if values.ndim != 1 or values.size == 0:
            raise ShapeError(f"predictions[{i}]: got shape {values.shape}, expected one a choice")
        if not isinstance(index, int) or not 0 <= index < values.size:
            raise DataError(f"references[{i}]: got {shown(index)}, expected 0 to {values.size - 1}")
        best.append(int(values.argmax()))
    return accuracy(predictions=best, references=right)
