"""`--question Q --context-file F`: each question, asked of all the files together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from ..data.records.files import find_files
from ..data.records.source import Source, utf8
from ..errors import DataError, short
from ..tasks.requests import Request, as_request

TASK = "question-answering"


def question_flags(command: Any) -> Any:
    """Decorate a command with the two flags."""
    command = click.option(
        "--context-file",
        "context_files",
        multiple=True,
        help="A text in which --question is looked up, or a glob. May be repeated: an answer then "
        "says which document it is from.",
    )(command)
    return click.option(
        "--question",
        "questions",
        multiple=True,
        metavar="TEXT",
        help="question-answering: ask this of all --context-file. May be repeated.",
    )(command)


class Questions:
    """The requests of `predict` with these flags.

    Raises
    ------
    UsageError : one flag without the other, or a model for another task
    DataError : a file that cannot be read, holds no text or is not UTF-8
    """

    name, header = "--question", None

    def __init__(self, task: str, questions: Sequence[str], files: Sequence[str]):
        if not questions or not files:
            lacking, given = ("--context-file", "--question")[:: 1 if questions else -1]
            raise click.UsageError(f"{given}: needs {lacking} too")
        if task != TASK:
            raise click.UsageError(f"--question: is for {TASK}, but the model is for {short(task)}")
        self.files, self._questions = find_files(files), questions
        self._documents = {file: document_of(file) for file in self.files}

    def __iter__(self) -> Iterator[Request]:
        for number, question in enumerate(self._questions, 1):
            asked = as_request(TASK, {"question": question, "context": self._documents}, number)
            yield Request(asked.example, {}, number, asked.problem)  # whose context is not repeated


def document_of(path: str) -> str:
    """All of a text, line ends as they are. Raises DataError, naming file and line."""
    with Source(path) as source:
        text = "".join(_line(source.name, *line) for line in source)
        if not text.strip():
            raise DataError("holds no text", source.name)
    return text


def _line(file: str, number: int, data: bytes) -> str:
    try:
        return utf8(data)
    except ValueError as error:
        raise DataError(str(error), file, number) from error
