"""Which format a file has: by its name's end, and by how it begins."""

from __future__ import annotations

import re
from typing import Any

from ...errors import DataError
from .jsonl import parse_json
from .source import Source

TABLE_TASKS = {
    "text-classification",
    "relation-extraction",
    "multiple-choice",
    "translation",
    "summarization",
}
PAIR_TASKS = {"translation", "summarization"}
_LINE_TASKS = {"text-classification", "relation-extraction", *PAIR_TASKS}  # a text is enough
_JSON = {".json", ".jsonl", ".ndjson"}
_TABLES = {".csv", ".tsv"}
_ARRAY = re.compile(rb'\[\s*\{\s*"')


def sniff(source: Source, task: str, labelled: bool, has_header: bool = False) -> str:
    """One of jsonl, squad, table, conll, text, lines.

    has_header : the first line names the columns that the task needs

    Raises
    ------
    DataError : an empty file, or nothing that this task can be read from
    """
    first = source.first_line()
    if not first:
        raise DataError("is empty", source.name)
    kind = _json_kind(source, first, task)
    if kind:
        return kind
    if task == "token-classification":
        if source.suffix != ".csv":
            return "conll"
    elif task in TABLE_TASKS:
        if source.suffix in _TABLES or has_header or (labelled and b"\t" in first):
            return "table"
        if not labelled and task in _LINE_TASKS:
            return "lines"
    raise DataError(f"is in no format of {task}; expected {_wanted(task, labelled)}", source.name)


def refuse_json_values(source: Source) -> None:
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
    if source.suffix in (".jsonl", ".ndjson"):
        try:
            value = parse_json(first)
        except ValueError:
            return None
        found = value.get(label) if isinstance(value, dict) else None
        return "jsonl" if isinstance(found, (str, int)) else None
    if source.suffix in _TABLES:
        cells = re.split("[,;\t]", first.decode("utf-8", "replace"))
        return "table" if str(label) in [cell.strip(' "\r\n') for cell in cells] else None
    return None


def _json_kind(source: Source, first: bytes, task: str) -> str | None:
    start = first.lstrip()[:1]
    if start not in (b"{", b"["):
        return "jsonl" if source.suffix in _JSON else None
    try:
        value = parse_json(first)
    except ValueError:
        value = None
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        return "squad" if task == "question-answering" else "jsonl"
    if isinstance(value, dict):
        return "jsonl"
    by_line = source.suffix in (".jsonl", ".ndjson")
    if task == "question-answering" and start == b"{" and not by_line:
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
    formats = ["JSONL (one object a line)"]
    if task in TABLE_TASKS:
        formats.append("CSV or TSV")
    if task == "token-classification":
        formats.append("CoNLL columns")
    if task == "question-answering":
        formats.append("SQuAD JSON")
    if task in PAIR_TASKS:
        formats.append("two text files, line by line")
    if not labelled and task in _LINE_TASKS:
        formats.append("one text a line")
    return " or ".join([", ".join(formats[:-1]), formats[-1]] if len(formats) > 1 else formats)
