"""`plainformer evaluate DIR --data F`: the figures of a fine-tuned model on labelled data."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .. import runtime
from ..checkpoints.atomic import write_json_atomic
from ..errors import short
from ..tasks import Task
from ..tasks.arguments import OpeningOptions
from ..tasks.data import DataOptions, check_known, read, tell_cut
from ..tasks.report import Report
from ..tasks.report_chart import draw_confusion
from ._common import Command, FilesOption, ModelDirectory, echo, usage_errors
from ._option_flags import flags_given, option_flags
from ._output import OUTPUT, output_of, refuse_overwriting
from ._task_flags import opened_by, settings_flags
from ._writers import write_rows

_WIDTH = 100  # columns, where no terminal says how many it has


@click.command(cls=Command)
@click.argument("directory", type=ModelDirectory())
@click.option(
    "--data",
    cls=FilesOption,
    required=True,
    help="Files or globs with labels; for a language model any text.",
)
@click.option(
    "--output",
    "output_file",
    type=OUTPUT,
    help="Where each answer goes, beside what is right and with all probabilities, the most "
    "confident errors first: .csv and .tsv are tables, others JSONL.",
)
@click.option(
    "--report",
    "report_file",
    type=click.Path(dir_okay=False),
    help="Where the scores of all labels, the confusion matrix and the calibration go, as JSON.",
)
@click.option(
    "--confusion-matrix",
    "chart",
    type=click.Path(dir_okay=False),
    help="Draw the confusion matrix here, as .png, .svg or .pdf (needs the extra viz).",
)
@option_flags(OpeningOptions)
@option_flags(DataOptions, exclude=["max_train_samples", "validation_fraction"])
@settings_flags
def evaluate(
    directory: Path,
    data: tuple[str, ...],
    output_file: str | None,
    report_file: str | None,
    chart: str | None,
    **flags: Any,
) -> dict[str, Any]:
    """Test the model in DIRECTORY on labelled data.

    Of tasks with labels this prints precision, recall, F1 and support of each label (of entities
    each type, of relations each relation), what was taken for what, and the calibration.
    """
    with usage_errors():
        opened, how = opened_by(directory, flags)
        options = DataOptions(**flags_given(DataOptions, flags))
    outputs = {"--output": output_file, "--report": report_file, "--confusion-matrix": chart}
    _check_outputs(opened, outputs)
    examples = read(list(data), type(opened), options, told="data", remembered=opened.reading)
    for flag, path in outputs.items():  # globs are files by now
        refuse_overwriting(path, getattr(examples, "source", data), "--data", flag)
    check_known(opened, "data", examples)
    start = time.perf_counter()
    metrics, report = opened.judge(examples, how.batch_size)
    seconds = time.perf_counter() - start
    tell_cut("data", opened, len(examples))
    for name, value in metrics.items():
        echo(f"{name:24} {value:10.4f}")
    echo(f"{len(examples)} examples, {seconds:.1f} s")
    if report is not None:
        echo(f"\n{report.text(shutil.get_terminal_size((_WIDTH, 24)).columns)}")
        _write(report, output_file, report_file, chart)
        metrics = metrics if report.ece is None else {**metrics, "ece": report.ece}
    return {
        "task": opened.name,
        "output_dir": str(directory),
        "examples": len(examples),
        "cut": opened.cut,
        "skipped_lines": getattr(examples, "skipped", 0),
        "seconds": round(seconds, 3),
        **{f"eval_{name}": value for name, value in metrics.items()},
    }


def _check_outputs(task: Task, outputs: Mapping[str, str | None]) -> None:
    """Wrong usage where a file is wanted that cannot be written, before anything is computed."""
    for flag, path in outputs.items():
        if path is None:
            continue
        if not task.reports:
            raise click.UsageError(f"{flag}: has no effect on {task.name}; leave it out")
        if not Path(path).absolute().parent.is_dir():
            raise click.UsageError(f"{flag}: got {short(path)}, expected a file in a directory")
    if outputs["--confusion-matrix"] is not None and not runtime.is_installed("matplotlib"):
        raise click.UsageError(
            "--confusion-matrix: needs matplotlib; pip install 'plainformer[viz]'"
        )


def _write(report: Report, output: str | None, figures: str | None, chart: str | None) -> None:
    """The files that were asked for, and what is in them."""
    if chart is not None and report.confusion is None:
        raise click.UsageError("--confusion-matrix: the model's answers are not one label each")
    if output is not None:
        rows = report.rows()
        with output_of(output) as file:
            write_rows(file, output, rows)
        errors = sum(not one.correct for one in report.verdicts)
        told = "the farthest off first" if report.errors is not None else f"{errors} errors first"
        echo(f"{output}: {len(rows)} answers, {told}")
    if figures is not None:
        write_json_atomic(figures, report.as_dict())
    if chart is not None and report.confusion is not None:
        draw_confusion(*report.confusion, chart)
