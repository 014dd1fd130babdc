"""Answers to requests, one for each input, in order, and null where there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from ..data.records.source import BLANK
from ..errors import DataError, PlainformerError
from .requests import Request
from .task import Task

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
    write : takes the record of one answer
    flush : called after what was waiting is answered
    name : of the input, for messages
    rest_is_there : whether what follows a bad line can be read at once, to name all bad ones
    """

    def __init__(
        self,
        task: Task,
        write: Writer,
        batch_size: int,
        *,
        flush: Callable[[], Any] = lambda: None,
        skip: bool = False,
        name: str = "input",
        rest_is_there: bool = True,
    ):
        self.task, self.batch_size = task, batch_size
        self.count = self.blank = self.bad = 0
        self._write, self._flush, self._skip = write, flush, skip
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
                self._flush()
                raise self._refusal([request], rest or ())
            if is_bad and self.bad < _TOLD:
                _log.warning("skipped: %s", DataError(request.problem, self._name, request.line))
            self.bad += is_bad
            self.blank += request.problem == BLANK
            self.count += record is not None
            self._write(record if record is not None else self._null(request))
        self._flush()

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
        return dict(zip(given_names(self.task, request.fields), request.fields.values()))

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
            f"{told}{more}. With skip_bad_lines such lines are answered with null, the others as "
            "they should be",
            self._name,
            bad[0].line,
        )


def given_names(task: Task, names: Collection[str]) -> list[str]:
    """The names of an input's fields; those of an answer's fields as `given_`, no name twice."""
    taken = {*task.answer_fields, ERROR} - set(task.asked_fields())
    found = []
    for name in names:
        told = name
        while told in taken or (told != name and told in names):
            told = f"given_{told}"
        found.append(told)
    return found
