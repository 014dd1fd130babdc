"""Second half of `quickstart`: few labels, and what pre-training is worth for them.

The task is one that every Python has: which module does this docstring come from, by its first
paragraph? Those that name one of the modules are left out, and so are short ones. Docstrings of
validation never enter the text of pre-training; those of training do, without their labels.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoints.atomic import write_bytes_atomic
from ..data import TextExample
from ..errors import DataError
from ..tasks import finetune
from .clock import Clock
from .corpus import by_digest, module_summaries

# Packages and modules that are in every Python from 3.10 on, with docstrings to spare.
MODULES = (
    "asyncio", "email", "inspect", "ipaddress", "logging", "mailbox", "multiprocessing", "tarfile",
)  # fmt: skip
TASK = "text-classification"
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


def pretrained(
    task: DocstringTask, directory: Path, seed: int, clock: Clock, device: str | None = None
) -> dict[str, Any]:
    """Fine-tune the model of `directory` into `directory/classifier`; its figures."""
    train, validation = map(str, task.write(directory / "docstrings"))
    how = {"seed": seed, "device": device, "callbacks": clock.limits(0.5), **TRAINING}
    out = directory / "classifier"
    return finetune(TASK, directory, train, validation, output_dir=out, **how).metrics


def from_scratch(
    task: DocstringTask, directory: Path, seed: int, clock: Clock, device: str | None = None
) -> dict[str, Any]:
    """The same from new weights, into `directory/scratch`; its figures."""
    config, out = directory / "config.json", directory / "scratch"
    how = {
        "seed": seed, "device": device, "callbacks": clock.limits(1.0),
        "tokenizer": str(directory), **TRAINING,
    }  # fmt: skip
    return finetune(TASK, config, task.train, task.validation, output_dir=out, **how).metrics
