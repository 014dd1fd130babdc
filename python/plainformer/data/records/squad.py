"""SQuAD 1.1 and 2.0: one JSON object of articles, paragraphs and questions.

Rajpurkar and others, arXiv:1606.05250; Rajpurkar, Jia, Liang, arXiv:1806.03822. The format is one
value, so the file is read whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ...errors import DataError, shown
from .jsonl import parse_json
from .source import Record, Source, utf8


def read_squad(source: Source) -> Iterator[Record]:
    """A record for each question.

    Raises
    ------
    DataError : not JSON, or without `data`; anything wrong below that is a bad line
    """
    lines = list(source)
    text = "".join(_decode(source, number, data) for number, data in lines)
    try:
        value = parse_json(text)
    except ValueError as error:
        raise DataError(str(error), source.name) from error
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise DataError(
            "expected SQuAD's JSON, an object with a list 'data', or one object a line", source.name
        )
    places = _Places(text)
    second = str(value.get("version", "")).lower().startswith(("v2", "2"))
    for found in _questions(value["data"]):
        if isinstance(found, Record):
            yield found
        else:
            where, question, context = found
            line = places.line_of(question.get("id"))
            yield Record(_fields(question, context, second), line, where=where)


class _Places:
    """Lines of the questions' ids, found in the order in which they are asked for."""

    def __init__(self, text: str):
        self._text = text
        self._position, self._line = 0, 1

    def line_of(self, identity: Any) -> int:
        at = self._text.find(json.dumps(identity, ensure_ascii=False), self._position)
        if isinstance(identity, str) and at >= 0:
            self._line += self._text.count("\n", self._position, at)
            self._position = at
        return self._line


def _decode(source: Source, number: int, data: bytes) -> str:
    try:
        return utf8(data)
    except ValueError as error:
        raise DataError(str(error), source.name, number) from error


def _questions(articles: list[Any]) -> Iterator[tuple[str, dict[str, Any], Any] | Record]:
    """(where, question, context), or a record that says what is in no shape, and where."""
    for i, article in enumerate(articles):
        paragraphs = _list_in(article, "paragraphs", f"data[{i}]")
        if isinstance(paragraphs, Record):
            yield paragraphs
            continue
        for j, paragraph in enumerate(paragraphs):
            place = f"data[{i}].paragraphs[{j}]"
            questions = _list_in(paragraph, "qas", place)
            if isinstance(questions, Record):
                yield questions
                continue
            for k, question in enumerate(questions):
                where = f"{place}.qas[{k}]"
                if isinstance(question, dict):
                    yield where, question, paragraph.get("context")
                else:
                    yield Record({}, None, problem=f"{where}: expected an object")


def _list_in(value: Any, name: str, place: str) -> list[Any] | Record:
    found = value.get(name) if isinstance(value, dict) else None
    if isinstance(found, list):
        return found
    return Record({}, None, problem=f"{place}: expected an object with a list {shown(name)}")


def _fields(question: dict[str, Any], context: Any, second: bool) -> dict[str, Any]:
    """In version 1.1 every question has an answer; in 2.0 an empty list says it has none."""
    fields = {name: question.get(name) for name in ("question", "id", "answers")}
    fields["context"] = context
    fields["is_impossible"] = question.get("is_impossible", None if second else False)
    return {name: value for name, value in fields.items() if value is not None}
