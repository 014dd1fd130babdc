"""`finetune`: from a checkpoint and a file of examples to a model that is put to use.

    result = pf.finetune("text-classification", "all-MiniLM", "train.jsonl", "validation.jsonl",
                         output_dir="out", learning_rate=2e-4, num_train_epochs=2)
    pf.pipeline("text-classification", "out")("a charming film")

The model is tested before and after. What is in `output_dir` in the end is the best model, ready
for `pipeline`, or to be fine-tuned again when more data arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..options import documented
from ..training import TrainerCallback, TrainingArguments
from ..training.checkpoint import claim_directory
from ..training.sweep import Sweep, Values, combinations
from .arguments import OPTIONS
from .directory import open_task
from .registry import task_class
from .result import FineTuneResult
from .run import FineTuning


@documented(*OPTIONS, TrainingArguments)
def finetune(
    task: str,
    model: str | Path | Mapping[str, Any],
    train: Any,
    validation: Any = None,
    test: Any = None,
    *,
    output_dir: str | Path,
    callbacks: Iterable[TrainerCallback | type[TrainerCallback]] = (),
    sweep: Values | None = None,
    **options: Any,
) -> FineTuneResult:
    """Fine-tune a model for a task.

    Parameters
    ----------
    task : such as "text-classification" or "ner"
    model : a Hugging Face directory, one that `finetune` wrote, or a configuration to start from
        nothing (a config.json, or its contents)
    train, validation, test : files or globs, or lists of `data.examples` or of objects with the
        same fields ({"text": ..., "label": ...}). The model is tested on validation and test
        before and after; validation also decides which model is best
    output_dir : where checkpoints, logs and at last the model go
    callbacks : of `Trainer`
    sweep : options and the values of each that are tried, {"learning_rate": [1e-4, 2e-4]}, every
        combination in a run of its own in output_dir/sweep; the best on validation data is kept
    options : those listed below, and the task's own settings (`Task.settings_class`). With
        validation data, models are evaluated and saved every epoch and the best by the task's
        metric is kept, unless the options say otherwise

    Raises
    ------
    ConfigError : an unknown option, a value that is not allowed, an option without effect
    DataError : bad data, with file and line
    CheckpointError : a model that cannot be read, or does not fit; another run is writing into
        output_dir
    NonFiniteError : training diverged
    """
    kind, given = task_class(task), (train, validation, test)

    def prepared(directory: str | Path, how: Mapping[str, Any]) -> FineTuning:
        return FineTuning(kind, model, directory, validation is not None, how)

    def tune(run: FineTuning) -> FineTuneResult:
        with claim_directory(run.args):
            run.read(*given)
            run.build()
            return run.run(callbacks)

    if sweep is None:
        return tune(prepared(output_dir, options))
    if validation is None and options.get("validation_fraction") is None:
        raise ConfigError("sweep: needs validation data, which say what is best")
    runs = combinations(sweep, options)
    for chosen in runs:  # what is not allowed is told before anything is trained
        prepared(output_dir, {**options, **chosen})

    def train_one(directory: Path, how: dict[str, Any]) -> tuple[FineTuneResult, TrainingArguments]:
        run = prepared(directory, how)
        return tune(run), run.args

    metrics, result = Sweep(output_dir, runs, options).run(train_one)
    if result is None:
        return FineTuneResult(open_task(output_dir), metrics)
    result.metrics = metrics
    return result
