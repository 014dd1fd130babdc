"""CSV and TSV: which columns hold what, with a header or without one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from ...errors import DataError, shown
from .jsonl import parse_json
from .rows import CSV, TSV, Row, RowError, row_of, table_rows
from .source import BLANK, Record, Source, utf8

_SAMPLE = 1000  # rows looked at to tell a header from a first example
_DELIMITERS = (CSV, ";", TSV, "|")
_LOOKED_AT = 20  # lines, to tell what parts their cells
_CHOICE = re.compile(r"(?:choice|ending|option)[ _]?(\d+)", re.IGNORECASE)
LISTS = {"tokens", "messages", "head", "tail", "choices"}  # in a cell: JSON, or words
Columns = dict[str, int | list[int]]


class Table(NamedTuple):
    """A table whose columns are known.

    columns : where each field is
    header : the name of each column, no name twice
    rows : those after the header, blank lines among them
    bad : what is wrong with lines that are not UTF-8, as far as they are read
    """

    columns: Columns
    header: list[str]
    rows: Iterator[Row]
    bad: dict[int, str]

    def records(self) -> Iterator[Record]:
        """A record for each row."""
        return map(self._record, self.rows)

    def _record(self, row: Row) -> Record:
        if not row.fields:
            return Record({}, row.line, ignored=BLANK)
        lines, at = range(row.line, row.last_line + 1), row.line
        if self.bad:
            at = next((line for line in lines if line in self.bad), at)
        problem = self.bad.pop(at, "") or self._problem(row)
        if problem or isinstance(row.fields, RowError):
            return Record({}, at, problem=problem, bad=len(lines))
        fields = {
            field: [row.fields[c] for c in column]
            if isinstance(column, list)
            else _cell(field, row.fields[column])
            for field, column in self.columns.items()
        }
        return Record(fields, row.line, dict(zip(self.header, row.fields)))

    def _problem(self, row: Row) -> str:
        """Why a row that is not blank cannot be read, "" where it can."""
        if isinstance(row.fields, RowError):
            return f"not a row: {row.fields}"
        width = len(self.header)
        if len(row.fields) == width:
            return ""
        spans = f" (the row goes to line {row.last_line})" if row.last_line > row.line else ""
        return f"got {len(row.fields)} fields, expected {width} as in the first row{spans}"


def open_table(
    source: Source, names: Mapping[str, Any], required: Sequence[str], task: str = ""
) -> Table:
    """The columns of the fields, and the rows to come; only as many are read as that takes.

    names : the column of each field: a name in the header, a position (then there is no header),
        or for choices a list of either
    task : whose fields these are

    Raises
    ------
    DataError : a header without a required column, a position that the first row has not
    """
    bad: dict[int, str] = {}
    delimiter = delimiter_of(source, names, required)
    rows = table_rows(_lines(source, bad), delimiter)
    first = next((row for row in rows if row.fields), None)
    if first is None:
        return Table({}, [], rows, bad)
    if isinstance(first.fields, RowError):
        raise DataError(f"not a row: {first.fields}", source.name, first.line)
    header, numbers = first.fields, [f"column_{i}" for i in range(len(first.fields))]
    by_position = {f: c for f, c in names.items() if _is_position(c)}
    if by_position:
        _check_positions(by_position, names, required, len(header), source, first.line)
        return Table(by_position, numbers, chain([first], rows), bad)
    missing = _missing(header, names, required)
    if not missing:
        found = {field: _find(header, field, name) for field, name in names.items()}
        columns = {f: c for f, c in found.items() if c is not None}
        return Table(columns, _apart(header), rows, bad)
    if task == "text-classification" and names == {f: f for f in names}:
        sample = [first, *islice(rows, _SAMPLE)]
        guess = _without_header([row for row in sample if row.fields])
        if guess:
            return Table(guess, numbers, chain(sample, rows), bad)
    how = (
        f"; say with `columns` which hold {', '.join(required)}, by name, or by position (from 0) "
        "if there is no header"
    )
    raise DataError(
        f"no column {shown(missing[0])} in the header {shown(header)}{how if task else ''}",
        source.name,
        first.line,
    )


def _lines(source: Source, bad: dict[int, str]) -> Iterator[str]:
    """The lines; one that is not UTF-8 is given with replacements, its row to be left out: were it
    left out itself, a quote on it would be missed and rows after it would be lost with it."""
    for number, data in source:
        try:
            yield utf8(data)
        except ValueError as error:
            bad[number] = str(error)
            yield data.decode("utf-8", "replace")


def delimiter_of(source: Source, names: Mapping[str, Any], required: Sequence[str]) -> str:
    """Tabs where the name says so or a first line that is no .csv has one; else of comma,
    semicolon, tab and bar the first with which the header has the columns, or else with which the
    first lines have equally many cells. The source is told."""
    first = source.first_line()
    if source.suffix == ".tsv" or (source.suffix != ".csv" and TSV.encode() in first):
        source.delimiter = TSV
    else:
        by_header = header_delimiter(first, names, required)
        source.delimiter = by_header or _even_delimiter(source.first_lines(_LOOKED_AT)) or CSV
    return source.delimiter


def _even_delimiter(lines: list[bytes]) -> str | None:
    """What parts all lines into as many cells, two at least."""
    texts = [line.decode("utf-8", "replace") for line in lines]
    for delimiter in _DELIMITERS:
        widths = {len(row.fields) if isinstance(row.fields, list) else 0
                  for row in table_rows(texts, delimiter) if row.fields}  # fmt: skip
        if len(widths) == 1 and max(widths) > 1:
            return delimiter
    return None


def header_delimiter(line: bytes, names: Mapping[str, Any], required: Sequence[str]) -> str | None:
    """What parts the cells of a line that is a header with the columns; None where it is none."""
    for delimiter in _DELIMITERS:
        if not _missing(row_of(line.decode("utf-8", "replace"), delimiter), names, required):
            return delimiter
    return None


def possible_headers(line: bytes) -> list[list[str]]:
    """The cells of a line between each kind of delimiter, in small letters."""
    text = line.decode("utf-8", "replace")
    return [[cell.strip().lower() for cell in row_of(text, one)] for one in _DELIMITERS]


def _missing(header: list[str], names: Mapping[str, Any], required: Sequence[str]) -> list[str]:
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
    names: Mapping[str, Any],
    required: Sequence[str],
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


def _cell(field: str, cell: str) -> Any:
    """A cell; what is a list elsewhere may be one in JSON."""
    if field not in LISTS:
        return cell
    if not cell.lstrip().startswith(("[", "{")):
        return cell.split() if field == "tokens" else cell
    try:
        return parse_json(cell)
    except ValueError:
        return cell


def _apart(header: list[str]) -> list[str]:
    """The names of columns, those that occur again numbered."""
    seen: dict[str, int] = {}
    names = []
    for name in header:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}.{seen[name] - 1}")
    return names
