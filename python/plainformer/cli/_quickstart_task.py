"""Second half of `quickstart`: few labels, and what pre-training is worth for them.

The task is one that every Python has: which module does this docstring come from, by its first
paragraph? Those that name one of the modules are left out, and so are short ones. Docstrings of
validation never enter the text of pre-training; those of training do, without their labels.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoints.atomic import write_bytes_atomic
from ..data import TextExample
from ..data.corpus import by_digest, module_summaries
from ..errors import DataError
from ..pipelines import pipeline
from ..tasks import finetune
from ..training import TimeLimitCallback, TrainerCallback
from ._common import echo

# Packages and modules that are in every Python from 3.10 on, with docstrings to spare.
MODULES = (
    "asyncio",
    "email",
    "inspect",
    "ipaddress",
    "logging",
    "mailbox",
    "multiprocessing",
    "tarfile",
)
LABELS = 8  # a module to learn from
HELD_BACK = 40  # a module to test on
SHORTEST = 25  # characters
# The same for both models. Nothing is chosen on validation: the last model is the one tested.
TRAINING: dict[str, Any] = {
    "per_device_train_batch_size": 8,
    "num_train_epochs": 20,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 20,
    "dropout": 0.2,
    "logging_steps": 40,
    "eval_strategy": "no",
    "save_strategy": "no",
    "overwrite_output_dir": True,
}


class Clock:
    """What is left of `--max-seconds`, if there is such a limit."""

    def __init__(self, max_seconds: float | None):
        self._end = None if max_seconds is None else time.monotonic() + max_seconds

    def left(self) -> float | None:
        """Seconds, 0 once they are over; None without a limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.left() == 0.0

    def limits(self, share: float) -> list[TrainerCallback]:
        """Callbacks that end a training within this share of what is left."""
        left = self.left()
        return [] if left is None else [TimeLimitCallback(share * left)]


@dataclass(frozen=True)
class DocstringTask:
    """Labelled docstrings to learn from, and as many others a module to test on."""

    train: list[TextExample]
    validation: list[TextExample]

    def held_back(self) -> set[str]:
        """The texts that no model may see before it is tested."""
        return {example.text for example in self.validation}

    def write(self, directory: Path) -> tuple[Path, Path]:
        """`train.jsonl` and `validation.jsonl`, as `finetune` reads them."""
        directory.mkdir(parents=True, exist_ok=True)
        paths = directory / "train.jsonl", directory / "validation.jsonl"
        for path, examples in zip(paths, (self.train, self.validation)):
            lines = (json.dumps({"text": e.text, "label": e.label}) + "\n" for e in examples)
            write_bytes_atomic(path, "".join(lines).encode())
        return paths


def docstring_task(root: str | Path | None = None) -> DocstringTask:
    """The task, the same for every seed: which docstrings are held back depends on them alone.

    Raises
    ------
    DataError : this Python has too few docstrings of one of the modules
    """
    task = DocstringTask([], [])
    wanted = LABELS + HELD_BACK
    for module, summaries in module_summaries(MODULES, root).items():
        texts = by_digest(text for text in summaries if is_fair(text))
        if len(texts) < wanted:
            raise DataError(
                f"this Python has {len(texts)} docstrings of {module} to use, fewer than {wanted}"
            )
        examples = [TextExample(text, module) for text in texts[:wanted]]
        task.validation.extend(examples[:HELD_BACK])
        task.train.extend(examples[HELD_BACK:])
    return task


def is_fair(text: str) -> bool:
    """Whether a text says something, and not the name of a module."""
    return len(text) >= SHORTEST and not re.search("|".join(MODULES), text, re.IGNORECASE)


def learn_modules(
    task: DocstringTask, directory: Path, seed: int, clock: Clock
) -> dict[str, float]:
    """Fine-tune the model of `directory`, and the same without pre-training; compare and show.

    Returns what the command adds to its `--json`.
    """
    train, validation = task.write(directory / "docstrings")
    echo(f"   {LABELS} labelled docstrings a module, {len(task.validation)} others to test on.")
    echo("   The others were kept out of the text above. None of them names a module.\n")
    pretrained = finetune(
        "text-classification",
        directory,
        str(train),
        str(validation),
        output_dir=directory / "classifier",
        callbacks=clock.limits(0.5),
        seed=seed,
        **TRAINING,
    ).metrics
    echo("\n   Once more, from new weights instead of the pre-trained ones:")
    scratch = finetune(
        "text-classification",
        directory / "config.json",
        task.train,
        task.validation,
        output_dir=directory / "scratch",
        tokenizer=str(directory),
        callbacks=clock.limits(1.0),
        seed=seed,
        **TRAINING,
    ).metrics
    result = {
        "before_eval_accuracy": pretrained["before_eval_accuracy"],
        "eval_accuracy": pretrained["eval_accuracy"],
        "scratch_eval_accuracy": scratch["eval_accuracy"],
    }
    show_accuracies(result, task)
    show_answers(directory / "classifier", task)
    return result


def show_accuracies(result: dict[str, float], task: DocstringTask) -> None:
    """The three figures, a line each, with what guessing gives."""
    rows = {
        "before fine-tuning": "before_eval_accuracy",
        "after": "eval_accuracy",
        "after, without pre-training": "scratch_eval_accuracy",
    }
    echo(f"\n   accuracy on {len(task.validation)} docstrings (guessing: {1 / len(MODULES):.1%})")
    for words, name in rows.items():
        echo(f"   {words:<28}{result[name]:6.1%}")


def show_answers(model: Path, task: DocstringTask) -> None:
    """What the fine-tuned model says of one docstring of each of the first and last module."""
    classify = pipeline("text-classification", model)
    for example in (task.validation[0], task.validation[-1]):
        (best,) = classify(example.text)
        echo(f"\n   {example.text!r}")
        echo(f"   {best['label']} ({best['score']:.0%}); it is from {example.label}")
