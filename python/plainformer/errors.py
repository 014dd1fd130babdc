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

What a message repeats of its user or of a stranger's file goes through `shown` (a value, quoted),
`short` (a name, not quoted) or `listed` (several names): a value may have a million characters,
line feeds or a terminal's escape sequences. What is repeated otherwise (numbers, paths, other
libraries' words) meets the wider bounds of `PlainformerError`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from itertools import islice
from reprlib import Repr
from typing import Any

_WIDTH = 80  # characters of a value that a message repeats
_LONGEST = 8000  # characters of a message: 20 bad lines with their paths
_LONG_WORD = re.compile(r"\S{400,}")
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LISTED = 10  # names that a message lists
_LINE_ENDS = re.compile(r"\s*[^\S ]\s*")  # any white space but blanks, and the blanks around it


class PlainformerError(Exception):
    """Base of every error that plainformer raises on purpose.

    Whatever a message repeats, it has at most 8000 characters, no word of more than 400, and
    nothing that a terminal obeys; line feeds stay, where a message lists bad lines.
    """

    def __init__(self, message: object = "", *rest: object):
        super().__init__(bounded(str(message)), *rest)


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


def is_panic(error: BaseException) -> bool:
    """Whether a library's Rust code failed: such errors are no Exception, and their class is in no
    module that could be imported."""
    return type(error).__name__ == "PanicException"


class PlainformerWarning(UserWarning):
    """Base of every warning of plainformer; each cause warns once."""


_warned: set[str] = set()


def warn_once(message: str, *, cause: str | None = None, stacklevel: int = 3) -> None:
    """Warn with `message`, once a process for each `cause` (the message itself by default)."""
    key = cause or message
    if key not in _warned:
        _warned.add(key)
        warnings.warn(bounded(message), PlainformerWarning, stacklevel=stacklevel)


def bounded(message: str) -> str:
    """A message of at most 8000 characters, no long words, and nothing that a terminal obeys."""
    if len(message) > _LONGEST:
        message = _without_middle(message, _LONGEST)
    message = _LONG_WORD.sub(lambda word: _without_middle(word[0], 400), message)
    return _CONTROLS.sub(lambda c: repr(c[0])[1:-1], message)


def _without_middle(text: str, most: int) -> str:
    end = most * 3 // 8
    return text if len(text) <= most else f"{text[: most - end - 3]}...{text[-end:]}"


def shown(value: Any) -> str:
    """The value as `repr` writes it, in about 80 characters of one line, its middle left out."""
    return short(_repr.repr(value))


def not_integers(name: str, value: Any, dtype: Any) -> DTypeError:
    """The error of what stands in the place of token ids; `dtype` is that of an array of it."""
    got = f"dtype {dtype}" if dtype.kind in "bcf" else shown(value)
    hint = "; a batch is given as model(**batch)" if isinstance(value, Mapping) else ""
    return DTypeError(f"{name}: got {got}, expected integers{hint}")


def short(text: object) -> str:
    """A name or another's message in about 80 characters of one line, its middle left out.

    Line ends and tabs become blanks, other characters that do not print are escaped.
    """
    text = _without_middle(str(text), 8 * _WIDTH)  # before looking at each character
    text = _LINE_ENDS.sub(" ", text.strip())
    if not text.isprintable():
        text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return _without_middle(text, _WIDTH)


def listed(names: Iterable[object], most: int = _LISTED) -> str:
    """The names joined by commas, each `short`; of more than `most` the first, then "..."."""
    first = list(islice(names, most + 1))
    return ", ".join([*map(short, first[:most]), *["..."] * (len(first) > most)])


class _Repr(Repr):
    """Bounded in time as well: a container's first items, an integer's size where it is long."""

    def repr_int(self, value: int, level: int) -> str:
        if value.bit_length() > 1000:  # the interpreter refuses to write the longest
            return f"an integer of {value.bit_length()} bits"
        return super().repr_int(value, level)

    def repr_instance(self, value: Any, level: int) -> str:
        if getattr(value, "shape", None) == () and hasattr(value, "item"):  # NumPy's 3 is 3
            item = value.item()
            if isinstance(item, (bool, int, float)):
                return self.repr1(item, level)
        return super().repr_instance(value, level)

    def repr_dict(self, value: dict[Any, Any], level: int) -> str:
        if level <= 0:
            return "{...}"
        first = islice(value.items(), self.maxdict)  # in its order: keys need not be sortable
        items = [f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in first]
        return f"{{{', '.join(items + ['...'] * (len(value) > self.maxdict))}}}"


_repr = _Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = _WIDTH
_repr.maxlevel = 3
