"""What a model is asked: texts, objects and files without labels, as examples, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data import (
    DialogueExample,
    Message,
    PairExample,
    TextExample,
    TokenExample,
)
from ..data._lines import Row, utf8
from ..data.examples import FIELDS, GOLD, Example, required_fields
from ..data.formats.build import Builder, check_string
from ..data.formats.conll import read_conll
from ..data.formats.jsonl import fields_of, parse_json
from ..data.formats.reader import field_names
from ..data.formats.sniff import refuse_json_values, sniff
from ..data.formats.source import Reading, Record, Source
from ..data.formats.squad import read_squad
from ..data.formats.table import Table, header_delimiter, open_table, pick, problem_of
from ..errors import DataError, short

_CONLL = {".conll", ".bio", ".iob", ".iob2"}
_TABLES = {".csv", ".tsv"}
_JSON = {".jsonl", ".ndjson"}
_TEXT_FILES = {".txt", ".text", ".md"}
_BY_LINE = {"token-classification", "language-modeling"}  # whose readers expect other things
_LISTS = {"tokens", "messages", "head", "tail", "choices"}  # in a cell: JSON
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
BLANK = "blank line"
_UNREAD = {*GOLD, "is_impossible"}


@dataclass(frozen=True)
class Request:
    """One line, row or sentence of an input: its example, or why it is none.

    fields : all that its object or row has, under its own names
    line : where it stands
    """

    example: Example | None
    fields: dict[str, Any] = field(default_factory=dict)
    line: int | None = None
    problem: str = ""


class Requests:
    """The requests of a file, or of standard input with "-", one at a time.

    A request for each line of JSONL and of text, blank ones too, each row of a table, each
    sentence in CoNLL columns and each question of SQuAD. JSONL and tables are told by the file's
    name or by how it begins: a table's header names what the task needs. Gold labels are not read.

    Parameters
    ----------
    columns : what the task's fields are called in the file
    before_waiting : called when standard input has nothing more for now

    Attributes
    ----------
    name : of the file, for messages
    header : the columns of a table, None before iterating and for other files

    Raises
    ------
    DataError : a file that cannot be read, or in no format of the task
    """

    def __init__(
        self,
        task: str,
        path: str,
        *,
        columns: Mapping[str, Any] | None = None,
        before_waiting: Callable[[], None] | None = None,
    ):
        self.task = task
        extra = {k: v for k, v in (columns or {}).items() if k == _other(task)}
        given = {k: v for k, v in (columns or {}).items() if k not in extra}
        self._names = field_names(task, given)
        self._others = {_other(task): _other(task), **extra} if _other(task) else {}
        self._by_columns = columns is not None
        self._source = Source(path, before_waiting)
        self.name = self._source.name
        self.header: list[str] | None = None

    def __iter__(self) -> Iterator[Request]:
        with self._source as source:
            if not source.first_line():
                raise DataError("is empty", self.name)
            kind = self._kind(source)
            if kind == "table":
                yield from self._rows(source)
            elif kind in ("conll", "squad"):
                yield from self._records(source, kind)
            else:
                yield from self._lines(source, kind)

    def _kind(self, source: Source) -> str:
        """One of table, jsonl, squad, conll, lines."""
        first = source.first_line()
        is_squad = self.task == "question-answering" and first.lstrip().startswith(b"{")
        if not is_squad and source.suffix not in _TEXT_FILES:
            refuse_json_values(source)
        if source.suffix in _TABLES or self._has_positions() or self._is_header(first):
            return "table"
        if self.task == "dialogue" and not first.lstrip().startswith((b"{", b"[")):
            return "jsonl" if source.suffix in _JSON else "lines"
        if self.task not in _BY_LINE:
            kind = sniff(source, self.task, False)
            return "table" if kind == "lines" and self._by_columns else kind
        is_json = first.lstrip().startswith(b"{")
        by_columns = source.suffix in _CONLL or self._by_columns
        if self.task == "token-classification" and not is_json and by_columns:
            return "conll"
        return "jsonl" if source.suffix in _JSON or _is_object(first) else "lines"

    def _is_header(self, first: bytes) -> bool:
        """Whether a line names the columns that the task needs, none behind a blank as in text."""
        cells = first.strip(b"\r\n")
        if cells.startswith((b"{", b"[")) or b", " in cells:
            return False
        return any(
            header_delimiter(cells, {**self._names, **self._others}, required) is not None
            for required in self._required()
        )

    def _has_positions(self) -> bool:
        """Whether `columns` says that this is a table without a header."""
        positions = any(isinstance(name, int) for name in self._names.values())
        return positions and self.task != "token-classification"

    def _required(self) -> list[tuple[str, ...]]:
        """What a table must have: the task's fields, or a text where that is a list."""
        required = required_fields(self.task, False)
        return [required, *([(_other(self.task),)] if self._others else [])]

    def _lines(self, source: Source, kind: str) -> Iterator[Request]:
        for number, data in source:
            try:
                text = utf8(data)
                if not text.strip():
                    yield Request(None, {}, number, BLANK)
                    continue
                by_line = kind != "jsonl"
                item = parse_item(text, self.task in _BY_LINE) if by_line else parse_json(text)
            except ValueError as error:
                yield Request(None, {}, number, str(error))
                continue
            if isinstance(item, dict):
                yield self._of_object(item, item, number)
            elif kind == "jsonl":
                got = f"got a JSON {type(item).__name__}, expected an object"
                yield Request(None, {}, number, got)
            else:
                yield self._of_text(text.strip("\r\n"), number)

    def _of_text(self, text: str, number: int) -> Request:
        try:
            fields = {"text": text} if self.task == "token-classification" else {}
            return Request(_of_text(self.task, text), fields, number)
        except ValueError as error:
            return Request(None, {}, number, str(error))

    def _of_object(self, own: Mapping[str, Any], given: Any, number: int | None) -> Request:
        """given : `own`, or what a table's columns hold for the task's fields"""
        names = {**self._names, **self._others}
        fields = fields_of(given, names) if given is own else dict(given)
        for name in _UNREAD if self.task != "language-modeling" else ():
            fields.pop(name, None)
        try:
            return Request(_of_object(self.task, fields, names), dict(own), number)
        except ValueError as error:
            return Request(None, dict(own), number, str(error))

    def _rows(self, source: Source) -> Iterator[Request]:
        problems = _Problems()
        table = self._table(source, problems)
        self.header = _apart(table.header or [f"column_{i}" for i in range(table.width)])
        for row in table.rows:
            yield self._of_row(row, table, self.header, problems)

    def _of_row(self, row: Row, table: Table, header: list[str], problems: _Problems) -> Request:
        problem = problems.between(row.line, row.last_line) or problem_of(row, table.width)
        if not row.fields:
            return Request(None, {}, row.line, BLANK)
        if problem or not isinstance(row.fields, list):
            return Request(None, {}, row.line, problem or "")
        picked = pick(row.fields, table.columns)
        given = {name: _cell(name, cell) for name, cell in picked.items()}
        present = {name: value for name, value in given.items() if value not in ("", None)}
        return self._of_object(dict(zip(header, row.fields)), present, row.line)

    def _table(self, source: Source, problems: _Problems) -> Table:
        names = {**self._names, **self._others}
        for required in self._required()[:-1]:
            if header_delimiter(source.first_line(), names, required):
                return open_table(source, problems, names, required, self.task)
        return open_table(source, problems, names, self._required()[-1], self.task)

    def _records(self, source: Source, kind: str) -> Iterator[Request]:
        problems = _Problems()
        records = (
            read_squad(source, problems)
            if kind == "squad"
            else read_conll(source, problems, self._names, False)
        )
        for record in records:
            yield from problems.take()
            given = {k: v for k, v in record.fields.items() if k not in GOLD}
            yield self._of_object(given, given, record.line)
        yield from problems.take()


