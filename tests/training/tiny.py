"""A model, data and run small enough to train hundreds of times in a test suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from plainformer import kernels
from plainformer.models import GPT2Config, GPT2LMHeadModel
from plainformer.training import Trainer, TrainingArguments

VOCABULARY = 13
CONTEXT = 8


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, 7]))


def tiny_model(seed: int = 0, **config: Any) -> GPT2LMHeadModel:
    """Two layers of width 16, dropout 0.1; weights from `seed`, large enough to matter."""
    sizes = {"vocab_size": VOCABULARY, "n_positions": CONTEXT, "n_embd": 16, "n_layer": 2,
             "n_head": 2}  # fmt: skip
    model = GPT2LMHeadModel(GPT2Config(**{**sizes, **config}))
    rng = generator(seed)
    for name, array in model.state_dict().items():
        values = rng.standard_normal(array.shape) * 0.2 + (".ln_" in name)
        dict(model.named_parameters())[name].assign(values.astype(array.dtype))
    return model


def rows(count: int, seed: int = 1) -> list[dict[str, np.ndarray]]:
    """Token rows of 3 to 8 that mostly count upwards; some labels are ignored."""
    rng = generator(seed)
    examples = []
    for _ in range(count):
        length = int(rng.integers(3, CONTEXT + 1))
        ids = (rng.integers(VOCABULARY) + np.arange(length)) % VOCABULARY
        labels = np.where(rng.random(length) < 0.2, -100, ids)
        examples.append({"input_ids": ids.astype(np.int32), "labels": labels.astype(np.int32)})
    return examples


def tiny_args(output_dir: Path, **options: Any) -> TrainingArguments:
    """Ten updates of two batches each, five an epoch; nothing saved before the end."""
    defaults: dict[str, Any] = {
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-2,
        "logging_steps": 2,
        "disable_tqdm": True,
    }
    if "num_train_epochs" not in options:
        defaults["max_steps"] = 10
    return TrainingArguments(str(output_dir), **{**defaults, **options})


def tiny_trainer(output_dir: Path, *, callbacks: Any = (), **options: Any) -> Trainer:
    model = tiny_model()
    args = tiny_args(output_dir, **options)
    return Trainer(model, args, rows(37), rows(9, seed=2), callbacks=callbacks)


def weights(model: Any) -> dict[str, bytes]:
    """Every parameter as bytes."""
    return {name: kernels.asnumpy(array).tobytes() for name, array in model.state_dict().items()}


def log_of(output_dir: Path) -> list[dict[str, Any]]:
    """The records of log.jsonl."""
    return [json.loads(line) for line in (output_dir / "log.jsonl").read_text().splitlines()]


def tree(output_dir: Path) -> dict[str, bytes]:
    """Every file of a run that must be reproducible, with its bytes."""
    files = (p for p in output_dir.rglob("*") if p.is_file() and p.name != "timing.jsonl")
    return {p.relative_to(output_dir).as_posix(): p.read_bytes() for p in files}
