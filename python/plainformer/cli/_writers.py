"""What answers are written as: JSONL, a table or plain text, by the file's name."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from ..data.records.files import TABLES
from ..errors import warn_once
from ..tasks import Task
from ..tasks.answers import ERROR, Writer, given_names
from ._annotations import ANNOTATIONS, SUFFIXES, TASK, annotation_writer

FORMATS = ("jsonl", "csv", "tsv", "text", *ANNOTATIONS)
_BY_NAME = {**{suffix: suffix[1:] for suffix in TABLES}, ".txt": "text"}


@contextmanager
def writers_to(
    file: TextIO, path: str | None, task: Task, form: str | None = None
) -> Iterator[Callable[[Callable[[], Any]], Writer]]:
    """What makes the writer of `writer_for` once the header is known. Entities may also be in
    the forms of annotation tools, which have an end.

    Raises
    ------
    UsageError : such a form for a task without entities
    """
    suffix = Path(path).suffix.lower() if path is not None else ""
    name = form or (SUFFIXES.get(suffix) if task.name == TASK else None)
    if name not in ANNOTATIONS:
        yield lambda header: writer_for(file, path, task, header, form)
        return
    if task.name != TASK:
        raise click.UsageError(f"--format: got {name}, which has no effect on {task.name}")
    with annotation_writer(file, name, task, Path(path or "").stem) as writer:
        yield lambda header: writer


def writer_for(
    file: TextIO,
    path: str | None,
    task: Task,
    header: Callable[[], Any],
    form: str | None = None,
) -> Writer:
    """What writes the records of answers, by a word of `FORMATS` or else by the file's name.

    csv and tsv are tables: the input's columns, the answer's and `error`; text (.txt) is the answer
    alone, a line for each input, empty where there is none; everything else is JSONL.

    header : gives the columns of the input once they are known, None where it is no table
    """
    suffix = Path(path).suffix.lower() if path is not None else ""
    form = form or _BY_NAME.get(suffix, "jsonl")
    if f".{form}" in TABLES:
        return _Table(file, TABLES[f".{form}"], task, header)
    if form == "text":
        return lambda record: _line(file, " ".join(task.plain(record).split()))
    return lambda record: _line(file, _json(record, file.encoding or "utf-8"))


def write_rows(file: TextIO, path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write objects: as a table, a column for each part of those in objects (`probabilities:pos`),
    where the file's name says so; else as JSONL."""
    suffix = Path(path).suffix.lower()
    if suffix not in TABLES:
        for row in rows:
            _line(file, _json(row, file.encoding or "utf-8"))
        return
    flat = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    writer = csv.writer(file, delimiter=TABLES[suffix], lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in flat)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        inner = value if isinstance(value, Mapping) else None
        found |= {name: value} if inner is None else {f"{name}:{k}": v for k, v in inner.items()}
    return found


class _Table:
    """Records as rows; the first one decides about the columns where the input is no table."""

    def __init__(self, file: TextIO, delimiter: str, task: Task, header: Callable[[], Any]):
        self._task, self._header = task, header
        self._rows = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        self._columns: list[str] = []

    def __call__(self, record: Mapping[str, Any]) -> None:
        if not self._columns:
            self._columns = self._chosen(record)
            self._rows.writerow(self._columns)
        strange = next((name for name in record if name not in self._columns), None)
        if strange is not None:
            warn_once(f"--output: the first input has no {strange}; left out of the table")
        self._rows.writerow([_cell(record.get(name)) for name in self._columns])

    def _chosen(self, record: Mapping[str, Any]) -> list[str]:
        answer, header = self._task.answer_fields, given_names(self._task, self._header() or ())
        return list(dict.fromkeys([*header, *(n for n in record if n != ERROR), *answer, ERROR]))


def _json(record: Mapping[str, Any], encoding: str) -> str:
    """One line; characters that the file's encoding has not, and halves of some, are escaped."""
    text = json.dumps(record, ensure_ascii=False, default=_numbers)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(record, default=_numbers)
    return text


def _numbers(vector: Any) -> list[float]:
    """A vector's numbers with as many digits as float32 needs."""
    return [float(str(x)) for x in vector]


def _cell(value: Any) -> Any:
    if hasattr(value, "dtype"):  # a vector
        value = _numbers(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _line(file: TextIO, text: str) -> None:
    file.write(text + "\n")
