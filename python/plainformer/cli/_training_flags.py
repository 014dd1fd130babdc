"""Every field of TrainingArguments as a flag, and a YAML file that may hold any flag.

A flag that is not given is None here, so that the run file, and after it the default of
TrainingArguments, can speak.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from plainformer.errors import shown
from plainformer.training import TrainingArguments

# Fields whose annotation is one of these (with or without "| None") become options of that type.
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
            flag, is_flag=False, flag_value="", metavar="[PATH]", help=text, default=None
        )
    if kind == "bool":
        return click.option(f"{flag}/--no-{flag[2:]}", default=None, help=text + default)
    if kind.startswith("Sequence"):
        return click.option(flag, multiple=True, metavar="TEXT", help=text + " May be repeated.")
    if kind.startswith(("dict", "Mapping")):
        return click.option(flag, metavar="JSON", callback=_parse_mapping, help=text)
    if kind.startswith("str | Mapping"):
        return click.option(flag, metavar="WORD|JSON", callback=_parse_word, help=text)
    return click.option(flag, type=_PLAIN_TYPES[kind], default=None, help=text + default)


def _parse_mapping(_: click.Context, option: click.Parameter, value: str | None) -> Any:
    """A mapping written as JSON (which YAML reads)."""
    if value is None:
        return None
    parsed = yaml.safe_load(value)
    if not isinstance(parsed, dict):
        raise click.BadParameter(f'got {shown(value)}, expected an object such as {{"power": 2}}')
    return parsed


def _parse_word(context: click.Context, option: click.Parameter, value: str | None) -> Any:
    """A word, or a mapping written as JSON."""
    return _parse_mapping(context, option, value) if value and value.startswith("{") else value


def run_file_option(command: Any) -> Any:
    """Decorate a command with `--run F.yaml`, read by `with_run_file`."""
    return click.option(
        "--run",
        "run_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A YAML file that holds any of these flags; a flag on the command line wins.",
    )(command)


def with_run_file(flags: Mapping[str, Any], run_file: Path | None) -> dict[str, Any]:
    """The given flags over those of the run file; what neither gives is absent."""
    given = {k: v for k, v in flags.items() if v is not None and v != ()}
    if run_file is None:
        return given
    content = _read_yaml(run_file)
    if not isinstance(content, dict):
        raise click.UsageError(f"{run_file}: expected flags as `name: value` lines")
    values = {str(k).lstrip("-").replace("-", "_"): v for k, v in content.items()}
    for name in values.keys() - flags.keys():
        close = difflib.get_close_matches(name, list(flags), 1)
        hint = f"; did you mean {shown(close[0])}?" if close else ""
        raise click.UsageError(f"{run_file}: {shown(name)} is not a flag of this command{hint}")
    return {**values, **given}


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path}: not UTF-8: {error.reason}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f":{mark.line + 1}"
        reason = getattr(error, "problem", None) or "damaged"
        raise click.UsageError(f"{path}{line}: is no YAML: {reason}") from error


def make_arguments(values: Mapping[str, Any], output_dir: str | Path) -> TrainingArguments:
    """TrainingArguments of the flags that were given."""
    names = {field.name for field in dataclasses.fields(TrainingArguments)}
    chosen = {k: v for k, v in values.items() if k in names}
    if chosen.get("resume_from_checkpoint") == "":  # the flag without a value
        chosen["resume_from_checkpoint"] = True
    return TrainingArguments(**{**chosen, "output_dir": str(output_dir)})
