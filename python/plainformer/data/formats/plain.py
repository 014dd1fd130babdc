"""Plain text: two files whose lines belong together, or one text a line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from ...errors import DataError
from .._lines import utf8
from .source import Reading, Record, Source


def read_parallel(
    first: Source, second: Source, reading: Reading, fields: tuple[str, str]
) -> Iterator[Record]:
    """A record for each line of both files; the last element says what they are called.

    Raises
    ------
    DataError : one file is longer: no line can be trusted to belong to the other's
    """
    for a, b in zip_longest(first, second):
        if a is None or b is None:
            longer, shorter = (first, second) if b is None else (second, first)
            number = (a or b)[0]
            raise DataError(
                f"has a line {number}, but {shorter.name} ends before it; expected as many lines "
                "in both",
                longer.name,
                number,
            )
        texts = {}
        for field, source, (number, data) in ((fields[0], first, a), (fields[1], second, b)):
            try:
                texts[field] = utf8(data).strip("\r\n")
            except ValueError as error:
                reading.reject(str(error), source.name, number)
                break
        else:
            if not any(text.strip() for text in texts.values()):
                reading.ignored["blank lines"] += 1
            else:
                yield Record(texts, a[0])


def read_lines(source: Source, reading: Reading, field: str) -> Iterator[Record]:
    """A record for each line that is not blank: texts without labels."""
    for number, line in source.texts(reading):
        if line is None:
            continue
        if line.strip():
            yield Record({field: line.strip("\r\n")}, number)
        else:
            reading.ignored["blank lines"] += 1
