"""How the arguments of `generate` that are no plain number, word or switch are read.

NumPy's numbers, huge integers and lists of any kind are met here and nowhere else. Whether options
fit each other, the prompt and the vocabulary is seen to where they meet (`settings.py`,
`build.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..options import Rule, at_least, that

MOST_TOKENS = 2**31 - 1  # of a row; memory for them is taken as they are written
MOST_ROWS = 4096  # a prompt; all of them are computed side by side
_MOST_ITEMS = 2**20  # of a list of ids
_LARGEST = 10**9  # factor of a score: two of them, and scores, stay far below float32's infinity


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError


def _integer(value: Any, least: int = 0) -> int:
    _require(isinstance(value, (int, np.integer)) and not isinstance(value, bool))
    _require(least <= value <= MOST_TOKENS)
    return int(value)


def _finite(value: Any) -> float:
    _require(isinstance(value, (int, float, np.integer, np.floating)))
    _require(not isinstance(value, bool))
    number = float(value)  # an integer may overflow, and would make powers slow
    _require(math.isfinite(number))
    return number


def _items(value: Any) -> list[Any]:
    """The items of a list, tuple or array; a string or mapping is none."""
    _require(isinstance(value, (list, tuple, range, np.ndarray)))
    _require(len(value) <= _MOST_ITEMS)
    return list(value)


def read_ids(value: Any, least: int = 0) -> list[int]:
    """One id, or several in a list, as a list. Raises ValueError or TypeError for all else."""
    if isinstance(value, (list, tuple, range)) or (isinstance(value, np.ndarray) and value.ndim):
        return [_integer(one, least) for one in _items(value)]
    return [_integer(value.item() if isinstance(value, np.ndarray) else value, least)]


def read_word(value: Any) -> list[int]:
    """One or more ids that follow each other."""
    ids = read_ids(value)
    _require(bool(ids))
    return ids


def _words(value: Any) -> list[list[int]]:
    return [read_word(_items(word)) for word in _items(value)]


def _biases(value: Any) -> list[tuple[list[int], float]]:
    pairs = list(value.items()) if isinstance(value, Mapping) else _items(value)
    return [(read_word(ids), _bias(bias)) for ids, bias in pairs]


def _bias(value: Any) -> float:
    if isinstance(value, (float, np.floating)) and value == -np.inf:
        return float(value)
    number = _finite(value)
    _require(abs(number) <= _LARGEST)
    return number


def _decay(value: Any) -> tuple[int, float]:
    start, factor = _items(value)
    _require(_finite(factor) > 0)
    return _integer(start), _finite(factor)


def _strings(value: Any) -> str | list[str]:
    for one in [value] if isinstance(value, str) else _items(value):
        _require(isinstance(one, str) and bool(one))
    return value if isinstance(value, str) else _items(value)


def _callables(value: Any) -> list[Callable[..., Any]]:
    _require(isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)))
    found = list(value)
    _require(all(map(callable, found)))
    return found


def having(*names: str) -> Rule:
    """Objects with these attributes."""
    wanted = f"an object with {', '.join(names)}"
    return that(lambda value: all(hasattr(value, name) for name in names), wanted, alone=True)


LENGTH = at_least(1, MOST_TOKENS)
SIZE = at_least(0, MOST_TOKENS)
ROWS = at_least(1, MOST_ROWS)
IDS = Rule(read_ids, "ids of at least 0", alone=True)
ANY_IDS = Rule(lambda value: read_ids(value, -MOST_TOKENS), "ids", alone=True)  # -1: none
WORDS = Rule(_words, "a list of lists of ids, none of them empty", alone=True)
BIASES = Rule(_biases, "[[ids, float], ...], floats up to 1e9 or -inf", alone=True)
DECAY = Rule(_decay, "(new tokens, factor): an int of at least 0 and a float above 0", alone=True)
STRINGS = Rule(_strings, "strings of some length, one or a list", alone=True)
WARMTH = that(lambda v: v > 0, "above 0 (do_sample=False always takes the most probable token)")
FINITE = Rule(_finite, "float, a finite number", alone=True)
PENALTY = at_least(1e-9, _LARGEST)
CALLABLE = that(callable, "a callable", alone=True)
CALLABLES = Rule(_callables, "a list of callables", alone=True)
