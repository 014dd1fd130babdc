"""What a model is asked: texts, objects and files without labels, as examples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..data import (
    DialogueExample,
    ExampleReader,
    Message,
    PairExample,
    TextExample,
    TokenExample,
)
from ..data.examples import Example, required_fields
from ..data.formats.build import Builder, check_string
from ..data.formats.jsonl import parse_json
from ..data.formats.source import Reading, Record, Source
from ..errors import DataError

_CONLL = {".conll", ".bio", ".iob", ".iob2"}
_BY_LINE = {"token-classification", "language-modeling"}  # whose readers expect other things
_TEXTS: dict[str, Any] = {
    "text-classification": TextExample,
    "token-classification": TextExample,
    "language-modeling": TextExample,
    "translation": PairExample,
    "summarization": PairExample,
}
_EXAMPLES = {
    "question-answering": '{"question": ..., "context": ...}',
    "multiple-choice": '{"question": ..., "choices": [...]}',
}
_log = logging.getLogger("plainformer")


def as_example(task: str, item: Any) -> Example:
    """The example behind a text, or behind an object with the task's fields.

    A text may be that of a classification, of words to tag, of entities between `<e1></e1>` and
    `<e2></e2>`, a source, a prompt or a user's turn.

    Raises
    ------
    DataError : something else, or an object that is no example of the task
    """
    try:
        return _example(task, item)
    except DataError:
        raise
    except ValueError as error:
        raise DataError(str(error)) from error


def read_requests(
    task: str,
    path: str,
    *,
    columns: Mapping[str, Any] | None = None,
    skip_bad_lines: bool = False,
    before_waiting: Callable[[], None] | None = None,
) -> Iterator[Example]:
    """Examples of a file, or of standard input with "-", one at a time.

    Any format of the task's data will do, with labels or without; for tags and prompts also texts,
    one a line. `columns` says what the task's fields are called in the file, `before_waiting` is
    called when standard input has nothing more for now.

    Raises
    ------
    DataError : with file and line, unless bad lines are skipped; a file without examples
    """
    if task not in _BY_LINE or Path(path).suffix.lower() in _CONLL or columns is not None:
        yield from ExampleReader(
            path,
            task,
            labelled=False,
            columns=columns,
            skip_bad_lines=skip_bad_lines,
            before_waiting=before_waiting,
        )
        return
    reading, count = Reading(skip_bad_lines), 0
    with Source(path, before_waiting) as source:
        for number, line in source.texts(reading):
            if line is None or not line.strip():
                continue
            try:
                yield _example(task, _value(line))
                count += 1
            except ValueError as error:
                reading.reject(str(error), source.name, number)
    if count == 0:
        raise DataError("holds no examples", source.name)
    if reading.skipped:
        _log.info("%s: %d examples, %d bad lines skipped", source.name, count, reading.skipped)


def _value(line: str) -> Any:
    """The object of a line of JSONL, else the line."""
    return parse_json(line) if line.lstrip().startswith("{") else line.strip("\r\n")


def _example(task: str, item: Any) -> Example:
    if isinstance(item, Example):
        return item
    if isinstance(item, str):
        return _of_text(task, item)
    if isinstance(item, Mapping):
        return _of_object(task, item)
    raise ValueError(f"input: got {type(item).__name__}, expected {_wanted(task)}")


def _of_text(task: str, text: str) -> Example:
    if task == "relation-extraction":
        return _built(task, {"text": text})
    check_string(text, "input")
    if task == "dialogue":
        return DialogueExample([Message("user", text)])
    if task not in _TEXTS:
        raise ValueError(f"input: got a text, expected {_wanted(task)}")
    return _TEXTS[task](text)


def _of_object(task: str, fields: Mapping[str, Any]) -> Example:
    if task == "token-classification":
        if "tokens" in fields:
            return TokenExample(_words(fields["tokens"]))
        return TextExample(check_string(fields.get("text"), "'text'"))
    return _built(task, dict(fields))


def _built(task: str, fields: dict[str, Any]) -> Example:
    names: dict[str, Any] = {name: name for name in fields} | {
        name: name for name in required_fields(task, False)
    }
    names |= {"head": "head", "tail": "tail", "choices": "choices"}
    return Builder(task, names, labelled=False)(Record(fields, None), "")


def _words(tokens: Any) -> list[str]:
    if not isinstance(tokens, (list, tuple)) or not tokens:
        raise ValueError("'tokens': expected a list of words")
    return [check_string(token, f"token {i}") for i, token in enumerate(tokens)]


def _wanted(task: str) -> str:
    return _EXAMPLES.get(task, "a text, or an object with the fields of " + task)
