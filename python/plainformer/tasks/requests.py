"""What a model is asked: texts, objects and files without labels, as examples, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..data import DialogueExample, Message, TextExample, TokenExample
from ..data.examples import FIELDS, GOLD, Example
from ..data.labelled.build import Builder, check_string
from ..data.labelled.objects import plain_values
from ..data.labelled.reader import field_names, records_of
from ..data.records.jsonl import parse_json, pick_fields
from ..data.records.naming import Remembered
from ..data.records.opening import check_encoding
from ..data.records.pairs import TWO_TEXTS, names_in, pair_names
from ..data.records.sniff import BY_LINE, sniff_requests
from ..data.records.source import BLANK, Record, Source
from ..data.records.table import LISTS, header_delimiter, open_table
from ..errors import DataError, short


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
    encoding : of its text; default UTF-8
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
        encoding: str | None = None,
    ):
        self.task = task
        other = FIELDS[task].other
        given = {k: v for k, v in (columns or {}).items() if k != other}
        if isinstance(columns, Remembered):
            given = Remembered(given)
        self._names = field_names(task, given, unread=FIELDS[task].gold)
        if other:
            self._names[other] = (columns or {}).get(other, other)
        self._by_columns = columns is not None and not isinstance(columns, Remembered)
        if encoding is not None:
            encoding = check_encoding(encoding)
        self._source = Source(path, before_waiting, encoding)
        self.name = self._source.name
        self.header: list[str] | None = None

    def __iter__(self) -> Iterator[Request]:
        with self._source as source:
            for record in self._records(source):
                if record.ignored in ("", BLANK):
                    yield self._request(record)

    def _records(self, source: Source) -> Iterator[Record]:
        fields = FIELDS[self.task]
        names = self._names = names_in(source, self._names)
        tables = [fields.given, *([(fields.other,)] if fields.other else [])]  # what one must have
        kind = sniff_requests(source, self.task, names, tables, self._by_columns)
        if kind == "lines":
            return source.records(self._line)
        if kind != "table":
            return records_of(source, kind, names, fields.given, self.task, False)
        first = source.first_line()
        fitting = (group for group in tables if header_delimiter(first, names, group))
        table = open_table(source, names, next(fitting, tables[-1]), self.task)
        self.header = table.header
        return table.records()

    def _line(self, text: str, number: int) -> Record:
        """A text, or an object among texts."""
        fields = FIELDS[self.task]
        item = parse_item(text, strict=self.task in BY_LINE)
        if isinstance(item, dict):
            return Record(pick_fields(item, self._names), number, item)
        text = text.strip("\r\n")
        own = {"text": text} if "tokens" in fields.given else {}
        return Record({fields.alone: text}, number, own)

    def _request(self, record: Record) -> Request:
        if record.ignored or record.problem:
            return Request(None, {}, record.line, record.problem or record.ignored)
        unread = {*FIELDS[self.task].gold, *FIELDS[self.task].hint}
        fields = {name: value for name, value in record.fields.items() if name not in unread}
        if self.header is not None:
            fields = {name: value for name, value in fields.items() if value != ""}
        own = record.own
        if own is None:
            own = {name: value for name, value in record.fields.items() if name not in GOLD}
        try:
            return Request(_of_object(self.task, fields, self._names), dict(own), record.line)
        except ValueError as error:
            return Request(None, dict(own), record.line, str(error))


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


def _example(task: str, item: Any) -> Example:
    if isinstance(item, Example):
        return item
    if isinstance(item, str):
        return _of_text(task, item)
    if isinstance(item, Mapping):
        return _of_object(task, _fields_of(task, item), {})
    if is_pair(task, item):
        return _of_object(task, dict(zip(TWO_TEXTS, item)), {})
    if is_dialogue(task, item):
        return _of_object(task, {"messages": list(item)}, {})
    raise ValueError(f"input: got {type(item).__name__}, expected {_wanted(task)}")


def _fields_of(task: str, item: Mapping[Any, Any]) -> dict[str, Any]:
    """The fields of an object, two texts under their own names."""
    fields = {name: plain_values(value) for name, value in item.items()}
    names = pair_names({name: name for name in FIELDS[task].names}, fields)
    return fields | {name: fields[other] for name, other in names.items() if other != name}


def is_pair(task: str, item: Any) -> bool:
    """Whether an item is two texts for a classifier, as sentence-transformers takes them."""
    return (
        task in ("text-classification", "sentence-similarity")
        and isinstance(item, (list, tuple))
        and len(item) == len(TWO_TEXTS)
        and all(isinstance(text, str) for text in item)
    )


def is_dialogue(task: str, item: Any) -> bool:
    """Whether an item is the list of a dialogue's messages, as transformers' pipeline takes it."""
    return (
        task == "dialogue"
        and isinstance(item, (list, tuple))
        and bool(item)
        and all(isinstance(message, Mapping) and "role" in message for message in item)
    )


def _of_text(task: str, text: str) -> Example:
    check_string(text, "input")
    if task == "dialogue":
        return DialogueExample([Message("user", text)])
    if task in ("token-classification", "sentence-similarity"):
        return TextExample(text)
    if not FIELDS[task].alone:
        raise ValueError(f"input: got a text, expected {_wanted(task)}")
    return Builder(task, {}, labelled=False)(Record({FIELDS[task].alone: text}, None), "")


def _of_object(task: str, fields: Mapping[str, Any], names: Mapping[str, Any]) -> Example:
    """names : what fields are called elsewhere, for messages"""
    other, [first, *_] = FIELDS[task].other, FIELDS[task].given
    if other and other in fields and first not in fields:
        return _of_text(task, check_string(fields[other], f"'{other}'"))
    if task != "token-classification":
        return Builder(task, names, labelled=False)(Record(dict(fields), None), "")
    if "tokens" not in fields:
        raise ValueError(f"expected an object with {short(names.get('tokens', 'tokens'))} or text")
    return TokenExample(_words(fields["tokens"]))


def _words(tokens: Any) -> list[str]:
    if not isinstance(tokens, (list, tuple)) or not tokens:
        raise ValueError("'tokens': expected a list of words")
    return [check_string(token, f"token {i}") for i, token in enumerate(tokens)]


def _wanted(task: str) -> str:
    if FIELDS[task].alone:
        return f"a text, or an object with the fields of {task}"
    fields = ", ".join(f'"{n}": {"[...]" if n in LISTS else "..."}' for n in FIELDS[task].given)
    return f"{{{fields}}}"
