"""How well numbers are predicted: correlations of values and of ranks, and the mean error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError, ShapeError
from ._scores import as_numbers, check_pairs

Numbers = Sequence[float] | np.ndarray


def pearson_correlation(references: Numbers, predictions: Numbers) -> float:
    """The correlation of values, -1 to 1, whichever side comes first; 0 where one is constant.

    sum (x - mean x) (y - mean y) / sqrt(sum (x - mean x)^2 sum (y - mean y)^2)

    Parameters
    ----------
    references, predictions : (N,) finite numbers, N >= 1

    Raises
    ------
    ShapeError : no examples, different lengths, more than one axis
    DTypeError : something that is no number
    DataError : one that is NaN or infinite
    """
    return _correlation(*_pairs(predictions, references))


def spearman_correlation(references: Numbers, predictions: Numbers) -> float:
    """The correlation of ranks, -1 to 1, whichever side comes first; equal values share the mean of
    their ranks.

    Spearman, "The Proof and Measurement of Association between Two Things", 1904.

    Raises
    ------
    ShapeError, DTypeError, DataError : as `pearson_correlation`
    """
    found, wanted = _pairs(predictions, references)
    return _correlation(_ranks(found), _ranks(wanted))


def regression_metrics(references: Numbers, predictions: Numbers) -> dict[str, float]:
    """`{"pearson", "spearman", "mean_absolute_error"}`, whichever side comes first.

    Raises
    ------
    ShapeError, DTypeError, DataError : as `pearson_correlation`
    """
    found, wanted = _pairs(predictions, references)
    return {
        "pearson": _correlation(found, wanted),
        "spearman": _correlation(_ranks(found), _ranks(wanted)),
        "mean_absolute_error": float(np.abs(found - wanted).mean()),
    }


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    if (x == x[0]).all() or (y == y[0]).all():
        return 0.0
    dx, dy = _directions(x), _directions(y)
    return float(np.clip(np.sum(dx * dy), -1, 1))


def _directions(x: np.ndarray) -> np.ndarray:
    """x - mean x as a vector of length 1; scaled before it is squared, so nothing overflows."""
    x = x / np.abs(x).max()
    x = x - x.mean()
    x = x / np.abs(x).max()
    return x / np.sqrt(np.sum(np.square(x)))


def _ranks(x: np.ndarray) -> np.ndarray:
    """1 for the least, ...; equals have the mean of the places that they take."""
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def _pairs(predictions: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    check_pairs(predictions, references)
    return _numbers("predictions", predictions), _numbers("references", references)


def _numbers(name: str, values: Any) -> np.ndarray:
    array = as_numbers(name, values)
    if array.ndim != 1:
        raise ShapeError(f"{name}: got shape {array.shape}, expected one number an example")
    if not np.isfinite(array).all():
        raise DataError(f"{name}: got infinite values, expected finite numbers")
    return array
