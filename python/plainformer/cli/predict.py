"""`plainformer predict DIR [TEXT...]`: a line of JSON for each text, in order, as they come."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from plainformer.errors import DataError, shown
from plainformer.tasks import Task, open_task
from plainformer.tasks.data import DataOptions, tell_cut
from plainformer.tasks.options import names_of
from plainformer.tasks.requests import as_example, read_requests

from ._common import Command, usage_errors, wants_json
from ._task_flags import option_flags, settings_flags, settings_of

LEARNING = ("tag_scheme", "max_train_samples")  # options of labelled data alone


@click.command(cls=Command)
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--input",
    "input_file",
    help="A file of inputs; - for standard input, the default without TEXT.",
)
@click.option("--output", "output_file", type=click.Path(dir_okay=False), help="Where lines go.")
@click.option("--task", help="What the model is for.  [default: what it was fine-tuned for]")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--adapter", help="A LoRA adapter in peft's layout, added to the weights.")
@click.option("--dtype", help="Compute in float32, bfloat16 or float64.  [default: as saved]")
@option_flags(DataOptions, exclude=LEARNING)
@settings_flags
def predict(
    directory: Path,
    texts: tuple[str, ...],
    input_file: str | None,
    output_file: str | None,
    task: str | None,
    batch_size: int,
    dtype: str | None,
    adapter: str | None,
    **flags: Any,
) -> dict[str, Any]:
    """Answer each TEXT, or each line of a file, with a line of JSON.

    A TEXT that begins with { is an object with the fields of the task's data.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    reading = {name: given.pop(name) for name in names_of(DataOptions) if name in given}
    if texts and (input_file is not None or reading):
        raise click.UsageError("TEXT: give texts, or --input and how to read it, not both")
    with usage_errors():
        opened = open_task(directory, task, dtype=dtype, adapter=adapter, **settings_of(given))
    start = time.perf_counter()
    with output_of(output_file) as file:
        answers = Answers(opened, file, batch_size)
        if texts:
            answers.add_all(as_example(opened.name, item_of(text)) for text in texts)
        else:
            answers.add_all(
                read_requests(
                    opened.name,
                    input_file or "-",
                    before_waiting=answers.write,
                    **reading,
                )
            )
    tell_cut("input", opened, answers.count)
    return {
        "task": opened.name,
        "output_dir": str(directory),
        "examples": answers.count,
        "cut": opened.cut,
        "seconds": round(time.perf_counter() - start, 3),
    }


class Answers:
    """Writes answers as JSONL: when a batch is full, and when there is nothing more for now."""

    def __init__(self, task: Task, file: TextIO, batch_size: int):
        self.task, self.file, self.batch_size = task, file, batch_size
        self.count = 0
        self._waiting: list[Any] = []

    def add_all(self, examples: Iterable[Any]) -> None:
        """Answer all examples; no more than a batch of them is held."""
        for example in examples:
            self._waiting.append(example)
            if len(self._waiting) == self.batch_size:
                self.write()
        self.write()

    def write(self) -> None:
        """Answer what waits, so that whoever reads the output has it at once."""
        if not self._waiting:
            return
        for example, prediction in self.task.predict(self._waiting, self.batch_size):
            record = self.task.record(example, prediction)
            self.file.write(json.dumps(record, ensure_ascii=False) + "\n")
            self.count += 1
        self.file.flush()
        self._waiting = []


def item_of(text: str) -> Any:
    """The object of a text that is one, else the text."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(
            f"TEXT: {shown(text)} begins like an object but is not JSON: {error}"
        ) from error


@contextmanager
def output_of(path: str | None) -> Iterator[TextIO]:
    """The file that answers go to; standard output without one, with --json standard error."""
    if path is None:
        yield sys.stderr if wants_json() else sys.stdout
        return
    with open(path, "w", encoding="utf-8") as file:
        yield file
