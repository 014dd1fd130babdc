"""`plainformer finetune TASK`: a pretrained model and a file of examples to a model in use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..tasks import finetune as run_finetune
from ..tasks import task_class
from ..tasks.strategy import HEAD_LEARNING_RATE
from ..training import TrainingArguments
from ._common import Command, FilesOption, echo, required, usage_errors
from ._option_flags import option_flags
from ._run_file import run_file_option, with_run_file
from ._sweep_flag import sweep_option
from ._task_flags import finetune_flags

REQUIRED = ("model", "train", "output_dir")
FILES = ("train", "validation", "test", "replay", "replay_validation")
_WATCHED = "with validation data "
DEFAULTS = {  # see `training_arguments`
    "learning_rate": f"{TrainingArguments.learning_rate}, with --head-only {HEAD_LEARNING_RATE}",
    "eval_strategy": f"no, {_WATCHED}epoch",
    "save_strategy": f"steps, {_WATCHED}epoch",
    "load_best_model_at_end": f"off, {_WATCHED}on",
}
EPILOG = (
    "Data is JSONL, CSV, TSV, CoNLL columns, SQuAD JSON, TMX, a workbook or Parquet, "
    "packed or not, told by its beginning. TASK is "
    "text-classification, token-classification (ner), relation-extraction, question-answering, "
    "multiple-choice, sentence-similarity, translation, summarization, text2text-generation, "
    "dialogue or language-modeling (text-generation)."
)


@click.command(cls=Command, epilog=EPILOG)
@click.argument("task", metavar="TASK")
@click.option("--model", help="A directory, or a config.json to start from nothing.")
@click.option("--train", cls=FilesOption, help="Files or globs to learn from.")
@click.option("--validation", cls=FilesOption, help="Files or globs that decide which is best.")
@click.option("--test", cls=FilesOption, help="Files or globs to test on, before and after.")
@click.option("--output-dir", help="Where checkpoints and logs go, and at last the model.")
@click.option("--replay", cls=FilesOption, help="Old examples to mix in, so that old skills stay.")
@click.option(
    "--replay-validation", cls=FilesOption, help="Old examples to test on, before and after."
)
@finetune_flags
@sweep_option
@run_file_option
@option_flags(TrainingArguments, exclude=("output_dir", "max_length"), defaults=DEFAULTS)
def finetune(task: str, run_file: Path | None, **flags: Any) -> dict[str, Any]:
    """Fine-tune a model for TASK, test it before and after, and write it ready for use."""
    with usage_errors():
        values = with_run_file(flags, run_file)
        required(values, *REQUIRED)
        kind = task_class(task)
    for name in FILES:
        if name in values:
            values[name] = as_list(values[name])
    with usage_errors():
        result = run_finetune(kind.name, **values)
    echo(f"\n{result}")
    return result.metrics


def as_list(paths: Any) -> list[str]:
    """A run file may give one path where the command line gives several."""
    return [paths] if isinstance(paths, str) else list(paths)
