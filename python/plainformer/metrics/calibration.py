"""Calibration: whether answers given with a probability of 0.9 are right nine times of ten.

Guo and others, "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, ShapeError
from ._scores import as_numbers, check_whole

_BINS = 15
_MOST_BINS = 10_000


class CalibrationBin(NamedTuple):
    """The answers whose confidence is above `low` and at most `high` (0 is in the first bin).

    size : how many there are
    confidence, accuracy : the mean confidence, and the share that is right; 0 without any
    """

    low: float
    high: float
    size: int
    confidence: float
    accuracy: float


def calibration_bins(
    confidences: Sequence[float] | np.ndarray,
    correct: Sequence[Any] | np.ndarray,
    *,
    bins: int = _BINS,
) -> list[CalibrationBin]:
    """Answers by their confidence, in bins of the same width.

    Parameters
    ----------
    confidences : (N,) probabilities 0 to 1 of what was answered, N >= 1
    correct : (N,) whether it is right, booleans or 0 and 1
    bins : how many

    Raises
    ------
    ShapeError : no answers, different lengths, more than one axis
    DTypeError : something that is no number
    DataError : a number that is not from 0 to 1
    ConfigError : `bins` below 1
    """
    count = check_whole("bins", bins, 1, _MOST_BINS)
    chance, right = (
        _shares(name, values)
        for name, values in (("confidences", confidences), ("correct", correct))
    )
    if chance.shape != right.shape or not chance.size:
        raise ShapeError(
            f"confidences, correct: got {len(chance)} and {len(right)}, expected as many of both, "
            "at least one"
        )
    edges = np.linspace(0, 1, count + 1)
    place = np.searchsorted(edges[1:-1], chance)
    sizes = np.bincount(place, minlength=count)
    of = np.maximum(sizes, 1)
    means, shares = (np.bincount(place, own, minlength=count) / of for own in (chance, right))
    found = zip(edges[:-1], edges[1:], sizes, means, shares)
    return [
        CalibrationBin(float(a), float(b), int(n), float(m), float(s)) for a, b, n, m, s in found
    ]


def expected_calibration_error(
    confidences: Sequence[float] | np.ndarray,
    correct: Sequence[Any] | np.ndarray,
    *,
    bins: int = _BINS,
) -> float:
    """ECE: how far confidence and accuracy are apart, a mean over bins by their answers.

    sum over bins of count / N * |accuracy - confidence|. Parameters and errors: `calibration_bins`.
    """
    found = calibration_bins(confidences, correct, bins=bins)
    total = sum(one.size for one in found)
    return sum(one.size * abs(one.accuracy - one.confidence) for one in found) / total


def _shares(name: str, values: Any) -> np.ndarray:
    array = as_numbers(name, values)
    if array.ndim != 1:
        raise ShapeError(f"{name}: got shape {array.shape}, expected one number an answer")
    if ((array < 0) | (array > 1)).any():
        raise DataError(f"{name}: got {array[(array < 0) | (array > 1)][0]}, expected from 0 to 1")
    return array
