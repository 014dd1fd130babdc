"""Files opened as UTF-8 text, whatever they are: packed, in another encoding, a workbook, Parquet.

Everything downstream reads lines of UTF-8, so that a format is told and read in one way. A packed
file is unpacked as it is read; a workbook's first sheet becomes CSV, Parquet and TMX become JSONL,
each row or unit a line. Workbooks and Parquet need the extra `tables`.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import importlib
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

from ...errors import ConfigError, DataError, shown
from ...options import Rule
from .files import suffix_of
from .tmx import translation_units

BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)  # what unpacking raises
STDIN = "standard input"
_AT_ONCE = 1 << 16  # bytes
_UNPACKED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}
_MARKS = {  # the longer ones first: UTF-32's begins as UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WANTED = "the name of an encoding, such as cp1252, gb18030, shift_jis or utf-16"
_WORKBOOK, _PARQUET = b"PK\x03\x04", b"PAR1"
_WORKBOOKS = {".xlsx", ".xlsm"}


class Opened(NamedTuple):
    """A file as UTF-8.

    file : of bytes, with `read`, `readline`, `peek` and lines
    suffix : what the name would end with if it held what `file` gives, such as .csv
    form : what it is told to be, "" where the suffix says it
    """

    file: Any
    suffix: str
    form: str = ""


def check_encoding(encoding: str) -> str:
    """The name of an encoding of text as Python has it. Raises ConfigError."""
    try:
        "".encode(encoding)  # of text: base64 is none
        return codecs.lookup(encoding).name
    except (LookupError, ValueError):
        raise ConfigError(f"encoding: got {shown(encoding)}, expected {_WANTED}") from None


ENCODING = Rule(check_encoding, _WANTED)


def open_text(path: str, encoding: str | None = None) -> Opened:
    """A file as UTF-8 text.

    encoding : of its text; None for UTF-8, or UTF-16 and UTF-32 where it begins with their mark

    Raises
    ------
    OSError : it cannot be opened
    DataError : a workbook or Parquet that cannot be read, or what reads it is not installed
    """
    file: Any = open(path, "rb")  # noqa: SIM115 - the source closes it
    begin = file.peek(8)
    suffix = suffix_of(path)
    if begin.startswith(_WORKBOOK) and suffix in _WORKBOOKS:
        return Opened(_stream(_workbook(path, file)), ".csv", "workbook")
    if begin.startswith(_PARQUET):
        return Opened(_stream(_parquet(path, file)), ".jsonl", "Parquet")
    if suffix == ".tmx":
        return Opened(_stream(translation_units(file, path, encoding)), ".jsonl", "TMX")
    unpack = next((unpack for magic, unpack in _UNPACKED.items() if begin.startswith(magic)), None)
    if unpack is not None:
        file = _closing(unpack(file), file)
    try:
        return Opened(decoded(file, path, encoding), suffix)
    except BROKEN:
        file.close()
        raise


def decoded(file: Any, name: str, encoding: str | None) -> Any:
    """A file of bytes as UTF-8."""
    if encoding is None:
        begin = b"" if name == STDIN else file.peek(4)
        encoding = next((e for mark, e in _MARKS.items() if begin.startswith(mark)), None)
    if encoding is None or codecs.lookup(encoding).name == "utf-8":
        return file
    return io.BufferedReader(_Transcoded(file, name, encoding), _AT_ONCE)


class _Transcoded(io.RawIOBase):
    """A file of bytes in some encoding, read as UTF-8."""

    def __init__(self, file: Any, name: str, encoding: str):
        self._file, self._name, self._encoding = file, name, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._rest = b""
        self._lines = 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and (data := self._next()) is not None:
            self._rest = data
        part = self._rest[: len(buffer)]
        self._rest = self._rest[len(part) :]
        buffer[: len(part)] = part
        return len(part)

    def _next(self) -> bytes | None:
        """The next bytes as UTF-8, None at the end."""
        data = self._file.read(_AT_ONCE)
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            line = self._lines + error.object.count(b"\n", 0, error.start)
            told = f"not {self._encoding}: {error.reason}{_guess(error.object)}"
            raise DataError(told, self._name, line) from error
        self._lines += text.count("\n")
        return text.encode("utf-8", "surrogatepass") if data or text else None

    def close(self) -> None:
        if not self.closed and self._name != STDIN:
            self._file.close()
        super().close()


def guessed(path: str) -> str:
    """What to do about a file that is not UTF-8, with the encoding that it seems to have."""
    try:
        with open_text(path).file as file:
            data = file.read(_AT_ONCE * 4)
    except (DataError, *BROKEN):
        data = b""
    return _guess(data)


def _guess(data: bytes) -> str:
    return f"; say its encoding{_named(data)}"


def _named(data: bytes) -> str:
    """An encoding that some bytes are text in, in words."""
    try:
        normalizer = importlib.import_module("charset_normalizer")
    except ImportError:
        return " (cp1252 for Western Windows, gb18030 for Chinese, ...)"
    best = normalizer.from_bytes(data).best()
    found = None if best is None else best.encoding.replace("_", "-")
    return f", perhaps {found}" if found not in (None, "utf-8", "ascii") else ""


def _closing(file: Any, below: Any) -> Any:
    """A file that closes the one it reads as well, which gzip's do not."""
    close = file.close

    def both() -> None:
        close()
        below.close()

    file.close = both
    return file


