"""`plainformer predict DIR [TEXT...]`: an answer for each text, in order, as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ..errors import DataError
from ..tasks import Task
from ..tasks.answers import Answers, Writer
from ..tasks.arguments import OpeningOptions
from ..tasks.data import DataOptions, columns_of, tell_cut
from ..tasks.requests import Request, Requests, as_request, parse_item
from ._common import Command, ModelDirectory, usage_errors
from ._option_flags import flags_given, option_flags
from ._output import OUTPUT, output_of, refuse_overwriting
from ._questions import Questions, question_flags
from ._task_flags import opened_by, settings_flags
from ._writers import FORMATS, writers_to

LEARNING = (
    "tag_scheme",
    "bad_spans",
    "label_names",
    "validation_fraction",
    "max_train_samples",
)  # options of labelled data alone
_STANDARD_INPUT = "-"


@click.command(cls=Command)
@click.argument("directory", type=ModelDirectory())
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--input",
    "input_file",
    help="A file of inputs; - for standard input, the default without TEXT.",
)
@click.option(
    "--output",
    "output_file",
    type=OUTPUT,
    help="Where answers go: .csv and .tsv are tables, .txt plain answers, others JSONL.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    help="What answers are written as, whatever the file is called. text: the answer alone, a line "
    "for each line of the input, blank ones too. Of entities also what annotation tools read; "
    "highlight marks them in the text, html on a page.",
)
@question_flags
@option_flags(OpeningOptions)
@option_flags(DataOptions, exclude=LEARNING)
@settings_flags
def predict(
    directory: Path,
    texts: tuple[str, ...],
    questions: tuple[str, ...],
    context_files: tuple[str, ...],
    input_file: str | None,
    output_file: str | None,
    output_format: str | None,
    **flags: Any,
) -> dict[str, Any]:
    """Answer each TEXT, or each line of a file, with a line of JSON.

    A TEXT that begins with { is an object with the fields of the task's data. Files are JSONL,
    tables (CSV, TSV) or texts, one a line; whatever else an object or a row has comes back with
    its answer. --output x.csv writes a table, x.txt the answers alone;
    of entities x.html a page, x.conll words and tags, --format doccano and others what those read.
    A question may be asked of
    whole files: --question "Who went?" --context-file report.txt.
    """
    reading: dict[str, Any] = flags_given(DataOptions, flags)
    skip = bool(reading.pop("skip_bad_lines", False))
    asks = bool(questions or context_files)
    _check_one_way(texts, asks, input_file is not None or bool(reading))
    with usage_errors():
        opened, how = opened_by(directory, flags)
    known = columns_of(reading.get("columns"), opened.reading)
    reading |= {} if known is None else {"columns": known}
    start = time.perf_counter()
    path = input_file or _STANDARD_INPUT
    asked: Any = texts or path
    if asks:
        asked = Questions(opened.name, questions, context_files)
        refuse_overwriting(output_file, asked.files, "--context-file")
    elif not texts:
        refuse_overwriting(output_file, [path], "--input")
    with (
        output_of(output_file) as file,
        writers_to(file, output_file, opened, output_format) as writer,
    ):
        answers = answer_all(
            opened, how, asked, writer, flush=file.flush, skip=skip, reading=reading
        )
    return {"task": opened.name, **figures(opened, answers, directory, start)}


def answer_all(
    opened: Task,
    how: OpeningOptions,
    asked: tuple[str, ...] | str | Questions,
    writer: Callable[[Callable[[], Any]], Writer],
    *,
    flush: Callable[[], Any],
    skip: bool,
    reading: Mapping[str, Any],
) -> Answers:
    """Answer texts, all of a file, or questions, and say which inputs have no answer.

    asked : texts, a path, - for standard input, or questions
    writer : makes what takes the answers, given what tells the columns of the input
    reading : how a file is read
    """
    requests: Any
    if isinstance(asked, tuple):
        requests = _Texts(opened.name, asked)
    elif isinstance(asked, Questions):
        requests = asked
    else:
        requests = Requests(opened.name, asked, before_waiting=lambda: answers.flush(), **reading)
    answers = Answers(
        opened,
        writer(lambda: requests.header),
        how.batch_size,
        flush=flush,
        skip=skip,
        name=requests.name,
        rest_is_there=asked != _STANDARD_INPUT,
    )
    answers.add_all(requests)
    _tell(answers, requests.name)
    tell_cut("input", opened, answers.count)
    return answers


def figures(opened: Task, answers: Answers, directory: Path, start: float) -> dict[str, Any]:
    """What a command tells of its answers with `--json`."""
    return {
        "output_dir": str(directory),
        "examples": answers.count,
        "skipped_lines": answers.bad,
        "blank_lines": answers.blank,
        "cut": opened.cut,
        "seed": opened.seed,
        "seconds": round(time.perf_counter() - start, 3),
    }


def _check_one_way(texts: tuple[str, ...], asks: bool, reads: bool) -> None:
    """UsageError unless there are texts, questions with files, or what says how input is read."""
    ways = [
        way
        for way, given in (
            ("TEXT", bool(texts)),
            ("--question and --context-file", asks),
            ("--input and how to read it", reads),
        )
        if given
    ]
    if len(ways) > 1:
        raise click.UsageError(f"got {' beside '.join(ways)}; give one of them")


class _Texts:
    """The requests of texts on the command line."""

    name, header = "TEXT", None

    def __init__(self, task: str, texts: tuple[str, ...]):
        self._task, self._texts = task, texts

    def __iter__(self) -> Iterator[Request]:
        for number, text in enumerate(self._texts, 1):
            try:
                yield as_request(self._task, parse_item(text), number)
            except ValueError as error:
                reason = f"begins like an object and is none: {error}"
                yield Request(None, {}, number, reason)


def _tell(answers: Answers, name: str) -> None:
    """Say which inputs have no answer; no answer at all is an error."""
    without = [
        f"{count} {kind} line{'s' * (count != 1)}"
        for count, kind in ((answers.bad, "bad"), (answers.blank, "blank"))
        if count
    ]
    if answers.count == 0:
        raise DataError(f"holds no examples{''.join(f', {w}' for w in without)}", name)
    if without:
        click.echo(f"{name}: {' and '.join(without)} without an answer", err=True)
