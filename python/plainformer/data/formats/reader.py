"""Files to examples: streamed by `ExampleReader`, or held by `read_examples`."""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

from ...errors import ConfigError, DataError, DTypeError, shown
from ...kinds import check_kind
from ..examples import FIELDS, Example, TextExample, required_fields, task_name
from ..text import Documents, PathLike
from .build import Builder
from .conll import read_conll
from .jsonl import read_jsonl
from .plain import read_lines, read_parallel
from .sniff import PAIR_TASKS, sniff, sniff_labels
from .source import STANDARD_INPUT, Reading, Record, Source
from .squad import read_squad
from .table import header_delimiter, read_table
from .tagged import TokenBuilder

_KNOWN = {".json", ".jsonl", ".ndjson", ".csv", ".tsv"}  # no half of a pair of text files
_log = logging.getLogger("plainformer")


class ExampleReader:
    """The examples of some files, read again each time they are iterated over, one at a time.

    Memory does not grow with the files, except for SQuAD's JSON (one value) and language-modeling
    (plain text is one document). `read_examples` has the parameters; `before_waiting` is called
    whenever standard input has nothing more for now, before it is waited for.

    Attributes, of the last pass: `skipped` bad lines, `bad_lines` the first messages about them,
    `ignored` counts of other lines that are no example, `formats` what each file was found to be.
    """

    def __init__(
        self,
        paths: PathLike | Iterable[PathLike],
        task: str,
        *,
        skip_bad_lines: bool = False,
        columns: Mapping[str, Any] | None = None,
        labelled: bool = True,
        tag_scheme: str | None = None,
        before_waiting: Callable[[], None] | None = None,
    ):
        self.task = task_name(task)
        self._before_waiting = before_waiting
        if isinstance(paths, (str, os.PathLike)) or not isinstance(paths, Iterable):
            paths = [paths]
        self.files = _find(paths)
        if self.task == "language-modeling" and STANDARD_INPUT in self.files:
            raise DataError("cannot hold the text of language-modeling; name a file", "-")
        self.labelled = labelled
        self.skip_bad_lines = skip_bad_lines
        self.names = field_names(self.task, columns)
        self.tag_scheme = tag_scheme
        self.formats: dict[str, str] = {}
        self._reading = Reading(skip_bad_lines)

    @property
    def skipped(self) -> int:
        return self._reading.skipped

    @property
    def bad_lines(self) -> list[str]:
        return self._reading.bad_lines

    @property
    def ignored(self) -> Counter[str]:
        return self._reading.ignored

    def __iter__(self) -> Iterator[Example]:
        self._reading = Reading(self.skip_bad_lines)
        self.formats = {}
        build = make_builder(self.task, self.names, self.labelled, self.tag_scheme)
        total = 0
        for file in self._groups():
            before, count = self.skipped, 0
            with closing(self._examples(file, build)) as examples:
                for example in examples:
                    count += 1
                    yield example
            self._finish(file, count, self.skipped - before)
            total += count
        if total == 0:
            raise DataError(f"holds no examples, {self.skipped} bad lines skipped", self.files[0])

    def _groups(self) -> list[tuple[str, ...]]:
        """Files by what is read together: two plain text files are one set of pairs."""
        pair = (
            self.task in PAIR_TASKS
            and len(self.files) == 2
            and not any(os.path.splitext(file)[1].lower() in _KNOWN for file in self.files)
        )
        return [tuple(self.files)] if pair else [(file,) for file in self.files]

    def _examples(self, files: tuple[str, ...], build: Any) -> Generator[Example, None, None]:
        if len(files) == 2:
            yield from self._pairs(files, build)
        elif self.task == "language-modeling" and not self._has_labels(files[0]):
            yield from self._texts(files[0])
        else:
            with Source(files[0], self._before_waiting) as source:
                records = self._records(source)
                yield from built(records, build, self._reading, source.name)
                if isinstance(build, TokenBuilder):
                    self._tell_scheme(source, build)

    def _tell_scheme(self, source: Source, build: TokenBuilder) -> None:
        self.formats[source.name] += f", tags {build.scheme}" if build.scheme else ""

    def _pairs(self, files: tuple[str, ...], build: Builder) -> Iterator[Example]:
        with Source(files[0]) as first, Source(files[1]) as second:
            self.formats[first.name] = f"text, line by line with {second.name}"
            one, other = required_fields(self.task, True)
            records = read_parallel(first, second, self._reading, (one, other))
            yield from built(records, build, self._reading, first.name)

    def _has_labels(self, file: str) -> bool:
        """Whether a file for language-modeling has texts with labels."""
        if not os.path.isfile(file):  # a directory, or a pipe, which can be read once
            return False
        with Source(file) as source:
            return sniff_labels(source, self.names["label"]) is not None

    def _texts(self, file: str) -> Iterator[Example]:
        documents = Documents(
            file, column=str(self.names["text"]), skip_bad_lines=self.skip_bad_lines
        )
        self.formats[file] = "text"
        parts: list[str] = []
        for document in documents:
            parts.append(document.text)
            if not document.continues:  # a long file comes in parts
                line = document.line if len(parts) == 1 else 1
                yield TextExample("".join(parts), None, document.file, line)
                parts = []
        self._reading.skipped += documents.skipped

    def _records(self, source: Source) -> Iterator[Record]:
        required = fields_told = required_fields(self.task, self.labelled)
        if self.task == "language-modeling":
            kind = sniff_labels(source, self.names["label"]) or "lines"
            fields_told = FIELDS[self.task]
        else:
            first = source.first_line()
            has_header = header_delimiter(first, self.names, required) is not None
            kind = sniff(source, self.task, self.labelled, self.labelled and has_header)
        name = source.suffix[1:].upper() if source.suffix in (".csv", ".tsv") else "table"
        told = {"jsonl": "JSONL", "squad": "SQuAD JSON", "conll": "CoNLL columns"}
        fields = "" if kind in ("squad", "conll") else f" ({', '.join(fields_told)})"
        self.formats[source.name] = told.get(kind, name if kind == "table" else "text") + fields
        if kind == "jsonl":
            return read_jsonl(source, self._reading, self.names)
        if kind == "squad":
            return read_squad(source, self._reading)
        if kind == "conll":
            return read_conll(source, self._reading, self.names, self.labelled)
        if kind == "table":
            return read_table(source, self._reading, self.names, required, self.task)
        return read_lines(source, self._reading, required[0])

    def _finish(self, files: tuple[str, ...], count: int, skipped: int) -> None:
        name = "standard input" if files[0] == STANDARD_INPUT else files[0]
        bad = f", {skipped} bad line{'s' * (skipped != 1)} skipped" if skipped else ""
        if count == 0 and not (self.task == "language-modeling" and self.skip_bad_lines):
            raise DataError(f"holds no examples{bad}", name)
        told = f"{count} example{'s' * (count != 1)}{bad}"
        _log.info("%s: %s, %s", name, self.formats[name], told)


