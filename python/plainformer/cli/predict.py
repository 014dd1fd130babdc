"""`plainformer predict DIR [TEXT...]`: a line of JSON for each text, in order, as they come."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from plainformer.errors import DataError
from plainformer.tasks import Task, open_task
from plainformer.tasks.requests import as_example, read_requests

from ._common import Command, usage_errors, wants_json
from ._task_flags import settings_flags, settings_of


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
@click.option("--skip-bad-lines", is_flag=True, help="Count bad lines and leave them out.")
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
    skip_bad_lines: bool,
    **flags: Any,
) -> dict[str, Any]:
    """Answer each TEXT, or each line of a file, with a line of JSON.

    A TEXT that begins with { is an object with the fields of the task's data.
    """
    if texts and (input_file is not None or skip_bad_lines):
        raise click.UsageError("TEXT: give texts, or --input (and --skip-bad-lines), not both")
    with usage_errors():
        given = {name: value for name, value in flags.items() if value is not None}
        opened = open_task(directory, task, dtype=dtype, adapter=adapter, **settings_of(given))
    start, count = time.perf_counter(), 0
    examples = (
        (as_example(opened.name, item_of(text)) for text in texts)
        if texts
        else read_requests(opened.name, input_file or "-", skip_bad_lines=skip_bad_lines)
    )
    with output_of(output_file) as file:
        for line in lines(opened, examples, batch_size):
            file.write(line)
            count += 1
        file.flush()
    return {
        "task": opened.name,
        "output_dir": str(directory),
        "examples": count,
        "seconds": round(time.perf_counter() - start, 3),
    }


def lines(task: Task, examples: Iterator[Any], batch_size: int) -> Iterator[str]:
    """The answers as JSONL."""
    for example, prediction in task.predict(examples, batch_size):
        yield json.dumps(task.record(example, prediction), ensure_ascii=False) + "\n"


def item_of(text: str) -> Any:
    """The object of a text that is one, else the text."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(
            f"TEXT: {text!r:.60} begins like an object but is not JSON: {error}"
        ) from error


@contextmanager
def output_of(path: str | None) -> Iterator[TextIO]:
    """The file that answers go to; standard output without one, with --json standard error."""
    if path is None:
        yield sys.stderr if wants_json() else sys.stdout
        return
    with open(path, "w", encoding="utf-8") as file:
        yield file
