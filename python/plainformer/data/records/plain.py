"""Plain text: one text a line, or two files whose lines belong together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from ...errors import DataError
from .source import BLANK, Record, Source, utf8


def read_lines(source: Source, field: str) -> Iterator[Record]:
    """A record for each line that is not blank: texts without labels."""
    return source.records(lambda line, number: Record({field: line.strip("\r\n")}, number))


def read_parallel(first: Source, second: Source, fields: tuple[str, str]) -> Iterator[Record]:
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
                yield Record({}, number, problem=str(error), file=source.name)
                break
        else:
            blank = not any(text.strip() for text in texts.values())
            yield Record({}, a[0], ignored=BLANK) if blank else Record(texts, a[0])