def make_builder(
    task: str, names: dict[str, Any], labelled: bool, tag_scheme: str | None
) -> Builder | TokenBuilder:
    """What makes the examples of one data set; `names` has what each field is called in it."""
    if task == "token-classification":
        return TokenBuilder(names, labelled, tag_scheme)
    return Builder(task, names, labelled)


def built(
    records: Iterator[Record], build: Builder | TokenBuilder, reading: Reading, file: str
) -> Iterator[Example]:
    """The examples of records; what is none is rejected at its line."""
    if isinstance(build, TokenBuilder):
        yield from build.examples(records, reading, file)
        return
    for record in records:
        try:
            example = build(record, file)
        except ValueError as error:
            where = f"{record.where}: " if record.where else ""
            reading.reject(f"{where}{error}", file, record.line)
        else:
            yield example


class Examples:
    """Examples in memory: `len(examples)`, `examples[i]`, iteration.

    Attributes
    ----------
    task : the task's one name
    source : the files, as given
    formats : what each file was found to be
    format : the same as one line
    skipped, bad_lines, ignored : as `ExampleReader`
    """

    def __init__(self, reader: ExampleReader):
        self._examples = list(reader)
        self.task = reader.task
        self.source = tuple(reader.files)
        self.formats = dict(reader.formats)
        self.skipped = reader.skipped
        self.bad_lines = list(reader.bad_lines)
        self.ignored = dict(reader.ignored)

    @property
    def format(self) -> str:
        return "; ".join(dict.fromkeys(self.formats.values()))

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Any:
        return self._examples[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._examples)


