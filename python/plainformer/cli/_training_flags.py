"""Every field of TrainingArguments as a flag.

A flag that is not given is None here, so that the run file (`_run_file`), and after it the default
of TrainingArguments, can speak.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import click

from ..errors import shown
from ..training import TrainingArguments
from ._yaml import YamlError, parse_object

# Fields whose annotation is one of these (with or without "| None") become options of that type.
_OBJECT = "NAME=VALUE,...|JSON"
_PAIRS = re.compile(r"\s*[\w.-]+\s*=[^=,{}]+(,\s*[\w.-]+\s*=[^=,{}]+)*")
_PLAIN_TYPES = {"int": int, "float": float, "str": str}


def training_flags(*, exclude: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Decorate a click command with one option for each training argument not excluded."""

    def decorate(command: Any) -> Any:
        for field in reversed(dataclasses.fields(TrainingArguments)):
            if field.name not in exclude:
                command = field_option(field)(command)
        return command

    return decorate


def field_option(field: dataclasses.Field) -> Callable[[Any], Any]:
    """The click option of a dataclass field with a `help` in its metadata."""
    flag = "--" + field.name.replace("_", "-")
    text = field.metadata["help"]
    kind = str(field.type).replace(" | None", "")
    default = "" if field.default in (None, False) else f"  [default: {field.default}]"
    if field.name == "resume_from_checkpoint":
        return click.option(
            flag, is_flag=False, flag_value="", metavar="[PATH]", callback=_newest, help=text
        )
    if kind == "bool":
        return click.option(f"{flag}/--no-{flag[2:]}", default=None, help=text + default)
    if kind.startswith("Sequence"):
        return click.option(flag, multiple=True, metavar="TEXT", help=text + " May be repeated.")
    if kind.startswith(("dict", "Mapping")):
        return click.option(flag, metavar=_OBJECT, callback=_parse_mapping, help=text)
    if kind.startswith("str | Mapping"):
        return click.option(flag, metavar=f"WORD|{_OBJECT}", callback=_parse_word, help=text)
    return click.option(flag, type=_PLAIN_TYPES[kind], default=None, help=text + default)


def _newest(_: click.Context, option: click.Parameter, value: str | None) -> str | bool | None:
    """The flag without a value: True, the newest checkpoint."""
    return True if value == "" else value


def _parse_mapping(_: click.Context, option: click.Parameter, value: str | None) -> Any:
    """An object written as JSON, whose quotation marks may be left out."""
    if value is None:
        return None
    try:
        return parse_object(_as_object(value))
    except YamlError as error:
        raise click.BadParameter(
            f"got {shown(value)}, expected name=value or a JSON object ({error})"
        ) from error


def _as_object(value: str) -> str:
    """`text=Review,label=Stars` as the object that it stands for."""
    if not _PAIRS.fullmatch(value):
        return value
    pairs = [part.partition("=") for part in value.split(",")]
    return f"{{{', '.join(f'{name.strip()}: {told.strip()}' for name, _, told in pairs)}}}"


def _parse_word(context: click.Context, option: click.Parameter, value: str | None) -> Any:
    """A word, or a mapping written as JSON."""
    is_object = value and (value.startswith("{") or _PAIRS.fullmatch(value))
    return _parse_mapping(context, option, value) if is_object else value
