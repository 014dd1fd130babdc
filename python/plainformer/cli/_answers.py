"""Answers as they are written: JSONL, a table or plain text, one for each input, in order."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from ..data.records.files import TABLES
from ..data.records.source import BLANK
from ..errors import DataError, PlainformerError, warn_once
from ..tasks import Task
from ..tasks.requests import Request

_TOLD = 20  # bad lines that one message names
ERROR = "error"
_log = logging.getLogger("plainformer")
Writer = Callable[[Mapping[str, Any]], None]


class Answers:
    """Answers requests: when a batch is full, and when there is nothing more for now.

    A request that is none, or that the model cannot take, gets null and the reason; without `skip`
    it ends everything, after the answers before it. Blank lines end nothing.

    Parameters
    ----------
    file : flushed after what was waiting is answered
    write : takes the record of one answer
    name : of the input, for messages
    rest_is_there : whether what follows a bad line can be read at once, to name all bad ones
    """

    def __init__(
        self,
        task: Task,
        file: TextIO,
        write: Writer,
        batch_size: int,
        *,
        skip: bool = False,
        name: str = "input",
        rest_is_there: bool = True,
    ):
        self.task, self.batch_size = task, batch_size
        self.count = self.blank = self.bad = 0
        self._file, self._write, self._skip = file, write, skip
        self._name, self._rest_is_there = name, rest_is_there
        self._waiting: list[Request] = []

    def add_all(self, requests: Iterable[Request]) -> None:
        """Answer all requests; no more than a batch of them is held."""
        rest = iter(requests)
        for request in rest:
            if request.problem and request.problem != BLANK and not self._skip:
                self.flush(rest)
                raise self._refusal([request], rest)
            self._waiting.append(request)
            if len(self._waiting) == self.batch_size:
                self.flush(rest)
        self.flush(rest)

    def flush(self, rest: Iterator[Request] | None = None) -> None:
        """Answer what waits, so that whoever reads the output has it at once."""
        waiting, self._waiting = self._waiting, []
        for request, record in self._answered(waiting):
            is_bad = record is None and request.problem != BLANK
            if is_bad and not self._skip:
                self._file.flush()
                raise self._refusal([request], rest or ())
            if is_bad:
                self._tell_bad(request)
            self.blank += request.problem == BLANK
            self.count += record is not None
            self._write(record if record is not None else self._null(request))
        self._file.flush()

    def _tell_bad(self, request: Request) -> None:
        self.bad += 1
        if self.bad <= _TOLD:
            _log.warning("skipped: %s", DataError(request.problem, self._name, request.line))

    def _answered(
        self, requests: list[Request]
    ) -> Iterator[tuple[Request, Mapping[str, Any] | None]]:
        """Each with its record; None where there is no answer, the request then says why."""
        asked = [r for r in requests if not r.problem]
        try:
            found = list(self.task.predict([r.example for r in asked], self.batch_size))
        except PlainformerError:
            found = None  # one of them is to blame
        answers = iter(found or ())
        for request in requests:
            if request.problem:
                yield request, None
            elif found is not None:
                yield request, self._record(request, *next(answers))
            else:
                yield self._alone(request)

    def _alone(self, request: Request) -> tuple[Request, Mapping[str, Any] | None]:
        try:
            [(example, prediction)] = self.task.predict([request.example], 1)
        except DataError as error:
            return Request(None, request.fields, request.line, str(error)), None
        return request, self._record(request, example, prediction)

    def _record(self, request: Request, example: Any, prediction: Any) -> dict[str, Any]:
        return {**self._given(request), **self.task.record(example, prediction)}

    def _null(self, request: Request) -> dict[str, Any]:
        nothing = dict.fromkeys(self.task.answer_fields)
        return {**self._given(request), **nothing, ERROR: request.problem}

    def _given(self, request: Request) -> dict[str, Any]:
        """What the input had; what has the name of an answer, gold labels above all, as given_."""
        return dict(zip(_given_names(self.task, request.fields), request.fields.values()))

    def _refusal(self, bad: list[Request], rest: Iterable[Request]) -> DataError:
        """The error that names the bad requests: these and those to come."""
        count = len(bad)
        for request in rest if self._rest_is_there else ():
            if request.problem and request.problem != BLANK:
                count += 1
                if len(bad) < _TOLD:
                    bad.append(request)
        told = "; ".join([bad[0].problem, *(f"line {r.line}: {r.problem}" for r in bad[1:])])
        more = f"; and {count - len(bad)} more" if count > len(bad) else ""
        return DataError(
            f"{told}{more}. With --skip-bad-lines such lines are answered with null, the others as "
            "they should be",
            self._name,
            bad[0].line,
        )


def writer_for(file: TextIO, path: str | None, task: Task, header: Callable[[], Any]) -> Writer:
    """What writes the records of answers, by the file's name.

    .csv and .tsv are tables: the input's columns, the answer's and `error`; .txt is the answer
    alone, a line each; everything else is JSONL.

    header : gives the columns of the input once they are known, None where it is no table
    """
    suffix = Path(path).suffix.lower() if path is not None else ""
    if suffix in TABLES:
        return _Table(file, TABLES[suffix], task, header)
    if suffix == ".txt":
        return lambda record: _line(file, " ".join(task.plain(record).split()))
    return lambda record: _line(file, _json(record, file.encoding or "utf-8"))


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
        answer, header = self._task.answer_fields, _given_names(self._task, self._header() or ())
        return list(dict.fromkeys([*header, *(n for n in record if n != ERROR), *answer, ERROR]))


def _given_names(task: Task, names: Collection[str]) -> list[str]:
    """The names of an input's fields; those of an answer's fields as `given_`, no name twice."""
    taken = {*task.answer_fields, ERROR} - set(task.asked_fields())
    found = []
    for name in names:
        told = name
        while told in taken or (told != name and told in names):
            told = f"given_{told}"
        found.append(told)
    return found


def _json(record: Mapping[str, Any], encoding: str) -> str:
    """One line; characters that the file's encoding has not, and halves of some, are escaped."""
    text = json.dumps(record, ensure_ascii=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(record)
    return text


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _line(file: TextIO, text: str) -> None:
    file.write(text + "\n")
