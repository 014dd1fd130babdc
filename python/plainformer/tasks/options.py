"""Options as dataclass fields, whose help texts also serve the command line."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ..errors import ConfigError, short, shown

Options = TypeVar("Options")


def option(default: Any, text: str, *, is_file: bool = False) -> Any:
    """A dataclass field with a help text.

    is_file : names a file of the user's, whose contents are kept; the name never is
    """
    return dataclasses.field(default=default, metadata={"help": text, "is_file": is_file})


def names_of(kind: Any) -> list[str]:
    """The options of a dataclass."""
    return [field.name for field in dataclasses.fields(kind)]


def make(kind: type[Options], values: Mapping[str, Any], *, owner: str) -> Options:
    """An object of a dataclass of options.

    Raises
    ------
    ConfigError : a name that `kind` has not; `owner` says whose option it would be
    """
    unknown = next((name for name in values if name not in names_of(kind)), None)
    if unknown is not None:
        raise ConfigError(
            f"{short(unknown)}: is no option of {owner}{hint(unknown, names_of(kind))}"
        )
    return kind(**values)


def hint(name: str, known: Iterable[str]) -> str:
    """What was probably meant."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {shown(near[0])}?" if near else ""


def check_at_least(options: Any, least: int, *names: str) -> None:
    """Raise ConfigError unless each of these options is None or at least `least`."""
    for name in names:
        value = getattr(options, name)
        if value is not None and value < least:
            raise ConfigError(f"{name}: got {value}, expected at least {least}")
