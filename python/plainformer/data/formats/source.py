"""One file (or standard input) as numbered lines, and what is done about bad ones."""

from __future__ import annotations

import codecs
import logging
import os
import select
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ...errors import DataError
from .._lines import utf8

STANDARD_INPUT = "-"
_AT_ONCE = 1 << 16  # bytes
_KEPT = 20  # messages of bad lines that are kept and logged; all are counted
_OTHERS: list[tuple[bytes | tuple[bytes, ...], str]] = [  # how files begin that are no UTF-8
    (
        (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
        "is in UTF-16; expected UTF-8: convert it",
    ),
    (b"PK\x03\x04", "is an archive or a spreadsheet's workbook; save it as CSV, or unpack it"),
    (b"PAR1", "is in Parquet; write it as CSV or JSONL"),
    ((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"), "is compressed; unpack it"),
]
_log = logging.getLogger("plainformer")


class Record(NamedTuple):
    """Fields of one example as a file has them, under the task's names, and its line.

    `lines` are those of its tokens, where each has one of its own; `where` says more than a line.
    """

    fields: dict[str, Any]
    line: int | None
    lines: list[int] | None = None
    where: str = ""


class Reading:
    """What one pass over the files counts: bad lines left out, other lines that are no example."""

    def __init__(self, skip_bad_lines: bool):
        self.skip_bad_lines = skip_bad_lines
        self.skipped = 0
        self.bad_lines: list[str] = []
        self.ignored: Counter[str] = Counter()

    def reject(self, message: str, file: str, line: int | None, lines: int = 1) -> None:
        """A bad line, or a row of so many: a DataError, or counted, kept and logged."""
        error = DataError(message, file, line)
        if not self.skip_bad_lines:
            raise error
        self.skipped += lines
        if len(self.bad_lines) < _KEPT:
            self.bad_lines.append(str(error))
            _log.warning("skipped: %s", error)


class Source:
    """Lines of a file as bytes, with their ends; a byte order mark at the beginning is left out.

    Parameters
    ----------
    path : str, a file; "-" is standard input, which can be read once
    before_waiting : called when standard input has nothing more for now, before it is waited for

    Raises
    ------
    DataError : the file cannot be opened or read, is a directory, or is in UTF-16
    """

    def __init__(self, path: str, before_waiting: Callable[[], None] | None = None):
        self._before_waiting = before_waiting
        self.name = "standard input" if path == STANDARD_INPUT else path
        self.suffix = Path(path).suffix.lower()
        self._file = self._open(path)
        self._lines = enumerate(self._raw_lines(), 1)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exception: object) -> None:
        if sys.stdin is None or self._file is not sys.stdin.buffer:
            self._file.close()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self._lines

    def first_line(self) -> bytes:
        """The first line that is not blank, b"" if there is none; it will be read again."""
        read = []
        for line in self._lines:
            read.append(line)
            if line[1].strip():
                break
        self._lines = chain(read, self._lines)  # type: ignore[assignment]
        return read[-1][1] if read and read[-1][1].strip() else b""

    def texts(self, reading: Reading) -> Iterator[tuple[int, str | None]]:
        """(line, text with its end); None for one that is not UTF-8, which is counted."""
        for number, data in self:
            try:
                yield number, utf8(data)
            except ValueError as error:
                reading.reject(str(error), self.name, number)
                yield number, None

    def _open(self, path: str) -> BinaryIO:
        if path == STANDARD_INPUT:
            if sys.stdin is None:
                raise DataError("is closed; name a file", self.name)
            return sys.stdin.buffer
        try:
            return open(path, "rb")
        except IsADirectoryError as error:
            raise DataError("is a directory; name its files, or a glob", path) from error
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path) from error

    def _raw_lines(self) -> Iterator[bytes]:
        waits = self._before_waiting is not None and _can_wait(self._file)
        for number, line in enumerate(self._arriving() if waits else self._whole()):
            if number == 0:
                told = next((told for begin, told in _OTHERS if line.startswith(begin)), None)
                if told is not None:
                    raise DataError(told, self.name, 1)
                line = line.removeprefix(codecs.BOM_UTF8)
            yield line

    def _whole(self) -> Iterator[bytes]:
        """The lines of a file that is all there."""
        try:
            yield from self._file
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", self.name) from error

    def _arriving(self) -> Iterator[bytes]:
        """The lines of standard input, each as soon as it is whole."""
        rest: list[bytes] = []  # of a line whose end has not come yet
        while data := self._next_bytes():
            *whole, last = data.split(b"\n")
            for line in whole:
                yield b"".join((*rest, line, b"\n"))
                rest.clear()
            rest.append(last)
        if line := b"".join(rest):
            yield line

    def _next_bytes(self) -> bytes:
        assert self._before_waiting is not None
        if not select.select([self._file], [], [], 0)[0]:
            self._before_waiting()
        try:
            return self._file.read1(_AT_ONCE)  # type: ignore[attr-defined]
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", self.name) from error


def _can_wait(file: BinaryIO) -> bool:
    """Whether `select` can tell if the file has something to read: a pipe, a terminal, a socket."""
    try:
        return os.name == "posix" and file is sys.stdin.buffer and file.fileno() >= 0
    except (OSError, ValueError):  # in memory, as in tests
        return False
