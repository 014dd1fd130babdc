"""The options of dataclasses as flags of a command.

A flag that is not given is None or (), so that the run file (`_run_file`), a model's own files and
after them the option's default can speak.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

import click

from ..errors import shown
from ..options import Option, names_of, options_of
from ._flags import in_flags

Decorator = Callable[[Any], Any]

_OBJECT = "NAME=VALUE,...|JSON"
_PAIRS = re.compile(r"\s*[\w.-]+\s*=[^=,{}]+(,\s*[\w.-]+\s*=[^=,{}]+)*")
_WORDS = {"true": True, "false": False}
_LISTS = (list, Sequence)
_OBJECTS = (dict, Mapping)


class OptionFlag(click.Option):
    """A flag that knows what other libraries call its option."""

    def __init__(self, *args: Any, words: Iterable[str] = (), **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.words = [word.replace("_", "-") for word in words]

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return record and (record[0], in_flags(record[1], ctx.command))


def option_flags(
    *kinds: Any,
    exclude: Iterable[str] = (),
    only: Iterable[str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> Decorator:
    """Decorate a command with one flag for each option of these dataclasses, each name once.

    only : the names that become flags; all without
    defaults : what a command does without a flag, where the option's default does not say it
    """
    options: dict[str, Option] = {}
    for known in (option for kind in kinds for option in options_of(kind).values()):
        options[known.name] = _joined(options.get(known.name, known), known)
    chosen = [o for n, o in options.items() if n not in exclude and (only is None or n in only)]

    def decorate(command: Any) -> Any:
        for option in reversed(chosen):
            command = option_flag(option, (defaults or {}).get(option.name))(command)
        return command

    return decorate


def _joined(one: Option, other: Option) -> Option:
    """An option that means something else to another task, with the help of both."""
    if other.help in one.help:
        return one
    return replace(other, help=f"{one.help} Or: {other.help}")


def option_flag(option: Option, default: str | None = None) -> Decorator:
    """The flag of an option, by its kind."""
    name = option.name.replace("_", "-")
    how = _of_kind(option.kinds)
    flag = f"--{name}/--no-{name}" if how.pop("is_switch", False) else f"--{name}"
    if default is None and option.default is not None:
        default = str(option.default)
        if isinstance(option.default, bool):
            default = "on" if option.default else "off"
    text = option.help
    if how.get("multiple"):
        text += " May be repeated."
    elif default is not None:
        text += f"  [default: {default}]"
    return click.option(flag, cls=OptionFlag, words=option.words, help=text, **how)


def _of_kind(kinds: tuple[Any, ...]) -> dict[str, Any]:
    """How click reads a flag whose option takes values of these kinds."""
    origins = [get_origin(kind) or kind for kind in kinds]
    if origins == [bool]:
        return {"is_switch": True, "default": None}
    if origins == [str, bool]:  # a word, or none for True
        return {"is_flag": False, "flag_value": "", "metavar": "[PATH]", "callback": _parse_bare}
    if origins == [bool, Literal]:
        choice = click.Choice([*_WORDS, *get_args(kinds[1])])
        return {"type": choice, "callback": _parse_switch}
    if origins[-1] in _LISTS:
        [item] = get_args(kinds[-1])
        return {"multiple": True, "type": item, **({"metavar": "TEXT"} if item is str else {})}
    if origins[-1] in _OBJECTS:
        word = origins[0] is str
        parse = _parse_word if word else _parse_object
        return {"metavar": f"WORD|{_OBJECT}" if word else _OBJECT, "callback": parse}
    if origins == [Any]:
        return {"metavar": "JSON", "callback": _parse_json}
    return {"type": origins[0], "default": None}


def _parse_bare(_: click.Context, option: click.Parameter, value: str | None) -> Any:
    """True for the flag without a word, or with that one."""
    return True if value in ("", "true", "True") else value


def _parse_switch(_: click.Context, option: click.Parameter, value: str | None) -> Any:
    return value if value is None else _WORDS.get(value, value)


def _parse_json(_: click.Context, option: click.Parameter, value: str | None) -> Any:
    try:
        return None if value is None else json.loads(value)
    except ValueError:
        raise click.BadParameter(f"got {shown(value)}, expected JSON") from None


def _parse_object(_: click.Context, option: click.Parameter, value: str | None) -> Any:
    """An object written as JSON, whose quotation marks may be left out."""
    from ._yaml import YamlError, parse_object  # not for --help, nor where none is given

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
    """A word, or an object."""
    is_object = value and (value.startswith("{") or _PAIRS.fullmatch(value))
    return _parse_object(context, option, value) if is_object else value


def flags_given(kind: Any, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that are options of a dataclass and were given."""
    names = names_of(kind)
    return {n: v for n, v in flags.items() if n in names and v is not None and v != ()}
