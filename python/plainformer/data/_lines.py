"""Bytes to lines, lines to rows of a table: what every reader of text files begins with."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

CSV: dict[str, Any] = {"delimiter": ","}
TSV: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}


class Row(NamedTuple):
    """A row of a table: its first and last line, and its fields or what is wrong with it."""

    line: int
    last_line: int
    fields: list[str] | csv.Error


def utf8(data: bytes) -> str:
    """The text, or a ValueError that names the byte and its column."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = data[error.start]
        raise ValueError(f"not UTF-8: byte 0x{byte:02x} at column {error.start + 1}") from error


def split_lines(text: str) -> Iterator[str]:
    """Lines with their ends. Only a line feed ends one, as when counting bytes; "\\r" stays."""
    return iter(io.StringIO(text, newline="\n"))


def table_rows(lines: Iterable[str], dialect: dict[str, Any]) -> Iterator[Row]:
    """The rows that are not empty, one at a time; `lines` keep their ends."""
    reader = csv.reader(lines, strict=True, **dialect)
    while True:
        line = reader.line_num + 1
        limit = csv.field_size_limit(2**31 - 1)  # csv's own is 128 KiB a field, process-wide
        try:
            fields: list[str] | csv.Error = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fields = error
        finally:
            csv.field_size_limit(limit)
        if fields:
            yield Row(line, reader.line_num, fields)
