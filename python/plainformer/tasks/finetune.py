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

from ..options import documented
from ..training import TrainerCallback, TrainingArguments
from ..training.checkpoint import claim_directory
from .arguments import OPTIONS
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
    run = FineTuning(task_class(task), model, output_dir, validation is not None, options)
    with claim_directory(run.args):
        run.read(train, validation, test)
        run.build()
        return run.run(callbacks)
