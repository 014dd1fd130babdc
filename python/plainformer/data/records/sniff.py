"""Which format a file has: by its name's end, and by how it begins."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import DataError
from ..examples import FIELDS, required_fields
from .annotations import is_tuple
from .files import JSON_LINES, TABLES, TEXTS
from .jsonl import parse_json
from .source import Source
from .table import header_delimiter

_JSON = JSON_LINES | {".json"}
_CONLL = {".conll", ".bio", ".iob", ".iob2"}
BY_LINE = {"token-classification", "language-modeling"}  # of which a request is any text
_ARRAY = re.compile(rb'\[\s*\{\s*"')
_PAIRS = re.compile(rb'\[\s*\[\s*"')  # spaCy's, in an array
_DOCBIN = ".spacy"


def sniff(source: Source, task: str, labelled: bool, names: Mapping[str, Any] | None = None) -> str:
    """What examples of a task are in: jsonl, annotations, docbin, squad, table, conll or lines.

    names : what fields are called, to know a table by its header where no name says it is one

    Raises
    ------
    DataError : an empty file, or nothing that this task can be read from
    """
    formats = FIELDS[task].formats
    if "annotations" in formats and source.suffix == _DOCBIN:
        return "docbin"
    first = _beginning(source)
    kind = _json_kind(source, first, task)
    if kind:
        return kind
    if "conll" in formats and source.suffix != ".csv":
        return "conll"
    if "table" in formats:
        required = required_fields(task, labelled)
        is_header = bool(labelled and names and header_delimiter(first, names, required))
        if source.suffix in TABLES or is_header or (labelled and b"\t" in first):
            return "table"
    if "lines" in formats and not labelled:
        return "lines"
    raise DataError(f"is in no format of {task}; expected {_wanted(task, labelled)}", source.name)


def sniff_requests(
    source: Source,
    task: str,
    names: Mapping[str, Any],
    tables: Sequence[tuple[str, ...]],
    by_columns: bool,
) -> str:
    """What requests of a task are in, as `sniff`; lines may be texts and objects.

    names, tables : what fields are called, and those of which one group makes a table
    by_columns : whether the caller says what they are called
    """
    if "annotations" in FIELDS[task].formats:
        kind = "docbin" if source.suffix == _DOCBIN else _annotations(source, _beginning(source))
        if kind in ("docbin", "annotations") or (kind and source.suffix not in TEXTS):
            return kind
    first = _beginning(source)
    is_json = first.lstrip().startswith(b"{")
    if not (task == "question-answering" and is_json) and source.suffix not in TEXTS:
        _refuse_json_values(source)
    positions = task != "token-classification" and any(isinstance(n, int) for n in names.values())
    if source.suffix in TABLES or positions or _is_header(first, names, tables):
        return "table"
    if task == "dialogue" and not first.lstrip().startswith((b"{", b"[")):
        return "jsonl" if source.suffix in JSON_LINES else "lines"
    if task not in BY_LINE:
        kind = sniff(source, task, False)
        return "table" if kind == "lines" and by_columns else kind
    if "conll" in FIELDS[task].formats and not is_json and (source.suffix in _CONLL or by_columns):
        return "conll"
    return "jsonl" if source.suffix in JSON_LINES or _object(first) is not None else "lines"


def _beginning(source: Source) -> bytes:
    first = source.first_line()
    if not first:
        raise DataError("is empty", source.name)
    return first


def _is_header(first: bytes, names: Mapping[str, Any], tables: Sequence[tuple[str, ...]]) -> bool:
    """Whether a line names the columns of a group, none behind a blank as in text."""
    cells = first.strip(b"\r\n")
    if cells.startswith((b"{", b"[")) or b", " in cells:
        return False
    return any(header_delimiter(cells, names, required) for required in tables)


def _object(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line that is one."""
    try:
        value = parse_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _refuse_json_values(source: Source) -> None:
    """Raise where a file begins like JSON that is not an object a line, whatever its name.

    Raises
    ------
    DataError : an array of objects, or one value over several lines
    """
    first = source.first_line().strip()
    if first in (b"[", b"{") or _ARRAY.match(first):
        raise _not_lines(source, first)


def sniff_labels(source: Source, label: Any) -> str | None:
    """The format of texts with labels for language-modeling, jsonl or table; None for other text.

    label : what the label is called in the file
    """
    first = source.first_line()
    if source.suffix in JSON_LINES:
        return "jsonl" if isinstance((_object(first) or {}).get(label), (str, int)) else None
    is_header = source.suffix in TABLES and header_delimiter(first, {"label": label}, ("label",))
    return "table" if is_header else None


def _annotations(source: Source, first: bytes) -> str | None:
    """Whether a file is one JSON value with texts in it, or a pair of text and entities a line."""
    start = first.strip()
    if not start.startswith((b"[", b"{")) or source.suffix in _CONLL:
        return None
    try:
        value = parse_json(first)
    except ValueError:
        begins = start == b"[" or _ARRAY.match(start) or _PAIRS.match(start)
        whole = source.suffix == ".json" or (begins and source.suffix not in JSON_LINES)
        return "annotations" if whole else None
    if isinstance(value, dict):
        listed = isinstance(value.get("annotations"), list) and not {"data", "text"} & value.keys()
        return "annotations" if listed else None
    if is_tuple(value):
        return "jsonl"
    items = isinstance(value, list) and bool(value)
    return "annotations" if items and all(_is_text(one) for one in value) else None


def _is_text(value: Any) -> bool:
    return isinstance(value, dict) or is_tuple(value)


def _json_kind(source: Source, first: bytes, task: str) -> str | None:
    start = first.lstrip()[:1]
    found = _annotations(source, first) if "annotations" in FIELDS[task].formats else None
    if found:
        return found
    if start not in (b"{", b"["):
        return "jsonl" if source.suffix in _JSON else None
    value, is_squad = _object(first), "squad" in FIELDS[task].formats
    if value is not None:
        return "squad" if is_squad and isinstance(value.get("data"), list) else "jsonl"
    if is_squad and start == b"{" and source.suffix not in JSON_LINES:
        return "squad"  # one value over several lines
    if source.suffix not in _JSON:
        return None  # a text that begins with a bracket
    if source.suffix == ".json":
        raise _not_lines(source, start)
    return "jsonl"


def _not_lines(source: Source, start: bytes) -> DataError:
    what = "an array" if start.startswith(b"[") else "one value over several lines"
    return DataError(f"is JSON, {what}; expected one JSON object a line (JSONL)", source.name, 1)


def _wanted(task: str, labelled: bool) -> str:
    told = {
        "table": "CSV or TSV",
        "conll": "CoNLL columns",
        "annotations": "texts with entities of doccano, Label Studio or spaCy",
        "squad": "SQuAD JSON",
        "pairs": "two text files, line by line",
        "lines": "" if labelled else "one text a line",
    }
    named = ["JSONL (one object a line)", *(told[name] for name in FIELDS[task].formats)]
    *first, last = filter(None, named)
    return f"{', '.join(first)} or {last}" if first else last
