"""CSV and TSV: which columns hold what, with a header or without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from ...errors import DataError, shown
from .._lines import CSV, TSV, Row, RowError, row_of, table_rows, utf8
from .source import Reading, Record, Source

_SAMPLE = 1000  # rows looked at to tell a header from a first example
_DELIMITERS = (CSV, ";", TSV)
_CHOICE = re.compile(r"(?:choice|ending|option)[ _]?(\d+)", re.IGNORECASE)
Columns = dict[str, int | list[int]]


class Table(NamedTuple):
    """A table whose columns are known. `rows` are those after the header, blank lines among them;
    those of `bad` lines are rejected already."""

    columns: Columns
    header: list[str] | None
    width: int
    rows: Iterator[Row]
    bad: set[int]


def read_table(
    source: Source, reading: Reading, names: dict[str, Any], required: tuple[str, ...], task: str
) -> Iterator[Record]:
    """A record for each row.

    `names` has the column of each field: a name in the header, a position (then there is no
    header), or for choices a list of either.
    """
    table = open_table(source, reading, names, required, task)
    for row in table.rows:
        lines = range(row.line, row.last_line + 1)
        spoilt = sum(line in table.bad for line in lines)
        if not row.fields:
            reading.ignored["blank lines"] += 1
        elif spoilt:
            reading.skipped += len(lines) - spoilt  # the others of its row go with it
        else:
            problem = problem_of(row, table.width)
            if problem:
                reading.reject(problem, source.name, row.line, len(lines))
            else:
                yield Record(pick(row.fields, table.columns), row.line)  # type: ignore[arg-type]


def open_table(
    source: Source, reading: Reading, names: dict[str, Any], required: tuple[str, ...], task: str
) -> Table:
    """The columns of the fields, and the rows to come; only as many are read as that takes."""
    bad: set[int] = set()
    delimiter = delimiter_of(source, names, required)
    rows = table_rows(_table_lines(source, reading, bad), delimiter)
    first = next((row for row in rows if row.fields), None)
    if first is None:
        return Table({}, None, 0, rows, bad)
    if isinstance(first.fields, RowError):
        raise DataError(f"not a row: {first.fields}", source.name, first.line)
    header, width = first.fields, len(first.fields)
    by_position = {f: c for f, c in names.items() if _is_position(c)}
    if by_position:
        _check_positions(by_position, names, required, width, source, first.line)
        return Table(by_position, None, width, chain([first], rows), bad)
    missing = _missing(header, names, required)
    if not missing:
        found = {field: _find(header, field, name) for field, name in names.items()}
        columns = {f: c for f, c in found.items() if c is not None}
        return Table(columns, header, width, rows, bad)
    if task == "text-classification" and names == {f: f for f in names}:
        sample = [first, *islice(rows, _SAMPLE)]
        guess = _without_header([row for row in sample if row.fields])
        if guess:
            return Table(guess, None, width, chain(sample, rows), bad)
    raise DataError(
        f"no column {shown(missing[0])} in the header {shown(header)}; say with `columns` which "
        f"hold {', '.join(required)}, by name, or by position (from 0) if there is no header",
        source.name,
        first.line,
    )


def _table_lines(source: Source, reading: Reading, bad: set[int]) -> Iterator[str]:
    """The lines; one that is not UTF-8 is given with replacements, its row to be left out: were it
    left out itself, a quote on it would be missed and rows after it would be lost with it."""
    for number, data in source:
        try:
            yield utf8(data)
        except ValueError as error:
            reading.reject(str(error), source.name, number)
            bad.add(number)
            yield data.decode("utf-8", "replace")


def delimiter_of(source: Source, names: dict[str, Any], required: tuple[str, ...]) -> str:
    """Tabs where the name says so or a first line that is no .csv has one; else of comma,
    semicolon and tab the first with which the header has the columns."""
    first = source.first_line()
    if source.suffix == ".tsv" or (source.suffix != ".csv" and TSV.encode() in first):
        return TSV
    return header_delimiter(first, names, required) or CSV


def header_delimiter(line: bytes, names: dict[str, Any], required: tuple[str, ...]) -> str | None:
    """What parts the cells of a line that is a header with the columns; None where it is none."""
    for delimiter in _DELIMITERS:
        if not _missing(row_of(line.decode("utf-8", "replace"), delimiter), names, required):
            return delimiter
    return None


def _missing(header: list[str], names: dict[str, Any], required: tuple[str, ...]) -> list[str]:
    return [str(names[f]) for f in required if _find(header, f, names[f]) is None]


def _find(header: list[str], field: str, name: Any) -> int | list[int] | None:
    """Where the header has the column, whatever the case; for choices the columns."""
    plain = [cell.strip().lower() for cell in header]
    if isinstance(name, list):
        found = [_find(header, field, one) for one in name]
        return None if None in found or not found else found  # type: ignore[return-value]
    if isinstance(name, str) and name.strip().lower() in plain:
        return plain.index(name.strip().lower())
    if field == "choices" and name == field:
        numbered = [(int(m[1]), i) for i, c in enumerate(plain) if (m := _CHOICE.fullmatch(c))]
        return [i for _, i in sorted(numbered)] or None
    return None


def _is_position(column: Any) -> bool:
    columns = column if isinstance(column, list) else [column]
    return bool(columns) and all(isinstance(c, int) for c in columns)


def _check_positions(
    by_position: Columns,
    names: dict[str, Any],
    required: tuple[str, ...],
    width: int,
    source: Source,
    line: int,
) -> None:
    for field in required:
        if field not in by_position:
            raise DataError(
                f"columns: {field} is {shown(names[field])}, others are positions; expected "
                "positions for all, as there is no header",
                source.name,
            )
    for field, column in by_position.items():
        for one in column if isinstance(column, list) else [column]:
            if not -width <= one < width:
                raise DataError(
                    f"`columns`: {field} is column {one}, but the row has {width}",
                    source.name,
                    line,
                )


def _without_header(sample: list[Row]) -> Columns | None:
    """Text and label columns of two-column rows whose first is an example like the others.

    A header's word for the labels is no label: if what stands there occurs again below, in the
    column with fewer different values, the first row is an example.
    """
    rows = [row.fields for row in sample if isinstance(row.fields, list)]
    if len(rows) < 2 or any(len(row) != 2 for row in rows):
        return None
    label = min((0, 1), key=lambda column: len({row[column] for row in rows}))
    if not any(row[label] == rows[0][label] for row in rows[1:]):
        return None
    return {"text": 1 - label, "label": label}


def problem_of(row: Row, width: int) -> str | None:
    """Why a row that is not blank cannot be read, None where it can."""
    if isinstance(row.fields, RowError):
        return f"not a row: {row.fields}"
    if len(row.fields) != width:
        spans = f" (the row goes to line {row.last_line})" if row.last_line > row.line else ""
        return f"got {len(row.fields)} fields, expected {width} as in the first row{spans}"
    return None


def pick(row: list[str], columns: Columns) -> dict[str, Any]:
    """What a row has for the task's fields."""
    return {
        field: [row[c] for c in column] if isinstance(column, list) else row[column]
        for field, column in columns.items()
    }
