"""JSONL: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .naming import NESTED
from .source import Record, Source


def read_jsonl(source: Source, names: Mapping[str, Any]) -> Iterator[Record]:
    """A record for each line that is an object; `names` has the key of each field."""

    def parse(line: str, number: int) -> Record:
        value = parse_line(line)
        if not isinstance(value, dict):
            raise ValueError(f"got a JSON {type(value).__name__}, expected an object")
        return Record(pick_fields(value, names), number, value)

    return source.records(parse)


def parse_line(line: str) -> Any:
    """The JSON value of a line, or a ValueError that says what a line should be."""
    try:
        return parse_json(line)
    except ValueError as error:
        raise ValueError(f"{error}; expected one JSON object a line") from error


def pick_fields(value: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The task's fields of an object: those that it has and that are not null. Languages may be
    in an object of their own, `translation`."""
    nested = value.get(NESTED)
    if isinstance(nested, Mapping):
        value = {**nested, **value}
    found = {field: value.get(name) for field, name in names.items()}
    return {field: v for field, v in found.items() if v is not None}


def parse_json(text: str | bytes) -> Any:
    """The value, or a ValueError that says where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also integers of thousands of digits
        raise ValueError(f"not JSON: {error}") from error
