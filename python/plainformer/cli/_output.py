"""The file that answers go to: never one that is read, and as it was until the first answer."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import click

from ..errors import short
from ._common import wants_json

_STANDARD = "-"
_OF_PROGRAMS = {".xlsx", ".xls", ".ods", ".parquet"}


class _OutputType(click.Path):
    """A path; `-` is standard output."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if Path(value).suffix.lower() in _OF_PROGRAMS:
            self.fail(f"{short(value)}: name a .csv, which spreadsheets and databases read", param)
        return None if value == _STANDARD else super().convert(value, param, ctx)


OUTPUT = _OutputType(dir_okay=False)


def refuse_overwriting(
    output: str | None, files: Iterable[str], flag: str, written_by: str = "--output"
) -> None:
    """UsageError if the output is a file that is read; `-` among them is standard input.

    flag, written_by : those that name the files, and the output
    """
    if output is None or not os.path.exists(output):
        return
    written = os.stat(output)
    if stat.S_ISREG(written.st_mode) and any(_is(written, file) for file in files):
        raise click.UsageError(
            f"{written_by}: got {short(output)}, which {flag} reads; name another file"
        )


def _is(written: os.stat_result, file: str) -> bool:
    try:
        read = os.stat(file if file != _STANDARD else sys.stdin.fileno())
    except (AttributeError, OSError, ValueError):  # closed, in memory
        return False
    return os.path.samestat(written, read)


@contextmanager
def output_of(path: str | None) -> Iterator[TextIO]:
    """The file that answers go to; standard output without one, with --json standard error."""
    if path is None:
        file = sys.stderr if wants_json() else sys.stdout
        if file is None:
            raise OSError(errno.EBADF, "standard output is closed; give --output")
        yield file
        return
    # Half a character, which JSON can hold, is escaped.
    with open(path, "a", encoding="utf-8", errors="backslashreplace", newline="") as file:
        replacing = _Replacing(file)
        yield cast(TextIO, replacing)
        replacing.write("")  # nothing came, and nothing went wrong


class _Replacing:
    """Writes over a file. What is in it stays until there is something to write, so that a
    mistake, found when the input is read, costs nothing."""

    encoding = "utf-8"

    def __init__(self, file: TextIO):
        self._file, self._began = file, False

    def write(self, text: str) -> int:
        if not self._began and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.truncate(0)
        self._began = True
        return self._file.write(text)

    def flush(self) -> None:
        self._file.flush()
