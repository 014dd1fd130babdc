"""Files to examples: streamed by `ExampleReader`, or held by `read_examples`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

from ...checkpoints.files import PathLike
from ...errors import ConfigError, DataError, DTypeError, shown
from ...kinds import check_kind
from ..examples import FIELDS, Example, TextExample, required_fields, task_name
from ..records.conll import read_conll
from ..records.files import JSON_LINES, STANDARD_INPUT, TABLES, find_files
from ..records.jsonl import read_jsonl
from ..records.plain import read_lines, read_parallel
from ..records.sniff import sniff, sniff_labels
from ..records.source import Reading, Record, Source
from ..records.squad import read_squad
from ..records.table import open_table
from ..text import SEARCHED, read_documents
from .build import Builder
from .tagged import TokenBuilder

_TOLD = {"jsonl": "JSONL", "squad": "SQuAD JSON", "conll": "CoNLL columns", "lines": "text"}


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
        is_text = self.task == "language-modeling"
        self.files = find_files(paths, SEARCHED if is_text else ())
        if not self.files:
            raise DataError("paths: got none, expected at least one file")
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
        reading = self._reading = Reading(self.skip_bad_lines)
        self.formats = {}
        build = make_builder(self.task, self.names, self.labelled, self.tag_scheme)
        total = 0
        for files in self._groups():
            before, count = reading.skipped, 0
            with closing(self._examples(files, build)) as examples:
                for example in examples:
                    count += 1
                    yield example
            skipped = reading.skipped - before
            name = "standard input" if files[0] == STANDARD_INPUT else files[0]
            if count == 0 and not (self.task == "language-modeling" and self.skip_bad_lines):
                raise DataError(f"holds no examples{reading.told(skipped)}", name)
            reading.tell(name, self.formats[name], count, "example", skipped)
            total += count
        if total == 0:
            raise DataError(f"holds no examples, {self.skipped} bad lines skipped", self.files[0])

    def _groups(self) -> list[list[str]]:
        """Files by what is read together: two plain text files are one set of pairs."""
        ends = {os.path.splitext(file)[1].lower() for file in self.files}
        is_text = not ends & {".json", *JSON_LINES, *TABLES}
        if is_text and len(self.files) == 2 and "pairs" in FIELDS[self.task].formats:
            return [self.files]
        return [[file] for file in self.files]

    def _examples(self, files: list[str], build: Any) -> Generator[Example, None, None]:
        if len(files) == 2:
            with Source(files[0]) as first, Source(files[1]) as second:
                self.formats[first.name] = f"text, line by line with {second.name}"
                one, other = required_fields(self.task, True)
                records = read_parallel(first, second, (one, other))
                yield from build.examples(records, self._reading, first.name)
        elif self.task == "language-modeling" and not self._has_labels(files[0]):
            yield from self._texts(files[0])
        else:
            with Source(files[0], self._before_waiting) as source:
                yield from build.examples(self._records(source), self._reading, source.name)
                if isinstance(build, TokenBuilder) and build.scheme:
                    self.formats[source.name] += f", tags {build.scheme}"

    def _has_labels(self, file: str) -> bool:
        """Whether a file for language-modeling has texts with labels."""
        if not os.path.isfile(file):  # a directory, or a pipe, which can be read once
            return False
        with Source(file) as source:
            return sniff_labels(source, self.names["label"]) is not None

    def _texts(self, file: str) -> Iterator[Example]:
        self.formats[file] = "text"
        parts: list[str] = []
        for document in read_documents(file, str(self.names["text"]), self._reading):
            parts.append(document.text)
            if not document.continues:  # a long file comes in parts
                line = document.line if len(parts) == 1 else 1
                yield TextExample("".join(parts), None, document.file, line)
                parts = []

    def _records(self, source: Source) -> Iterator[Record]:
        required = fields = required_fields(self.task, self.labelled)
        if self.task == "language-modeling":
            kind = sniff_labels(source, self.names["label"]) or "lines"
            fields = FIELDS[self.task].names
        else:
            kind = sniff(source, self.task, self.labelled, self.names)
        table = source.suffix[1:].upper() if source.suffix in TABLES else "table"
        told = "" if kind in ("squad", "conll") else f" ({', '.join(fields)})"
        self.formats[source.name] = _TOLD.get(kind, table) + told
        return records_of(source, kind, self.names, required, self.task, self.labelled)


def records_of(
    source: Source,
    kind: str,
    names: Mapping[str, Any],
    required: tuple[str, ...],
    task: str,
    labelled: bool,
) -> Iterator[Record]:
    """The records of a source that is in one of the formats of `sniff`."""
    if kind == "jsonl":
        return read_jsonl(source, names)
    if kind == "squad":
        return read_squad(source)
    if kind == "conll":
        return read_conll(source, names, labelled)
    if kind == "table":
        return open_table(source, names, required, task).records()
    return read_lines(source, required[0])


def make_builder(
    task: str, names: Mapping[str, Any], labelled: bool, tag_scheme: str | None
) -> Builder | TokenBuilder:
    """What makes the examples of one data set; `names` has what each field is called in it."""
    if task == "token-classification":
        return TokenBuilder(names, labelled, tag_scheme)
    return Builder(task, names, labelled)


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


def field_names(task: str, columns: Mapping[str, Any] | None) -> dict[str, Any]:
    """What each field of the task is called. ConfigError: `columns` has one that it has not."""
    check_kind("columns", columns, Mapping | None, error=DTypeError)
    names: dict[str, Any] = {field: field for field in FIELDS[task].names}
    for field, name in (columns or {}).items():
        if field not in names:
            raise ConfigError(
                f"columns: got {shown(field)}, expected one of {', '.join(names)} for {task}"
            )
        names[field] = name
    return names