class _Problems(Reading):
    """Keeps what is rejected, to stand in its place among the requests."""

    def __init__(self) -> None:
        super().__init__(skip_bad_lines=True)
        self._waiting: list[Request] = []

    def reject(self, message: str, file: str, line: int | None, lines: int = 1) -> None:
        self._waiting.append(Request(None, {}, line, message))

    def between(self, first: int, last: int) -> str:
        """What was rejected from line to line, in a table, whose lines are read ahead."""
        return next((r.problem for r in self._waiting if first <= (r.line or 0) <= last), "")

    def take(self) -> list[Request]:
        taken, self._waiting = self._waiting, []
        return taken


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


def as_request(task: str, item: Any, line: int) -> Request:
    """The request behind a text or an object; `line` counts what was given."""
    fields: dict[str, Any] = dict(item) if isinstance(item, Mapping) else {}
    if isinstance(item, str) and not item.strip():
        return Request(None, {}, line, BLANK)
    if isinstance(item, str) and task == "token-classification":
        fields = {"text": item}
    try:
        return Request(_example(task, item), fields, line)
    except ValueError as error:
        return Request(None, fields, line, str(error))


def keywords(task: str) -> list[str]:
    """The fields of a request, what a text alone stands for first."""
    unread = _UNREAD if task != "language-modeling" else set()
    other = [_other(task)] if _other(task) else []
    return [*other, *(name for name in FIELDS[task] if name not in unread)]


