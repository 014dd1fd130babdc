"""`plainformer embed DIR [TEXT...]`: a vector for each text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..checkpoints.vector_files import SUFFIXES, vector_writer
from ..tasks import FeatureExtraction
from ..tasks.answers import Writer
from ..tasks.arguments import OpeningOptions
from ..tasks.data import DataOptions
from ..tasks.vectors import VectorSettings, VectorTask
from ._common import Command, ModelDirectory, echo, usage_errors
from ._option_flags import flags_given, option_flags
from ._output import OUTPUT, output_of, refuse_overwriting
from ._task_flags import opened_by
from ._writers import writer_for
from .predict import LEARNING, answer_all, figures

_STANDARD_INPUT = "-"


@click.command(cls=Command)
@click.argument("directory", type=ModelDirectory())
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--input",
    "input_file",
    help="A file of texts; - for standard input, the default without TEXT.",
)
@click.option(
    "--output",
    "output_file",
    type=OUTPUT,
    help="Where vectors go: .npy and .safetensors are arrays (N, C), others JSONL.",
)
@option_flags(OpeningOptions, exclude=("task",))
@option_flags(DataOptions, exclude=LEARNING)
@option_flags(VectorSettings)
def embed(
    directory: Path,
    texts: tuple[str, ...],
    input_file: str | None,
    output_file: str | None,
    **flags: Any,
) -> dict[str, Any]:
    """Make a vector of each TEXT, or of each line of a file.

    Files are texts, one a line, JSONL with a field text, or tables. Pooling, normalization, length
    and prompt are those that sentence-transformers' files in DIRECTORY say, unless flags do.
    In an array row i is line i of the input; of a blank line it is zeros.
    """
    reading = flags_given(DataOptions, flags)
    skip = bool(reading.pop("skip_bad_lines", False))
    if texts and (input_file is not None or reading):
        raise click.UsageError("TEXT: give texts, or --input and how to read it, not both")
    with usage_errors():
        opened, how = open_encoder(directory, flags)
    path = input_file or _STANDARD_INPUT
    if not texts:
        refuse_overwriting(output_file, [path], "--input")
    start = time.perf_counter()
    with vectors_to(output_file, opened) as (writer, flush):
        answers = answer_all(
            opened, how, texts or path, writer, flush=flush, skip=skip, reading=reading
        )
    result = figures(opened, answers, directory, start)
    if is_array(output_file):
        rows, width = answers.count + answers.blank + answers.bad, opened.width
        echo(f"{output_file}: {rows} vectors of {width}, {result['seconds']} s")
    return {**result, "width": opened.width, "output": output_file}


def open_encoder(directory: Path, flags: Mapping[str, Any]) -> tuple[VectorTask, OpeningOptions]:
    """The model of a directory as what makes vectors, opened as the flags say."""
    kinds = (OpeningOptions, VectorSettings)
    own = {name: value for kind in kinds for name, value in flags_given(kind, flags).items()}
    opened, how = opened_by(directory, {**own, "task": FeatureExtraction.name})
    assert isinstance(opened, VectorTask)
    return opened, how


def is_array(path: str | None) -> bool:
    """Whether a file of this name holds an array."""
    return path is not None and Path(path).suffix.lower() in SUFFIXES


@contextmanager
def vectors_to(path: str | None, opened: VectorTask) -> Iterator[tuple[Any, Callable[[], Any]]]:
    """What makes the writer of a file's vectors, and what flushes it."""
    if path is None or not is_array(path):
        with output_of(path) as file:
            yield lambda header: writer_for(file, path, opened, header), file.flush
        return
    with vector_writer(path, opened.width) as vectors:

        def add(record: Mapping[str, Any]) -> None:
            vectors.add(record["embedding"])

        def writer(header: Callable[[], Any]) -> Writer:
            return add

        yield writer, lambda: None
