"""One file (or standard input) as lines or blocks, its records, and what is done about bad ones."""

from __future__ import annotations

import codecs
import logging
import os
import select
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, NamedTuple

from ...characters import CONTINUATION
from ...errors import DataError
from .files import STANDARD_INPUT
from .opening import BROKEN, Opened, decoded, guessed, open_text

BLANK = "blank line"
BLOCK = 1 << 18  # bytes: several blocks make one batch for a tokenizer, whose threads share them
_AT_ONCE = 1 << 16  # bytes
_KEPT = 20  # messages of bad lines that are kept and logged; all are counted
_OTHERS: list[tuple[bytes | tuple[bytes, ...], str]] = [  # how files begin that are no UTF-8
    ((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "is in UTF-16; say its encoding, utf-16"),
    (b"PK\x03\x04", "is an archive; unpack it (a workbook's name ends in .xlsx)"),
    (b"PAR1", "is in Parquet; name the file"),
    ((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"), "is compressed; unpack it"),
]
_NOT_UTF8 = "not UTF-8: byte"
_log = logging.getLogger("plainformer")


class Record(NamedTuple):
    """One line, row, sentence or question of a file: the fields asked for, or why it has none.

    fields : under the names of who asked; those that are there
    line : where it begins
    own : all that its object or row has, under its own names; None where that is `fields`
    lines : of its tokens, where each has one of its own
    where : says more than a line
    problem : why it cannot be read
    bad : lines that are lost with a problem
    ignored : what kind of line it is that is nothing and no problem, such as `BLANK`
    file : where that is not the source's name
    """

    fields: dict[str, Any]
    line: int | None
    own: Mapping[str, Any] | None = None
    lines: list[int] | None = None
    where: str = ""
    problem: str = ""
    bad: int = 1
    ignored: str = ""
    file: str = ""


class Reading:
    """What one pass over the files counts: bad lines left out, other lines that are nothing."""

    def __init__(self, skip_bad_lines: bool):
        self.skip_bad_lines = skip_bad_lines
        self.skipped = 0
        self.bad_lines: list[str] = []
        self.ignored: Counter[str] = Counter()

    def good(self, records: Iterable[Record], file: str) -> Iterator[Record]:
        """The records that have fields; the others are rejected or counted."""
        for record in records:
            if record.problem:
                self.reject(record.problem, record.file or file, record.line, record.bad)
            elif record.ignored:
                self.ignored[f"{record.ignored}s"] += 1
            else:
                yield record

    def reject(self, message: str, file: str, line: int | None, lines: int = 1) -> None:
        """A bad line, or a row of so many: a DataError, or counted, kept and logged."""
        if not self.skip_bad_lines:
            hint = guessed(file) if message.startswith(_NOT_UTF8) else ""
            raise DataError(message + hint, file, line)
        error = DataError(message, file, line)
        self.skipped += lines
        if len(self.bad_lines) < _KEPT:
            self.bad_lines.append(str(error))
            _log.warning("skipped: %s", error)

    def leave_out(self, what: str, problem: str, *, file: str, line: int | None) -> None:
        """Count what is left out of an example, and log the first such."""
        self.ignored[what] += 1
        if self.ignored[what] <= _KEPT:
            _log.warning("left out: %s", DataError(problem, file, line))

    def tell(self, file: str, form: str, count: int, what: str, skipped: int) -> None:
        """Log what a file was found to be and to hold. skipped : bad lines in it"""
        told = f"{count} {what}{'s' * (count != 1)}{self.told(skipped)}"
        _log.info("%s: %s, %s", file, form, told)

    def told(self, skipped: int) -> str:
        """Bad lines in words, after a comma."""
        return f", {skipped} bad line{'s' * (skipped != 1)} skipped" if skipped else ""


def utf8(data: bytes) -> str:
    """The text, or a ValueError that names the byte and its column."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = data[error.start]
        raise ValueError(f"{_NOT_UTF8} 0x{byte:02x} at column {error.start + 1}") from error


class Source:
    """Lines of a file as bytes, numbered and with their ends, or its blocks.

    Only a line feed ends a line; a byte order mark at the beginning is left out.

    Parameters
    ----------
    path : str, a file; "-" is standard input, which can be read once
    before_waiting : called when standard input has nothing more for now, before it is waited for
    encoding : of its text, see `opening`; packed files, workbooks and Parquet are read as text too

    suffix : how its name ends, or would if it held its text alone
    form : what it is told to be where the suffix does not say it

    Raises
    ------
    DataError : the file cannot be opened or read, is a directory, or begins as no text does
    """

    def __init__(
        self,
        path: str,
        before_waiting: Callable[[], None] | None = None,
        encoding: str | None = None,
    ):
        self._before_waiting = before_waiting
        self.name = "standard input" if path == STANDARD_INPUT else path
        self._file, self.suffix, self.form = self._open(path, encoding)
        self.delimiter: str | None = None  # of a table, once it was told
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

    def first_lines(self, count: int) -> list[bytes]:
        """So many first lines, blank ones among them; they will be read again."""
        read = list(islice(self._lines, count))
        self._lines = chain(read, self._lines)  # type: ignore[assignment]
        return [data for _, data in read]

    def records(self, parse: Callable[[str, int], Record]) -> Iterator[Record]:
        """A record for each line: what `parse` makes of its text, or the ValueError that says why
        it is none; a blank line is ignored."""
        for number, data in self:
            try:
                text = utf8(data)
                blank = not text.strip()
                record = Record({}, number, ignored=BLANK) if blank else parse(text, number)
            except ValueError as error:
                record = Record({}, number, problem=str(error))
            yield record

    def blocks(self) -> Iterator[bytes]:
        """The file in blocks of about `BLOCK` bytes that end at a line end; a line longer than
        that is cut between two characters."""
        begin: Callable[[bytes], bytes] = self._begin
        with self._os_errors():
            while data := self._file.read(BLOCK):
                data += self._file.readline(BLOCK)
                while data[-1] != 10 and (more := self._file.peek(1)) and more[0] in CONTINUATION:
                    data += self._file.read(1)
                yield begin(data)
                begin = bytes

    def _open(self, path: str, encoding: str | None) -> Opened:
        if path == STANDARD_INPUT:
            if sys.stdin is None:
                raise DataError("is closed; name a file", self.name)
            return Opened(decoded(sys.stdin.buffer, self.name, encoding), "")
        try:
            return open_text(path, encoding)
        except IsADirectoryError as error:
            raise DataError("is a directory; name its files, or a glob", path) from error
        except BROKEN as error:
            why = getattr(error, "strerror", None) or error
            raise DataError(f"cannot be read: {why}", path) from error

    def _raw_lines(self) -> Iterator[bytes]:
        waits = self._before_waiting is not None and _can_wait(self._file)
        lines = self._arriving() if waits else self._whole()
        for line in islice(lines, 1):
            yield self._begin(line)
        yield from lines

    def _begin(self, data: bytes) -> bytes:
        """What a file begins with, past a byte order mark, if it is a text."""
        for begin, told in _OTHERS:
            if data.startswith(begin):
                raise DataError(told, self.name, 1)
        return data.removeprefix(codecs.BOM_UTF8)

    def _whole(self) -> Iterator[bytes]:
        """The lines of a file that is all there."""
        with self._os_errors():
            yield from self._file

    @contextmanager
    def _os_errors(self) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            why = getattr(error, "strerror", None) or error
            raise DataError(f"cannot be read: {why}", self.name) from error

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
        with self._os_errors():
            data: bytes = self._file.read1(_AT_ONCE)
        return data


def _can_wait(file: Any) -> bool:
    """Whether `select` can tell if the file has something to read: a pipe, a terminal, a socket."""
    try:
        return os.name == "posix" and file is sys.stdin.buffer and file.fileno() >= 0
    except (OSError, ValueError):  # in memory, as in tests
        return False
