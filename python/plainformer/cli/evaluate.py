"""`plainformer evaluate DIR --data F`: the figures of a fine-tuned model on labelled data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ..tasks.arguments import OpeningOptions
from ..tasks.data import DataOptions, check_known, read, tell_cut
from ._common import Command, FilesOption, ModelDirectory, echo, usage_errors
from ._option_flags import flags_given, option_flags
from ._task_flags import opened_by, settings_flags


@click.command(cls=Command)
@click.argument("directory", type=ModelDirectory())
@click.option("--data", cls=FilesOption, required=True, help="Files or globs with labels.")
@option_flags(OpeningOptions)
@option_flags(DataOptions, exclude=["max_train_samples"])
@settings_flags
def evaluate(directory: Path, data: tuple[str, ...], **flags: Any) -> dict[str, Any]:
    """Test the model in DIRECTORY on labelled data."""
    with usage_errors():
        opened, how = opened_by(directory, flags)
        options = DataOptions(**flags_given(DataOptions, flags))
    examples = read(list(data), type(opened), options, told="data")
    check_known(opened, "data", examples)
    start = time.perf_counter()
    metrics = opened.evaluate(examples, how.batch_size)
    seconds = time.perf_counter() - start
    tell_cut("data", opened, len(examples))
    for name, value in metrics.items():
        echo(f"{name:24} {value:10.4f}")
    echo(f"{len(examples)} examples, {seconds:.1f} s")
    return {
        "task": opened.name,
        "output_dir": str(directory),
        "examples": len(examples),
        "cut": opened.cut,
        "skipped_lines": getattr(examples, "skipped", 0),
        "seconds": round(seconds, 3),
        **{f"eval_{name}": value for name, value in metrics.items()},
    }
