"""Lines to the rows of a table, whatever their quotes do."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

CSV = ","
TSV = "\t"
RETURN_INSIDE = "a carriage return inside the line; expected line feeds between lines"
_REACH = 1 << 24  # characters of a row over several lines, a line counted as some more
_LEAST_REACH = 1 << 14  # what it shrinks to: many quotes that never close cost little each
_LINE = 256
_QUOTED = re.compile(r'[^"]*(?:""[^"]*)*')  # up to the quote that closes the cell, or to the end


class RowError(ValueError):
    """A line is no row of a table; the message says why."""


class Row(NamedTuple):
    """A row of a table: its first and last line, and its fields (none: the line is blank) or what
    is wrong with it."""

    line: int
    last_line: int
    fields: list[str] | RowError


def table_rows(lines: Iterable[str], delimiter: str) -> Iterator[Row]:
    """The rows, one at a time, every line in one of them; `lines` keep their ends.

    A cell that begins with a quote goes on to the quote that closes it, over delimiters and line
    ends; a quote in it is written twice. One that is never closed, or closed in the middle of a
    cell, spoils its line alone: the lines after it are read anew.

    Between tabs, quotes may also be text: a line is read as it stands where its quotes do not
    close, or where that gives as many cells as the first row and reading them does not.
    """
    return iter(_Rows(lines, delimiter))


def row_of(line: str, delimiter: str) -> list[str]:
    """The cells of a line that is a row, none where it is none."""
    [*rows] = table_rows([line], delimiter)
    return rows[0].fields if len(rows) == 1 and isinstance(rows[0].fields, list) else []


class _Rows:
    def __init__(self, lines: Iterable[str], delimiter: str):
        self._lines = iter(lines)
        self._ahead: deque[str] = deque()  # lines looked at in vain, to be read anew
        self._line = 0
        self._delimiter = delimiter
        self._width: int | None = None
        self._reach = _REACH

    def __iter__(self) -> Iterator[Row]:
        while (line := self._next()) is not None:
            yield self._row(line)

    def _next(self) -> str | None:
        line = self._ahead.popleft() if self._ahead else next(self._lines, None)
        self._line += line is not None
        return line

    def _give_back(self, lines: list[str]) -> None:
        self._ahead.extendleft(reversed(lines))
        self._line -= len(lines)

    def _row(self, line: str) -> Row:
        start = self._line
        if not line.strip(" \r\n"):
            return Row(start, start, [])
        text = line.rstrip("\r\n")
        if '"' not in text and "\r" not in text:  # most lines, and faster
            return self._found(start, text.split(self._delimiter))
        taken = [line]
        fields: list[str] | RowError
        try:
            fields = self._quoted(taken)
        except RowError as error:
            fields = error
        is_text = self._delimiter == TSV and self._is_plain(taken, fields)
        if is_text or isinstance(fields, RowError):
            self._give_back(taken[1:])
        return self._found(start, _or_error(line) if is_text else fields)

    def _found(self, start: int, fields: list[str] | RowError) -> Row:
        if self._width is None and isinstance(fields, list):
            self._width = len(fields)
        return Row(start, self._line, fields)

    def _quoted(self, taken: list[str]) -> list[str]:
        """The cells of a row that begins with the one line taken; takes what belongs to it."""
        cells, size = _Cells(self._delimiter), 0
        while not cells.add(taken[-1]):
            size += len(taken[-1]) + _LINE
            following = self._next() if size <= self._reach else None
            if following is None:
                if size > _LEAST_REACH:
                    self._reach = max(self._reach // 2, _LEAST_REACH)
                raise RowError("a quote opens a cell and none closes it")
            taken.append(following)
        return cells.fields

    def _is_plain(self, taken: list[str], fields: list[str] | RowError) -> bool:
        """Whether the quotes of a line between tabs are text."""
        if isinstance(fields, RowError):
            return True
        if len(taken) == 1 and (self._width is None or len(fields) == self._width):
            return False
        return self._width is None or all(line.count(TSV) + 1 == self._width for line in taken)


class _Cells:
    """The cells of one row, whose lines are added until it is whole."""

    def __init__(self, delimiter: str):
        self.fields: list[str] = []
        self._delimiter = delimiter
        self._open: list[str] | None = None  # parts of a quoted cell that goes on

    def add(self, line: str) -> bool:
        """Whether the row ends with this line. RowError: it is none."""
        text = line.rstrip("\r\n")
        at = 0
        while True:
            if self._open is None and text.startswith('"', at):
                self._open, at = [], at + 1
            if self._open is not None:
                inside = _QUOTED.match(line, at)
                assert inside is not None  # it matches nothing, too
                self._open.append(inside[0])
                if inside.end() == len(line):
                    return False
                self.fields.append("".join(self._open).replace('""', '"'))
                self._open, at = None, inside.end() + 1
                if at < len(text) and text[at] != self._delimiter:
                    raise RowError(
                        "a quote in the middle of a cell that begins with one; write it twice"
                    )
            else:
                end = text.find(self._delimiter, at)
                self.fields.append(_plain(text[at : end if end >= 0 else len(text)]))
                at = end if end >= 0 else len(text)
            if at >= len(text):
                return True
            at += 1


def _plain(cell: str) -> str:
    if "\r" in cell:
        raise RowError(RETURN_INSIDE)
    return cell


def _or_error(line: str) -> list[str] | RowError:
    """The cells between the tabs of a line, its quotes being text."""
    try:
        return [_plain(cell) for cell in line.rstrip("\r\n").split(TSV)]
    except RowError as error:
        return error
