"""Files to examples."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...checkpoints.files import PathLike
from ...errors import ConfigError, DataError, DTypeError, shown
from ...kinds import check_kind
from ..examples import FIELDS, PROSE, Example, TextExample, required_fields, task_name
from ..records.annotations import read_annotated_lines, read_annotations
from ..records.conll import read_conll
from ..records.docbin import read_docbin
from ..records.files import (
    BINARY,
    JSON_LINES,
    STANDARD_INPUT,
    TABLES,
    find_files,
    suffix_of,
)
from ..records.jsonl import read_jsonl
from ..records.naming import Remembered, told_names, with_label_names
from ..records.opening import check_encoding
from ..records.pairs import names_in
from ..records.plain import read_lines, read_parallel
from ..records.sniff import sniff, sniff_labels
from ..records.source import Reading, Record, Source
from ..records.squad import read_squad
from ..records.table import open_table
from ..text import SEARCHED, read_documents
from .build import Builder
from .tagged import TokenBuilder

_TOLD = {
    "jsonl": "JSONL",
    "annotations": "JSON (text, entities)",
    "docbin": "DocBin (text, entities)",
    "squad": "SQuAD JSON",
    "conll": "CoNLL columns",
    "lines": "text",
}
_PARTED = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}


class _Reader:
    """Reads the files of one data set; `formats` has what each was found to be."""

    def __init__(
        self,
        task: str,
        labelled: bool,
        names: Mapping[str, Any],
        reading: Reading,
        encoding: str | None = None,
        label_names: Sequence[str] | None = None,
        **tagging: Any,
    ):
        self._encoding, self._label_names = encoding, label_names
        self.task, self.labelled, self.names, self.reading = task, labelled, names, reading
        self.formats: dict[str, str] = {}
        self._build = make_builder(task, names, labelled, **tagging)

    def examples(self, all_files: list[str]) -> Iterator[Example]:
        """The examples of all files, of which each must have one."""
        reading, total = self.reading, 0
        for files in self._groups(all_files):
            before, count = reading.skipped, 0
            for example in self._examples(files):
                count += 1
                yield example
            skipped = reading.skipped - before
            name = "standard input" if files[0] == STANDARD_INPUT else files[0]
            if count == 0 and not (self.task in PROSE and reading.skip_bad_lines):
                raise DataError(f"holds no examples{reading.told(skipped)}", name)
            reading.tell(name, self.formats[name], count, "example", skipped)
            total += count
        if total == 0:
            told = f"holds no examples, {reading.skipped} bad lines skipped"
            raise DataError(told, all_files[0])

    def _groups(self, files: list[str]) -> list[list[str]]:
        """Files by what is read together: two plain text files are one set of pairs."""
        ends = {suffix_of(file) for file in files}
        is_text = not ends & {".json", *JSON_LINES, *TABLES, *BINARY}
        if is_text and len(files) == 2 and "pairs" in FIELDS[self.task].formats:
            return [files]
        return [[file] for file in files]

    def _examples(self, files: list[str]) -> Iterator[Example]:
        build = self._build
        if len(files) == 2:
            with self._source(files[0]) as first, self._source(files[1]) as second:
                self.formats[first.name] = f"text, line by line with {second.name}"
                one, other = required_fields(self.task, True)
                records = read_parallel(first, second, (one, other))
                yield from build.examples(records, self.reading, first.name)
        elif self.task in PROSE and not self._has_labels(files[0]):
            yield from self._texts(files[0])
        else:
            with self._source(files[0]) as source:
                yield from build.examples(self._records(source), self.reading, source.name)
                if isinstance(build, TokenBuilder) and build.scheme:
                    self.formats[source.name] += f", tags {build.scheme}"

    def _source(self, file: str) -> Source:
        return Source(file, encoding=self._encoding)

    def _has_labels(self, file: str) -> bool:
        """Whether a file for language-modeling has texts with labels."""
        if "label" not in self.names or not Path(file).is_file():
            return False  # a directory, or a pipe, which can be read once
        with self._source(file) as source:
            return sniff_labels(source, self.names["label"]) is not None

    def _texts(self, file: str) -> Iterator[Example]:
        self.formats[file] = "text"
        parts: list[str] = []
        column = str(self.names["text"])
        for document in read_documents(file, column, self.reading, self._encoding):
            parts.append(document.text)
            if not document.continues:  # a long file comes in parts
                line = document.line if len(parts) == 1 else 1
                yield TextExample("".join(parts), None, document.file, line)
                parts = []

    def _records(self, source: Source) -> Iterator[Record]:
        required = fields = required_fields(self.task, self.labelled)
        names = self._build.names = names_in(source, self.names)
        if self.task == "language-modeling":
            kind = sniff_labels(source, self.names["label"]) or "lines"
            fields = FIELDS[self.task].names
        else:
            kind = sniff(source, self.task, self.labelled, names)
        words = kind == "jsonl" and self.task == "token-classification"
        if words and not _has(source, names["tokens"]):
            fields = ("text", "entities")
        records = records_of(source, kind, names, required, self.task, self.labelled)
        told = f" ({told_names(names, fields)})" if kind in ("jsonl", "table", "lines") else ""
        self.formats[source.name] = _form(source, kind) + told
        if self._label_names is None:
            return records
        return with_label_names(records, self._label_names)


def _form(source: Source, kind: str) -> str:
    """What a file was found to be, and what parts its cells where the name does not say it."""
    if source.form:
        return source.form
    table = source.suffix[1:].upper() if source.suffix in TABLES else "table"
    by = source.delimiter
    if kind != "table" or by in (None, TABLES.get(source.suffix)):
        return _TOLD.get(kind, table)
    return f"{table} parted by {_PARTED.get(by, by)}"


def _has(source: Source, name: Any) -> bool:
    """Whether the first line of JSON has a key."""
    return f'"{name}"'.encode() in source.first_line()


def records_of(
    source: Source,
    kind: str,
    names: Mapping[str, Any],
    required: tuple[str, ...],
    task: str,
    labelled: bool,
) -> Iterator[Record]:
    """The records of a source that is in one of the formats of `sniff`."""
    if kind == "annotations":
        return read_annotations(source, names, labelled)
    if kind == "docbin":
        return read_docbin(source.name)
    if kind == "jsonl" and task == "token-classification":
        return read_annotated_lines(source, names, labelled)
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
    task: str,
    names: Mapping[str, Any],
    labelled: bool,
    tag_scheme: str | None = None,
    bad_spans: str = "error",
) -> Builder:
    """What makes the examples of one data set; `names` has what each field is called in it."""
    if task == "token-classification":
        return TokenBuilder(names, labelled, tag_scheme, bad_spans)
    return Builder(task, names, labelled)


class Examples:
    """Examples in memory: `len(examples)`, `examples[i]`, iteration.

    Attributes
    ----------
    task : the task's one name
    source : the files, as given
    formats : what each file was found to be
    format : the same as one line
    skipped : bad lines left out
    bad_lines : the first messages about them
    ignored : counts of other lines that are no example
    """

    def __init__(self, reader: _Reader, files: list[str]):
        self._examples = list(reader.examples(files))
        self.task, self.formats, self.source = reader.task, reader.formats, tuple(files)
        self.skipped, self.bad_lines = reader.reading.skipped, reader.reading.bad_lines
        self.ignored = dict(reader.reading.ignored)

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
    bad_spans: str = "error",
    encoding: str | None = None,
    label_names: Sequence[str] | None = None,
) -> Examples:
    """Read the labelled data of a task; `plainformer.data.examples` says what its examples are.

    Formats are told by the file's name and beginning: JSONL, CSV and TSV (comma, semicolon,
    tab or bar; a header, or for text-classification two columns without one; cells quoted as Excel
    and pandas do, or between tabs with quotes that are text), CoNLL columns, texts with
    entities at offsets (`data.records.annotations`: of doccano, Label Studio, spaCy), SQuAD 1.1
    and 2.0 JSON, Parquet, the first sheet of a workbook (.xlsx), TMX, and for translation and
    summarization two text files whose lines belong together. Files may be packed (.gz, .bz2, .xz).
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
    encoding : of the text of files; default UTF-8, or UTF-16 where a file begins with its mark
    label_names : what integer labels or tags stand for, in order from 0
    tag_scheme : None to tell IOB2, IOBES and BILOU by their letters, or one of them or "IOB1"
    bad_spans : what is done about entities at offsets that end inside words or overlap: "error";
        "skip" leaves them out; "expand" and "contract" move their ends to those of words

    Raises
    ------
    DataError : no such file; a file that is empty, of no known format or without examples; with
        file and line: bytes that are not UTF-8, and whatever is not an example of the task
    ConfigError : an unknown task, field in `columns`, scheme, or `bad_spans`
    """
    task = task_name(task)
    files = find_files(paths, SEARCHED if task in PROSE else ())
    if not files:
        raise DataError("paths: got none, expected at least one file")
    names = field_names(task, columns, () if labelled else FIELDS[task].gold)
    reader = _Reader(
        task,
        labelled,
        names,
        Reading(skip_bad_lines),
        None if encoding is None else check_encoding(encoding),
        label_names,
        tag_scheme=tag_scheme,
        bad_spans=bad_spans,
    )
    return Examples(reader, files)


def field_names(
    task: str, columns: Mapping[str, Any] | None, unread: Collection[str] = ()
) -> dict[str, Any]:
    """What each field of the task is called.

    unread : fields that nobody asks for, which may be called as another

    Raises
    ------
    ConfigError : `columns` has a field that the task has not, or two are called the same
    """
    check_kind("columns", columns, Mapping | None, error=DTypeError)
    kind = Remembered if isinstance(columns, Remembered) else dict
    names: dict[str, Any] = kind({field: field for field in FIELDS[task].names})
    for field, name in (columns or {}).items():
        if field not in names:
            raise ConfigError(
                f"columns: got {shown(field)}, expected one of {', '.join(names)} for {task}"
            )
        names[field] = name
    for field, name in (columns or {}).items():
        same = [other for other in names if other not in (field, *unread) and names[other] == name]
        if same:
            raise ConfigError(
                f"columns: {field} and {same[0]} are both {shown(name)}; name another"
            )
    return names