def parse_item(text: str, strict: bool = True) -> Any:
    """The object of a text that is one, else the text. ValueError: one that begins like an object
    and is none; with `strict` False that is a text, too."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        value = parse_json(text)
    except ValueError:
        if strict:
            raise
        return text
    return value if isinstance(value, dict) or strict else text


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False


def _other(task: str) -> str:
    """What a table or an object may have in the place of words or turns."""
    return "text" if task in ("token-classification", "dialogue") else ""


def _cell(name: str, cell: Any) -> Any:
    """A cell; what is a list elsewhere may be one in JSON."""
    if name not in _LISTS or not isinstance(cell, str):
        return cell
    if not cell.lstrip().startswith(("[", "{")):
        return cell.split() if name == "tokens" else cell
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


def _example(task: str, item: Any) -> Example:
    if isinstance(item, Example):
        return item
    if isinstance(item, str):
        return _of_text(task, item)
    if isinstance(item, Mapping):
        return _of_object(task, {name: _plain(value) for name, value in item.items()})
    if is_dialogue(task, item):
        return _of_object(task, {"messages": list(item)})
    raise ValueError(f"input: got {type(item).__name__}, expected {_wanted(task)}")


def is_dialogue(task: str, item: Any) -> bool:
    """Whether an item is the list of a dialogue's messages, as transformers' pipeline takes it."""
    return (
        task == "dialogue"
        and isinstance(item, (list, tuple))
        and bool(item)
        and all(isinstance(message, Mapping) and "role" in message for message in item)
    )


def _plain(value: Any) -> Any:
    """Arrays and tuples as the lists that JSON has, NumPy's numbers as Python's."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def _of_text(task: str, text: str) -> Example:
    if task == "relation-extraction":
        return _built(task, {"text": text}, {})
    check_string(text, "input")
    if task == "dialogue":
        return DialogueExample([Message("user", text)])
    if task not in _TEXTS:
        raise ValueError(f"input: got a text, expected {_wanted(task)}")
    return _TEXTS[task](text)


def _of_object(
    task: str, fields: Mapping[str, Any], names: Mapping[str, Any] | None = None
) -> Example:
    other, [first, *_] = _other(task), required_fields(task, False)
    if other and other in fields and first not in fields:
        return _of_text(task, check_string(fields[other], f"'{other}'"))
    if task == "token-classification" and "tokens" in fields:
        return TokenExample(_words(fields["tokens"]))
    return _built(task, dict(fields), names or {})


def _built(task: str, fields: dict[str, Any], named: Mapping[str, Any]) -> Example:
    """`named` : what fields are called elsewhere, for messages"""
    names: dict[str, Any] = {name: name for name in fields} | {
        name: name for name in required_fields(task, False)
    }
    names |= {"head": "head", "tail": "tail", "choices": "choices"} | dict(named)
    if task == "token-classification":  # whose builder makes many
        raise ValueError(f"expected an object with {short(names['tokens'])} or text")
    return Builder(task, names, labelled=False)(Record(fields, None), "")


def _words(tokens: Any) -> list[str]:
    if not isinstance(tokens, (list, tuple)) or not tokens:
        raise ValueError("'tokens': expected a list of words")
    return [check_string(token, f"token {i}") for i, token in enumerate(tokens)]


def _wanted(task: str) -> str:
    return _EXAMPLES.get(task, "a text, or an object with the fields of " + task)
