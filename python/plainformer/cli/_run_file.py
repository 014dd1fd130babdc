"""`--run F.yaml`: a file that may hold any flag of a command, each as on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from ..errors import bounded, shown
from ._flags import meant_by
from ._yaml import MOST, Node, YamlError, compose, is_null, items, line_of, value_of

_FALSE = {"false", "no", "off", "n", "f", "0"}  # click's own words for a switch
_TRUE = {"true", "yes", "on", "y", "t", "1"}


def run_file_option(command: Any) -> Any:
    """Decorate a command with `--run F.yaml`, read by `with_run_file`."""
    return click.option(
        "--run",
        "run_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A YAML file that holds any of these flags; a flag on the command line wins.",
    )(command)


def with_run_file(flags: Mapping[str, Any], run_file: Path | None) -> dict[str, Any]:
    """The given flags over those of the run file; what neither gives is absent.

    For use inside a command, whose options convert the file's texts.
    """
    given = {k: v for k, v in flags.items() if v is not None and v != ()}
    if run_file is None:
        return given
    context = click.get_current_context()
    options = {p.name: p for p in context.command.params if p.name in flags}
    try:
        return {**_read(run_file, options, context), **given}
    except YamlError as error:
        where = run_file if error.line is None else f"{run_file}:{error.line}"
        raise click.UsageError(f"{where}: {error}") from error


def _read(path: Path, options: Mapping[Any, Any], context: click.Context) -> dict[str, Any]:
    node = compose(_text(path))
    values: dict[str, Any] = {}
    for word, value in items(node).items() if node is not None and not is_null(node) else ():
        name = word.lstrip("-").replace("-", "_")
        if name in values:
            raise YamlError(f"{shown(word)} stands twice", line_of(value))
        if name not in options:
            raise YamlError(f"{shown(word)} {_no_flag(word, context.command)}", line_of(value))
        try:
            values[name] = converted(options[name], value, context)
        except click.BadParameter as error:
            raise YamlError(f"{name}: {bounded(error.message)}", line_of(value)) from error
    return {name: value for name, value in values.items() if value is not None}


def _no_flag(word: str, command: click.Command) -> str:
    """What a word is that names no flag of a run file, and what was meant."""
    flag = f"--{word.lstrip('-').replace('_', '-')}"
    for option in command.params:
        if flag in option.secondary_opts:
            return f"is written {option.name}: false in a file"
        if flag in option.opts:
            return "goes on the command line, not into a file"
    return f"is not a flag of this command{meant_by(word, command)}"


def converted(option: click.Option, node: Node, context: click.Context) -> Any:
    """What an option makes of a node of the file: what it makes of the same text after its flag.

    None where nothing stands there. Raises click.BadParameter.
    """
    if is_null(node):
        return None
    if isinstance(node, yaml.MappingNode):
        if "JSON" not in (option.metavar or ""):
            raise click.BadParameter("got an object, expected a value")
        return value_of(node)
    texts = _texts(node)
    if not option.multiple and isinstance(node, yaml.SequenceNode):
        raise click.BadParameter("got a list, expected one value")
    if option.flag_value == "" and not option.is_flag and texts[0].lower() in _FALSE | _TRUE:
        return True if texts[0].lower() in _TRUE else None  # the flag without a value, or no flag
    value = option.type_cast_value(context, texts if option.multiple else texts[0])
    return option.callback(context, option, value) if option.callback else value


def _texts(node: Node) -> tuple[str, ...]:
    """The texts of a scalar, or of a list of scalars."""
    parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if not all(isinstance(part, yaml.ScalarNode) for part in parts):
        raise click.BadParameter("got a list of lists or objects, expected words")
    return tuple(part.value for part in parts)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(4 * MOST + 1)
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError(f"not UTF-8: {error.reason}") from error
