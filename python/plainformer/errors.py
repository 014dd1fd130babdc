"""Errors and warnings of plainformer.

PlainformerError
├── ShapeError (ValueError)      a shape, stride or size does not fit
├── ConfigError (ValueError)     an option has a value that is not allowed
├── DTypeError (TypeError)       an array or argument has the wrong type
├── DeviceError                  an array lives where the operation cannot reach it
├── CheckpointError              a file or directory of weights is missing, damaged or does not fit
├── DataError                    a line of a data file is bad; knows file and line
└── NonFiniteError               a loss or gradient became NaN or infinite; knows tensor and step

PlainformerWarning (UserWarning)
"""

from __future__ import annotations

import warnings


class PlainformerError(Exception):
    """Base of every error that plainformer raises on purpose."""


class ShapeError(PlainformerError, ValueError):
    """An array has the wrong shape, stride or size."""


class ConfigError(PlainformerError, ValueError):
    """An option has a value that is not allowed."""


class DTypeError(PlainformerError, TypeError):
    """An array or argument has the wrong type."""


class DeviceError(PlainformerError):
    """An array lives where the operation cannot reach it."""


class CheckpointError(PlainformerError):
    """Weights on disk are missing, damaged or do not fit the model."""


class DataError(PlainformerError, ValueError):
    """A data file is bad. `file` and `line` (from 1, None for the whole file) say where."""

    def __init__(self, message: str, file: str | None = None, line: int | None = None):
        where = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(where + message)
        self.file = file
        self.line = line


class NonFiniteError(PlainformerError, ArithmeticError):
    """A tensor became NaN or infinite in training. `tensor` and `step` say which and when."""

    def __init__(self, message: str, tensor: str | None = None, step: int | None = None):
        super().__init__(message)
        self.tensor = tensor
        self.step = step


class PlainformerWarning(UserWarning):
    """Base of every warning of plainformer; each cause warns once."""


_warned: set[str] = set()


def warn_once(message: str, *, cause: str | None = None, stacklevel: int = 3) -> None:
    """Warn with `message`, once a process for each `cause` (the message itself by default)."""
    key = cause or message
    if key not in _warned:
        _warned.add(key)
        warnings.warn(message, PlainformerWarning, stacklevel=stacklevel)
