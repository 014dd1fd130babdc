"""What the metrics share: precision, recall and F1 from counts, and checks of what they get."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..errors import ConfigError, DataError, DTypeError, ShapeError, shown
from ..kinds import check_kind

Label = str | int
F = TypeVar("F", bound=Callable[..., Any])


def by_name(metric: F) -> F:
    """A metric whose two sides must be named: exchanged, they would give another figure."""
    sides = [f"{name}=..." for name in inspect.signature(metric).parameters][:2]

    @functools.wraps(metric)
    def call(*unnamed: Any, **arguments: Any) -> Any:
        if unnamed:
            raise DTypeError(
                f"{metric.__name__}: got {len(unnamed)} arguments without names; write "
                f"{metric.__name__}({', '.join(sides)}), as libraries differ in their order"
            )
        return metric(**arguments)

    return call  # type: ignore[return-value]


class LabelScore(NamedTuple):
    """Scores of one label, 0 to 1, and `support`, how often it occurs in the references."""

    precision: float
    recall: float
    f1: float
    support: int


def score_counts(correct: int, predicted: int, actual: int) -> LabelScore:
    """P = correct / predicted, R = correct / actual, F1 = 2 P R / (P + R); 0 where 0 / 0."""
    precision = ratio(correct, predicted)
    recall = ratio(correct, actual)
    # From the counts, not from P and R: one rounding, so that swapping the sides changes nothing.
    return LabelScore(precision, recall, ratio(2 * correct, predicted + actual), actual)


def scores_by(
    predicted: Iterable[Any],
    actual: Iterable[Any],
    correct: Iterable[Any],
    order: Iterable[Any] | None = None,
) -> dict[Any, LabelScore]:
    """The scores of each label in `order`, by default of all that occur, sorted; the others are
    the labels of what was predicted, of what is so, and of what is both, one each time."""
    found, wanted, both = Counter(predicted), Counter(actual), Counter(correct)
    labels = sorted({*found, *wanted}) if order is None else order
    return {label: score_counts(both[label], found[label], wanted[label]) for label in labels}


def ratio(part: float, whole: float) -> float:
    """part / whole, 0.0 where both are 0."""
    return part / whole if whole else 0.0


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean of at least one value; 0.0 of none."""
    values = list(values)
    return ratio(sum(values), len(values))


def ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each sequence of n tokens occurs."""
    starts = range(n if n <= len(tokens) else 0)
    return Counter(zip(*(tokens[i:] for i in starts)))


def check_pairs(
    predictions: Sequence[Any] | np.ndarray, references: Sequence[Any] | np.ndarray
) -> None:
    """One prediction for each reference, and at least one of them."""
    for name, values in (("predictions", predictions), ("references", references)):
        check_list(name, values)
    if len(predictions) != len(references):
        raise ShapeError(
            f"predictions: got {len(predictions)}, expected one for each of the "
            f"{len(references)} references"
        )
    if len(references) == 0:
        raise ShapeError("predictions, references: got no examples, expected at least one")


def check_texts(name: str, values: Sequence[Any]) -> list[str]:
    """`values` as a list, each a string."""
    check_list(name, values)
    return [check_text(f"{name}[{i}]", value) for i, value in enumerate(values)]


def check_text(name: str, value: Any) -> str:
    """`value`, a string."""
    text: str = check_kind(name, value, str, error=DTypeError)
    return text


def check_whole(name: str, value: Any, low: int, high: int = 2**63) -> int:
    """`value` as a whole number of at least `low`, at most `high`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise DTypeError(f"{name}: got {shown(value)}, expected a whole number")
    number = int(value)
    if not low <= number <= high:
        most = "" if high == 2**63 else f", at most {high}"
        raise ConfigError(f"{name}: got {shown(value)}, expected at least {low}{most}")
    return number


def as_numbers(name: str, values: Any) -> np.ndarray:
    """Numbers in a list, or one, as float64; none of them NaN."""
    try:
        numbers = np.asarray(values)
        if numbers.dtype.kind not in "iufb" and numbers.size:
            raise TypeError
        numbers = numbers.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DTypeError(f"{name}: got {shown(values)}, expected numbers") from None
    if np.isnan(numbers).any():
        at = f"[{int(np.argmax(np.isnan(numbers)))}]" if numbers.ndim else ""
        raise DataError(f"{name}{at}: got NaN")
    return numbers


def check_list(name: str, values: Any) -> None:
    """A list, a tuple, an array with an axis, a column: what has a length and an order."""
    is_array = getattr(values, "ndim", 0) > 0
    if not is_array and (isinstance(values, (str, bytes)) or not isinstance(values, Sequence)):
        raise DTypeError(f"{name}: got {type(values).__name__}, expected a list")


def as_labels(name: str, values: Sequence[Any] | np.ndarray) -> list[Label]:
    """Strings, or integers as Python's: one axis, one of the two kinds."""
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise ShapeError(
                f"{name}: got shape {values.shape}, expected one label an example; "
                "take the argmax of scores first"
            )
        values = values.tolist()
    check_list(name, values)
    labels: list[Label] = []
    for i, value in enumerate(values):
        if isinstance(value, str):
            labels.append(value)
        elif isinstance(value, (Integral, np.bool_)):
            labels.append(int(value))
        else:
            raise DTypeError(
                f"{name}[{i}]: got {shown(value)}, expected a string or an integer for a label"
            )
    return labels


def label_pairs(
    predictions: Sequence[Any] | np.ndarray, references: Sequence[Any] | np.ndarray
) -> tuple[list[Label], list[Label]]:
    """Both sides as labels of one kind, as many of each, at least one."""
    check_pairs(predictions, references)
    found, wanted = as_labels("predictions", predictions), as_labels("references", references)
    if len({isinstance(label, str) for label in (*found, *wanted)}) > 1:
        raise DTypeError(
            "predictions, references: got strings and integers, expected one kind of label; "
            "map ids to names first"
        )
    return found, wanted
