"""`--sweep NAME=VALUE,VALUE`: an option and the values of it that are tried."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from ..errors import shown


def sweep_option(command: Any) -> Any:
    """Decorate a command with `--sweep`, which arrives as {name: [values]} or None."""
    return click.option(
        "--sweep",
        multiple=True,
        metavar="NAME=VALUE,...",
        callback=_parse,
        help="Try each value of an option, such as learning-rate=1e-4,2e-4,5e-4, in a run of its "
        "own, and keep the best on validation data. May be repeated: every combination is run.",
    )(command)


def _parse(
    context: click.Context, _: click.Parameter, given: Sequence[str]
) -> dict[str, list[Any]] | None:
    sweep: dict[str, list[Any]] = {}
    for told in given:
        word, equals, values = told.partition("=")
        name = word.strip().lstrip("-").replace("-", "_")
        if not name or not equals or not values:
            raise click.BadParameter(f"got {shown(told)}, expected NAME=VALUE,VALUE")
        if name in sweep:
            raise click.BadParameter(f"{shown(word)} stands twice; give its values together")
        if name not in {option.name for option in context.command.params}:
            raise click.BadParameter(f"{shown(word)} is no flag of this command")
        sweep[name] = [_value(value.strip()) for value in values.split(",")]
    return sweep or None


def _value(word: str) -> Any:
    """A number, true, false or a word."""
    try:
        value = json.loads(word)
    except ValueError:
        return word
    return value if isinstance(value, (bool, int, float)) else word
