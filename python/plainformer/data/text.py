"""Text files to documents: plain text, JSONL, CSV and TSV, from files, directories and globs.

Everything is UTF-8. A bad line is a DataError naming file and line, or, with `skip_bad_lines`,
left out and counted. Files may be larger than memory: they are read as they are iterated over, and
a long plain text comes in parts.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..checkpoints.files import PathLike
from ..errors import DataError, shown
from .records.files import BINARY, JSON_LINES, STANDARD_INPUT, TABLES, TEXTS, find_files, suffix_of
from .records.jsonl import read_jsonl
from .records.opening import check_encoding
from .records.source import Reading, Source, utf8
from .records.table import open_table

SEARCHED = TEXTS | JSON_LINES | TABLES.keys() | {".parquet"}  # what directories are searched for


@dataclass(frozen=True)
class Document:
    """One text and where it begins. A plain text file is one document and spans lines.

    continues : the next one of the same file goes on with this text; long files come in parts
    """

    text: str
    file: str
    line: int = 1
    spans_lines: bool = False
    continues: bool = False

    def line_of(self, index: int) -> int:
        """The line of the file that holds character `index` of the text."""
        return self.line + (self.text.count("\n", 0, index) if self.spans_lines else 0)


class Documents:
    """The documents of some files, read again each time they are iterated over.

    Parameters
    ----------
    paths : files, directories (searched for .txt .md .rst .jsonl .csv .tsv, hidden files left out)
        or globs (`**` enters directories), in this order; what a directory or glob finds is sorted
    column : str, the JSONL field or the CSV or TSV column that holds the text
    encoding : of their text; default UTF-8, or UTF-16 where a file begins with its mark
    skip_bad_lines : bool, leave bad lines out; `skipped` counts those of the last pass. Files
        without text (empty `__init__.py`) are left out too

    Formats, by the file name's end: `.jsonl` (an object a line), `.csv` and `.tsv` (quoted as
    usual or, between tabs, not at all; header first), everything else plain text: the whole file
    is one document, line ends kept as they are, in parts of about 256 KiB.

    Raises
    ------
    DataError : a path that does not exist or a directory without such files, at once; while
        iterating: bytes that are not UTF-8, an empty file, a bad line, a table without the column
    """

    def __init__(
        self,
        paths: PathLike | Iterable[PathLike],
        *,
        column: str = "text",
        skip_bad_lines: bool = False,
        encoding: str | None = None,
    ):
        self.files = find_files(paths, SEARCHED)
        self.encoding = None if encoding is None else check_encoding(encoding)
        self.column = column
        self.skip_bad_lines = skip_bad_lines
        self._reading = Reading(skip_bad_lines)

    @property
    def skipped(self) -> int:
        return self._reading.skipped

    def __iter__(self) -> Iterator[Document]:
        reading = self._reading = Reading(self.skip_bad_lines)
        for file in self.files:
            before, count = reading.skipped, 0
            for document in read_documents(file, self.column, reading, self.encoding):
                count += not document.continues
                yield document
            end = suffix_of(file)
            form = "plain text" if _is_plain(end) else end[1:]
            reading.tell(file, form, count, "document", reading.skipped - before)


def read_documents(
    file: str, column: str, reading: Reading, encoding: str | None = None
) -> Iterator[Document]:
    """The documents of one file that are not empty; `reading` counts its bad lines.

    Raises
    ------
    DataError : as `Documents`; standard input, as texts are read more than once
    """
    if file == STANDARD_INPUT:
        raise DataError("is read once, and texts more often; name a file", "standard input")
    found = False
    with Source(file, encoding=encoding) as source:
        plain = _is_plain(source.suffix)
        for document in _plain(source, reading) if plain else _rows(source, column, reading):
            if document.text:
                found = True
                yield document
    if not found and not reading.skip_bad_lines:
        raise DataError("holds no text; leave it out, or skip bad lines", file)


def _is_plain(end: str) -> bool:
    """Whether a name that ends like this is of a text that is one document."""
    return end not in JSON_LINES and end not in TABLES and end not in BINARY


def _rows(source: Source, column: str, reading: Reading) -> Iterator[Document]:
    """The texts of JSONL and tables."""
    names: dict[str, Any] = {"text": column}
    is_table = source.suffix in TABLES
    records = (
        open_table(source, names, ["text"]).records() if is_table else read_jsonl(source, names)
    )
    for record in reading.good(records, source.name):
        try:
            text = record.fields.get("text")
            if not isinstance(text, str):
                raise ValueError(f"expected a JSON object with a string {shown(column)}")
            if not text.isascii():
                utf8(text.encode("utf-8", "surrogatepass"))  # JSON can escape half a character
        except ValueError as error:
            reading.reject(str(error), source.name, record.line)
        else:
            yield Document(text, source.name, record.line or 1)


def _plain(source: Source, reading: Reading) -> Iterator[Document]:
    """Parts of a text, each cut off once the next block is there."""
    line, rest = 1, ""
    for text in _decoded(source, reading):
        if rest:
            end = part_end(rest)
            yield Document(rest[:end], source.name, line, spans_lines=True, continues=True)
            line += rest.count("\n", 0, end)
            rest = rest[end:]
        rest += text
    yield Document(rest, source.name, line, spans_lines=True)


def _decoded(source: Source, reading: Reading) -> Iterator[str]:
    """The text of block after block; a line that is not UTF-8 and skipped is empty, so that the
    others keep their numbers."""
    line = 1
    for block in source.blocks():
        try:
            yield block.decode("utf-8")
        except UnicodeDecodeError:
            yield "".join(_lines(block, line, source.name, reading))
        line += block.count(b"\n")


def _lines(block: bytes, first: int, file: str, reading: Reading) -> Iterator[str]:
    for number, data in enumerate(io.BytesIO(block), first):
        try:
            yield utf8(data)
        except ValueError as error:
            reading.reject(str(error), file, number)
            yield "\n"


def part_end(text: str) -> int:
    """Where to cut a long text so that its parts give the tokens of the whole.

    The last place between a letter or digit and a space, else a line feed: pre-tokenizers cut
    there anyway, whatever they do with white space and punctuation. Text without one (a page of
    Chinese on one line) is cut at its end.
    """
    for white in (" ", "\n"):
        end = len(text)
        while (end := text.rfind(white, 0, end)) > 0:
            if text[end - 1].isalnum():
                return end
    return len(text)
