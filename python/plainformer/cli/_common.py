"""What every `plainformer` command shares: `--json`, messages, one-line errors, exit codes.

A command is a function under `@click.command(cls=Command)` that returns a flat dictionary of
results. People read what it says through `echo`; with `--json` the last line of standard output is
the dictionary and everything else goes to standard error.

Exit codes: 0 done, 1 failure, 2 wrong usage, 130 after Ctrl-C.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..errors import (
    CheckpointError,
    ConfigError,
    PlainformerError,
    PlainformerWarning,
    is_panic,
    short,
)
from ._flags import in_flags, unknown_flag

_OF_FILES = (CheckpointError, OSError)  # whose names are those of a file's fields
FAILURE = 1
INTERRUPTED = 130
_JSON = "plainformer.json"


class Command(click.Command):
    """A command with `--json`, whose expected errors are one line and an exit code."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.params.append(_json_option())

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **kw: Any) -> Any:
        wants_json = "--json" in args
        flags = {flag for p in self.params if isinstance(p, FilesOption) for flag in p.opts}
        try:
            return super().make_context(info_name, _repeat_flags(args, flags), *rest, **kw)
        except click.UsageError as error:  # click prints the usage; a program reads the JSON
            told = error
            if isinstance(error, click.NoSuchOption):
                told = click.UsageError(unknown_flag(error, self), error.ctx)
            if wants_json:
                _write_json({"error": told.format_message()})
            raise told from (None if told is error else error)

    def invoke(self, ctx: click.Context) -> None:
        with _messages_to_stderr():
            result = self._run(ctx)
        if wants_json(ctx):
            _write_json({"command": _name(ctx), "version": version(), **(result or {})})

    def _run(self, ctx: click.Context) -> Mapping[str, Any] | None:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:  # its text says how to resume
            _fail(ctx, in_flags(str(stop), self) or "interrupted", INTERRUPTED)
        except click.ClickException as error:  # click prints it
            told = error
            if type(error) is click.UsageError:
                told = click.UsageError(in_flags(error.message, self), error.ctx)
            if wants_json(ctx):
                _write_json({"error": told.format_message()})
            raise told from (None if told is error else error)
        except MemoryError as error:
            _fail(ctx, f"out of memory {error}".strip(), FAILURE)
        except (PlainformerError, OSError) as error:
            if getattr(error, "errno", None) == errno.EPIPE:
                raise  # the reader of our output left; click ends quietly
            text = _one_line(error)
            _fail(ctx, text if isinstance(error, _OF_FILES) else in_flags(text, self), FAILURE)
        except Exception as error:  # a defect of ours: the traceback is wanted
            if isinstance(error.__cause__, KeyboardInterrupt):  # as classes wrap it while made
                _fail(ctx, "interrupted", INTERRUPTED)
            if wants_json(ctx) and not isinstance(error, click.exceptions.Exit):
                _write_json({"error": _one_line(error)})
            raise
        except BaseException as error:
            if not is_panic(error):
                raise
            _fail(ctx, f"the tokenizers library failed: {short(error)}", FAILURE)
        return None


class ModelDirectory(click.ParamType):
    """The directory of a model; the name of one that is elsewhere is told what to do."""

    name = "directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from ..checkpoints.huggingface import check_directory  # --help needs no NumPy

        try:
            check_directory(value)
        except PlainformerError as error:
            self.fail(_one_line(error), param, ctx)
        return Path(value)


class Seconds(click.FloatRange):
    """A time above 0; NaN, which no comparison finds out of range, is refused too."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return seconds


class FilesOption(click.Option):
    """`--data A B C`: takes every word up to the next one that begins with a dash; repeatable.

    Shells expand `*.txt` to several words. For commands without positional arguments.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **{**kwargs, "multiple": True})


def _repeat_flags(args: list[str], flags: set[str]) -> list[str]:
    """`--data A B` as `--data A --data B`, which click understands."""
    result: list[str] = []
    flag, values = None, 0
    for word in args:
        if word.startswith("-"):
            flag, values = (word if word.replace("_", "-") in flags else None), 0
        elif flag:
            result += [flag] if values else []
            values += 1
        result.append(word)
    return result


def _json_option() -> click.Option:
    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.meta[_JSON] = value

    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=remember,
        help="Print the results as one JSON object on the last line of standard output.",
    )


def wants_json(ctx: click.Context | None = None) -> bool:
    """Whether the running command was called with `--json`."""
    ctx = ctx or click.get_current_context(silent=True)
    return bool(ctx and ctx.meta.get(_JSON))


def echo(message: object = "", *, nl: bool = True) -> None:
    """Say something to people: standard output, or standard error under `--json`."""
    click.echo(message, nl=nl, err=wants_json())


def required(values: Mapping[str, Any], *names: str) -> None:
    """Raise ConfigError unless each of these flags was given."""
    missing = [name for name in names if not values.get(name)]
    if missing:
        raise ConfigError(f"missing --{', --'.join(n.replace('_', '-') for n in missing)}")


@contextmanager
def usage_errors() -> Iterator[None]:
    """Inside, a ConfigError is wrong usage (exit code 2): for values that come from flags."""
    try:
        yield
    except ConfigError as error:
        raise click.UsageError(str(error)) from error


def version() -> str:
    """The installed version, or "unknown" when the package runs from a source tree."""
    try:
        return importlib.metadata.version("plainformer")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _name(ctx: click.Context) -> str:
    """`tokenizer train` for `plainformer tokenizer train`."""
    return " ".join(ctx.command_path.split()[1:]) or ctx.command_path


def _fail(ctx: click.Context, message: str, code: int) -> None:
    click.echo(f"Error: {message}", err=True)
    if wants_json(ctx):
        _write_json({"error": message})
    ctx.exit(code)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (
        text
        if isinstance(error, (PlainformerError, OSError))
        else f"{type(error).__name__}: {text}"
    )


def _write_json(values: Mapping[str, Any]) -> None:
    click.echo(json.dumps({name: _plain(value) for name, value in values.items()}))


def _plain(value: Any) -> Any:
    """NumPy scalars as Python's; NaN and infinities, which JSON has not, as null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


@contextmanager
def _messages_to_stderr() -> Iterator[None]:
    """Show plainformer's log and warnings on standard error, a line each."""
    logger = logging.getLogger("plainformer")
    handler, level = _StderrHandler(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **kw: Any) -> None:
            if issubclass(category, PlainformerWarning):
                click.echo(f"Warning: {message}", err=True)
            else:
                shown(message, category, *rest, **kw)

        warnings.showwarning = show
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
