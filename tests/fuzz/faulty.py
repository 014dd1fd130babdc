"""Cases that go wrong on purpose, a kind each, and a last one that does not."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plainformer.errors import ConfigError


def _key() -> None:
    raise KeyError("a")


def _long() -> None:
    error = ConfigError("a")
    error.args = ("a" * 5000,)
    raise error


def _slow() -> None:
    while True:
        pass


def _large() -> None:
    bytearray(3 << 30)


def _warns() -> None:
    warnings.warn("overflow", RuntimeWarning, stacklevel=1)


def _crashes() -> None:
    ctypes.string_at(0)


def _clean() -> None:
    raise ConfigError("n: got 1, expected 2")


_CASES = (_key, _long, _slow, _large, _warns, _crashes, _clean)


def cases(name: str, folder: Path) -> Callable[[int], tuple[Callable[[], Any], tuple[Any, ...]]]:
    """Case i as it stands above."""
    return lambda number: (_CASES[number], (ConfigError,))
