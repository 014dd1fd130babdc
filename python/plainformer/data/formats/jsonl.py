"""JSONL: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .source import Reading, Record, Source


def read_jsonl(source: Source, reading: Reading, names: dict[str, Any]) -> Iterator[Record]:
    """A record for each line that is an object; `names` has the key of each field."""
    for number, line in source.texts(reading):
        if line is None:
            continue
        if not line.strip():
            reading.ignored["blank lines"] += 1
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            reading.reject(f"{error}; expected one JSON object a line", source.name, number)
            continue
        if not isinstance(value, dict):
            kind = type(value).__name__
            reading.reject(f"got a JSON {kind}, expected an object", source.name, number)
            continue
        yield Record(fields_of(value, names), number)


def fields_of(value: Mapping[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """The task's fields of an object: those that it has and that are not null."""
    found = {field: value.get(name) for field, name in names.items()}
    return {field: v for field, v in found.items() if v is not None}


def parse_json(text: str | bytes) -> Any:
    """The value, or a ValueError that says where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also integers of thousands of digits
        raise ValueError(f"not JSON: {error}") from error