class _Lines(io.RawIOBase):
    """Lines as a file, made as they are read."""

    def __init__(self, lines: Iterator[bytes]):
        self._lines, self._rest = lines, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._lines, b"")
        part = self._rest[: len(buffer)]
        self._rest = self._rest[len(part) :]
        buffer[: len(part)] = part
        return len(part)


def _stream(lines: Iterator[bytes]) -> Any:
    return io.BufferedReader(_Lines(lines), _AT_ONCE)


def _module(name: str, file: IO[bytes], path: str, what: str) -> Any:
    """A library of the extra `tables`, which reads a file."""
    try:
        return importlib.import_module(name)
    except ImportError:
        file.close()
        package = name.partition(".")[0]
        raise DataError(
            f"is {what}, which {package} reads: pip install 'plainformer[tables]', or save it as "
            "CSV",
            path,
        ) from None


def _workbook(path: str, file: IO[bytes]) -> Iterator[bytes]:
    """The rows of the first sheet as CSV, blank ones at the end left out."""
    openpyxl = _module("openpyxl", file, path, "a workbook")
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        rows = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
    except Exception as error:  # openpyxl raises what zipfile, XML and its own code raise
        raise DataError(f"cannot be read as a workbook: {error}", path) from error
    finally:
        file.close()
    return _csv(rows)


def _csv(rows: list[list[Any]]) -> Iterator[bytes]:
    while rows and not any(cell is not None for cell in rows[-1]):
        rows.pop()
    filled = (i for row in rows for i, cell in enumerate(row) if cell is not None)
    width = max(filled, default=-1) + 1
    for row in rows:
        cells = [_cell(cell) for cell in [*row, *[None] * width][:width]]
        yield _csv_line(cells) if any(cells) else b"\n"


def _cell(value: Any) -> str:
    """A cell as Excel's CSV has it; line ends become line feeds."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).replace("\r\n", "\n").replace("\r", "\n")


def _csv_line(cells: Iterable[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(cells)
    return out.getvalue().encode("utf-8", "surrogatepass")


def _parquet(path: str, file: IO[bytes]) -> Iterator[bytes]:
    """Each row as a JSON object; integers that stand for names, as Hugging Face's data sets have
    them, as these names."""
    parquet = _module("pyarrow.parquet", file, path, "Parquet")
    try:
        table = parquet.ParquetFile(file)
        names = _class_names(table.schema_arrow.metadata or {})
    except Exception as error:  # pyarrow has errors of many kinds
        file.close()
        raise DataError(f"cannot be read as Parquet: {error}", path) from error
    return _objects(table, names, file)


def _objects(table: Any, names: dict[str, list[str]], file: IO[bytes]) -> Iterator[bytes]:
    with file:
        for batch in table.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                for column in names.keys() & row.keys():
                    row[column] = _as_names(row[column], names[column])
                yield json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n"


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """The names of integer labels, by column, as the library `datasets` writes them."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        found = {name: f.get("feature", f).get("names") for name, f in features.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
    return {name: names for name, names in found.items() if isinstance(names, list)}


def _as_names(value: Any, names: list[str]) -> Any:
    """An integer, or a list of them, as names; -1 (a test part's label) as none."""
    if isinstance(value, list):
        return [_as_names(one, names) for one in value]
    is_id = isinstance(value, int) and 0 <= value < len(names)
    return names[value] if is_id else None if value == -1 else value
