"""Text files to documents: plain text, JSONL, CSV and TSV, from files, directories and globs.

Everything is UTF-8. A bad line is a DataError naming file and line, or, with `skip_bad_lines`,
left out and counted. Files may be larger than memory: they are read as they are iterated over, and
a long plain text comes in parts.
"""

from __future__ import annotations

import glob
import io
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import DataError, shown
from ._lines import CSV, TSV, RowError, table_rows, utf8
from ._reading import blocks, open_text, part_end

PathLike = str | os.PathLike[str]
_PLAIN = {".txt", ".text", ".md", ".rst"}  # what a directory is searched for besides tables
_JSONL = {".jsonl", ".ndjson"}
_TABLES = {".csv": CSV, ".tsv": TSV}
_log = logging.getLogger("plainformer")


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
    ):
        self.files = find_files([paths] if isinstance(paths, (str, os.PathLike)) else paths)
        self.column = column
        self.skip_bad_lines = skip_bad_lines
        self.skipped = 0

    def __iter__(self) -> Iterator[Document]:
        self.skipped = 0
        for file in self.files:
            yield from self._read(file)

    def _read(self, file: Path) -> Iterator[Document]:
        suffix, before, count = file.suffix.lower(), self.skipped, 0
        with open_text(file) as stream:
            for document in self._documents(str(file), suffix, stream):
                if document.text:
                    count += not document.continues
                    yield document
        if count == 0 and not self.skip_bad_lines:
            raise DataError("holds no text; leave it out, or skip bad lines", str(file))
        _log_file(file, suffix, count, self.skipped - before)

    def _documents(self, file: str, suffix: str, stream: BinaryIO) -> Iterator[Document]:
        if suffix in _JSONL:
            return self._read_jsonl(file, stream)
        if suffix in _TABLES:
            return self._read_table(file, stream, _TABLES[suffix])
        return self._read_plain(file, stream)

    def _read_plain(self, file: str, stream: BinaryIO) -> Iterator[Document]:
        line, rest = 1, ""
        for text in self._texts(file, stream):
            if rest:
                end = part_end(rest)
                yield Document(rest[:end], file, line, spans_lines=True, continues=True)
                line += rest.count("\n", 0, end)
                rest = rest[end:]
            rest += text
        yield Document(rest, file, line, spans_lines=True)

    def _texts(self, file: str, stream: BinaryIO) -> Iterator[str]:
        """The text of block after block; a line that is not UTF-8 and skipped is empty, so that
        the others keep their numbers."""
        line = 1
        for block in blocks(stream):
            try:
                yield block.decode("utf-8")
            except UnicodeDecodeError:
                yield "".join(self._utf8_lines(file, io.BytesIO(block), line))
            line += block.count(b"\n")

    def _utf8_lines(self, file: str, stream: BinaryIO, first: int = 1) -> Iterator[str]:
        """Lines with their ends. Only a line feed ends one; "\\r" stays."""
        for n, data in enumerate(stream, first):
            line = self._checked(file, n, utf8, data)
            yield "\n" if line is None else line

    def _read_jsonl(self, file: str, stream: BinaryIO) -> Iterator[Document]:
        for n, line in enumerate(self._utf8_lines(file, stream), 1):
            value = self._checked(file, n, self._json_text, line) if line.strip() else None
            if value is not None:
                yield Document(value, file, n)

    def _read_table(self, file: str, stream: BinaryIO, delimiter: str) -> Iterator[Document]:
        rows = (row for row in table_rows(self._utf8_lines(file, stream), delimiter) if row.fields)
        first = next(rows, None)
        header = first.fields if first else []
        if isinstance(header, RowError) or self.column not in header:
            written = str(header) if isinstance(header, RowError) else ", ".join(header)
            raise DataError(
                f"no column {shown(self.column)} in the header {shown(written)}", file, 1
            )
        for row in rows:
            value = self._checked(file, row.line, self._cell, row.fields, header)
            if value is not None:
                yield Document(value, file, row.line)

    def _json_text(self, line: str) -> str:
        try:
            value = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"not JSON: {error}") from error
        text = value.get(self.column) if isinstance(value, dict) else None
        if not isinstance(text, str):
            raise ValueError(f"expected a JSON object with a string {shown(self.column)}")
        return utf8(text.encode("utf-8", "surrogatepass"))  # JSON can escape half a character

    def _cell(self, row: list[str] | RowError, header: list[str]) -> str:
        if isinstance(row, RowError):
            raise ValueError(f"not a row: {row}")
        if len(row) != len(header):
            raise ValueError(f"got {len(row)} fields, expected the header's {len(header)}")
        return row[header.index(self.column)]

    def _checked(self, file: str, line: int, parse: Callable[..., str], *args: Any) -> str | None:
        """`parse(*args)`; what it cannot read is a DataError, or None and counted."""
        try:
            return parse(*args)
        except ValueError as error:
            if not self.skip_bad_lines:
                raise DataError(str(error), file, line) from error
            self.skipped += 1
            return None


def find_files(paths: Iterable[PathLike]) -> list[Path]:
    """Files that paths, directories and globs stand for; each once, in order of first mention.

    Raises
    ------
    DataError : nothing at a path, a directory without text files, a glob that finds nothing
    """
    found: dict[Path, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_files_at(os.fspath(path))))
    return list(found)


def _files_at(path: str) -> list[Path]:
    if os.path.isdir(path):
        return _files_below(path)
    if os.path.exists(path):
        return [Path(path)]
    files = sorted(Path(name) for name in glob.glob(path, recursive=True) if os.path.isfile(name))
    if not files:
        raise DataError("no such file, and no file matches it as a glob", path)
    return files


def _files_below(directory: str) -> list[Path]:
    wanted = _PLAIN | _JSONL | _TABLES.keys()
    files = sorted(
        path
        for path in Path(directory).rglob("*")
        if path.suffix.lower() in wanted
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )
    if not files:
        raise DataError(f"no text files in it; looked for {' '.join(sorted(wanted))}", directory)
    return files


def _log_file(file: Path, suffix: str, count: int, skipped: int) -> None:
    kind = suffix[1:] if suffix in _JSONL or suffix in _TABLES else "plain text"
    bad = f", {skipped} bad line{'s' * (skipped != 1)} skipped" if skipped else ""
    _log.info("%s: %s, %d document%s%s", file, kind, count, "s" * (count != 1), bad)