def read_examples(
    paths: PathLike | Iterable[PathLike],
    task: str,
    *,
    skip_bad_lines: bool = False,
    columns: Mapping[str, Any] | None = None,
    labelled: bool = True,
    tag_scheme: str | None = None,
) -> Examples:
    """Read the labelled data of a task; `plainformer.data.examples` says what its examples are.

    Formats are told by the file's name and beginning: JSONL, CSV and TSV (comma, semicolon or
    tab; a header, or for text-classification two columns without one; cells quoted as Excel and
    pandas do, or between tabs with quotes that are text), CoNLL columns, SQuAD 1.1
    and 2.0 JSON, and for translation and summarization two text files whose lines belong together.
    Where `labelled` is False a text a line will do.

    Parameters
    ----------
    paths : files or globs, "-" for standard input; two text files are one set of pairs
    task : str, such as "text-classification" or "ner"
    skip_bad_lines : bool, leave bad lines out and count them instead of stopping at the first
    columns : what the task's fields are called in the files, `{"text": "review"}`; positions from
        0 for tables without a header (`{"text": 1, "label": 0}`) and for CoNLL columns; a list
        for the choices of multiple-choice in a table
    labelled : bool, whether labels, tags, answers and targets must be there
    tag_scheme : None to tell IOB2, IOBES and BILOU by their letters, or one of them or "IOB1"

    Raises
    ------
    DataError : no such file; a file that is empty, of no known format or without examples; with
        file and line: bytes that are not UTF-8, and whatever is not an example of the task
    ConfigError : an unknown task, field in `columns`, or scheme
    """
    return Examples(
        ExampleReader(
            paths,
            task,
            skip_bad_lines=skip_bad_lines,
            columns=columns,
            labelled=labelled,
            tag_scheme=tag_scheme,
        )
    )


def _find(paths: Iterable[PathLike]) -> list[str]:
    """Files that paths and globs stand for, each once, in order of first mention."""
    found: dict[str, None] = {}
    for path in paths:
        if not isinstance(path, (str, os.PathLike)):
            raise DTypeError(f"paths: got {shown(path)}, expected paths of files")
        path = os.fspath(path)
        if path == STANDARD_INPUT or os.path.exists(path):
            names = [path]
        else:
            names = sorted(filter(os.path.isfile, glob.glob(path, recursive=True)))
        if not names:
            raise DataError("no such file, and no file matches it as a glob", path)
        found.update(dict.fromkeys(names))
    if not found:
        raise DataError("paths: got none, expected at least one file")
    return list(found)


def field_names(task: str, columns: Mapping[str, Any] | None) -> dict[str, Any]:
    """What each field of the task is called. ConfigError: `columns` has one that it has not."""
    check_kind("columns", columns, Mapping | None, error=DTypeError)
    names: dict[str, Any] = {field: field for field in FIELDS[task]}
    for field, name in (columns or {}).items():
        if field not in names:
            raise ConfigError(
                f"columns: got {shown(field)}, expected one of {', '.join(names)} for {task}"
            )
        names[field] = name
    return names
