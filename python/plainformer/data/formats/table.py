"""CSV and TSV: which columns hold what, with a header or without one."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from plainformer.errors import DataError, shown

from .._lines import CSV, TSV, Row, table_rows, utf8
from .source import Reading, Record, Source

_SAMPLE = 1000  # rows looked at to tell a header from a first example
_DELIMITERS = (",", ";", "\t")
_CHOICE = re.compile(r"(?:choice|ending|option)[ _]?(\d+)", re.IGNORECASE)
Columns = dict[str, int | list[int]]


def read_table(
    source: Source, reading: Reading, names: dict[str, Any], required: tuple[str, ...], task: str
) -> Iterator[Record]:
    """A record for each row.

    `names` has the column of each field: a name in the header, a position (then there is no
    header), or for choices a list of either.
    """
    dialect = _dialect(source, names, required)
    bad: set[int] = set()
    rows = table_rows(_csv_lines(source, reading, bad), dialect)
    sample = list(islice(rows, _SAMPLE))
    columns, width, has_header = _find_columns(source, sample, names, required, task)
    before = sample[0].last_line if has_header else 0
    for row in chain(sample[1:] if has_header else sample, rows):
        blank = sum(line not in bad for line in range(before + 1, row.line))
        reading.ignored.update({"blank lines": blank} if blank else {})
        before = row.last_line
        if any(line in bad for line in range(row.line, row.last_line + 1)):
            continue  # holds a line that was rejected before
        problem = _problem(row, width)
        if problem:
            reading.reject(problem, source.name, row.line)
        else:
            yield Record(_pick(row.fields, columns), row.line)  # type: ignore[arg-type]


def _csv_lines(source: Source, reading: Reading, bad: set[int]) -> Iterator[str]:
    """The lines; one that is not UTF-8 is given with replacements, its row to be left out: were it
    left out itself, a quote on it would be missed and rows after it would be lost with it."""
    for number, data in source:
        try:
            yield utf8(data)
        except ValueError as error:
            reading.reject(str(error), source.name, number)
            bad.add(number)
            yield data.decode("utf-8", "replace")


def _dialect(source: Source, names: dict[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    """Tabs where the name says so or a first line that is no .csv has one; else of comma,
    semicolon and tab the first with which the header has the columns."""
    first = source.first_line()
    if source.suffix == ".tsv" or (source.suffix != ".csv" and b"\t" in first):
        return TSV
    for delimiter in _DELIMITERS:
        if not _missing(_cells(first, delimiter), names, required):
            return {"delimiter": delimiter}
    return CSV


def _cells(line: bytes, delimiter: str) -> list[str]:
    """The cells of a line, none where it is no row."""
    try:
        return next(csv.reader([line.decode("utf-8", "replace")], delimiter=delimiter), [])
    except csv.Error:  # said with its line when the row is read
        return []


def _find_columns(
    source: Source, sample: list[Row], names: dict[str, Any], required: tuple[str, ...], task: str
) -> tuple[Columns, int, bool]:
    """(columns of the fields, fields in a row, whether the first row is a header)."""
    if not sample:
        return {}, 0, False
    header = sample[0].fields
    if isinstance(header, csv.Error):
        raise DataError(f"not a row: {header}", source.name, sample[0].line)
    by_position = {f: c for f, c in names.items() if _is_position(c)}
    if by_position:
        _check_positions(by_position, names, required, len(header), source, sample[0].line)
        return by_position, len(header), False
    missing = _missing(header, names, required)
    if not missing:
        found = {field: _find(header, field, name) for field, name in names.items()}
        return {f: c for f, c in found.items() if c is not None}, len(header), True
    guess = _without_header(sample) if task == "text-classification" else None
    if guess and names == {f: f for f in names}:
        return guess, len(header), False
    raise DataError(
        f"no column {shown(missing[0])} in the header {shown(header)}; say which columns hold "
        f"{', '.join(required)}, by name, or by position (from 0) if there is no header",
        source.name,
        sample[0].line,
    )


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
                    f"columns: {field} is column {one}, but the row has {width}", source.name, line
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


def _problem(row: Row, width: int) -> str | None:
    if isinstance(row.fields, csv.Error):
        return f"not a row: {row.fields}"
    if len(row.fields) != width:
        return f"got {len(row.fields)} fields, expected {width} as in the first row"
    return None


def _pick(row: list[str], columns: Columns) -> dict[str, Any]:
    return {
        field: [row[c] for c in column] if isinstance(column, list) else row[column]
        for field, column in columns.items()
    }
