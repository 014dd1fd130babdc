"""Readers of what a fine-tuned model's directory and a run say: task.json, run files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from plainformer.cli._run_file import with_run_file
from plainformer.cli.finetune import finetune
from plainformer.data.text import Document
from plainformer.data.tokenizer import make_tokenizer, parse_spec
from plainformer.options import names_of
from plainformer.tasks import TASKS, open_task
from plainformer.tasks.arguments import OPTIONS, take_options
from plainformer.tasks.directory import TaskFiles
from plainformer.tasks.loading import Head, from_values
from plainformer.training import TrainingArguments
from tests.tasks import tiny

from .reader import Reader

# Settings that may ask for any number of tokens or texts: then writing takes what it takes.
_LENGTHS = ("max_new_tokens", "min_new_tokens", "max_target_length", "num_return_sequences")
_WRITTEN = 64


def _make_task(name: str, directory: Path) -> None:
    kind = TASKS[name]
    config, spec, examples = tiny.TASKS[name]
    parsed = parse_spec(spec)
    documents = [Document(text, "") for text in kind.texts(examples)]
    tokenizer = make_tokenizer(parsed, documents, "clm" if parsed.kind == "bpe" else "mlm")
    settings = kind.settings_for(kind.settings_class(), examples)
    kind.prepare_tokenizer(tokenizer, examples, kind.model_tasks[0], settings)
    labels = _labels(name, examples)
    model = from_values(kind, dict(config), tokenizer, Head(labels), 0, source="config").model
    model.save_pretrained(directory)
    TaskFiles(kind(tokenizer, model, settings)).save_pretrained(directory)


def _labels(name: str, examples: Any) -> list[str] | None:
    if not TASKS[name].labelled:
        return None
    if name == "token-classification":
        return sorted({tag for example in examples for tag in example.tags})
    return sorted({example.label for example in examples})


def _open_task(name: str, directory: Path) -> None:
    task = open_task(directory)
    if all((getattr(task.settings, one, None) or 0) <= _WRITTEN for one in _LENGTHS):
        list(task.predict(tiny.TASKS[name][2][:1]))


def _read_run(directory: Path) -> None:
    flags = dict.fromkeys(_FLAGS)
    with click.Context(finetune):
        values = with_run_file(flags, directory / "run.yaml")
    for kind in OPTIONS:
        take_options(kind, values)
    take_options(TrainingArguments, {**values, "output_dir": directory})


_FLAGS = [str(p.name) for p in finetune.params if isinstance(p, click.Option)]
_RUN = """\
model: dir
train: [a.jsonl, b.jsonl]
learning_rate: 0.001
warmup_steps: 0.1
max_steps: 10
freeze: [embeddings]
lr_scheduler_kwargs: {power: 2}
lr_scheduler_type: polynomial
save_strategy: "no"
bf16: true
class_weights: {a: 1.5}
"""

READERS: dict[str, Reader] = {
    **{
        f"task/{name}": Reader(
            partial(_make_task, name),
            partial(_open_task, name),
            ["task.json"],
            tuple(names_of(TASKS[name].settings_class)),
        )
        for name in tiny.TASKS
    },
    "run": Reader(
        lambda directory: (directory / "run.yaml").write_text(_RUN),
        _read_run,
        names=_FLAGS,
    ),
}
