"""Flags of training together, on every family and head: recomputation changes no byte.

Options that are right alone may meet in a way that nobody tried. Each pair of values of two options
occurs for every family; nightly, for every head of it.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from plainformer.models import MODELS
from plainformer.nn import LoraConfig, add_lora
from plainformer.training import Trainer, TrainingArguments
from tests.models.tiny import batch_for, make, tasks_of

from .tiny import weights

OPTIONS = {
    "bf16": (False, True),
    "gradient_accumulation_steps": (1, 2, 3),
    "label_smoothing_factor": (0.0, 0.1),
    "dropout": (0.3, 0.0),
    "freeze": (None, "embeddings", "first layer", "last layer"),
    "lora": (False, True),
    "optim": ("adamw", "sgd"),
}
FIRST = {"gpt2": "h.[0]", "t5": "block.[0]", "albert": "albert_layer_groups.[0]",
         **dict.fromkeys(("bert", "deberta-v2", "distilbert", "electra", "mpnet", "roberta",
                          "xlm-roberta"), "layer.[0]")}  # fmt: skip
WALKED = [(f, task) for f in MODELS for task in tasks_of(f) if task != "feature-extraction"]


def pairwise(options):
    """Rows in which every two values of two options meet at least once, a greedy choice."""
    names = list(options)
    places = list(itertools.combinations(range(len(names)), 2))
    rows = list(itertools.product(*options.values()))
    missing = {(i, j, row[i], row[j]) for row in rows for i, j in places}
    while missing:
        best = max(rows, key=lambda row: sum((i, j, row[i], row[j]) in missing for i, j in places))
        missing -= {(i, j, best[i], best[j]) for i, j in places}
        yield dict(zip(names, best))


ROWS = list(pairwise(OPTIONS))


def globs(family, word):
    if word is None:
        return None
    if word == "embeddings":
        names = [name for name, _ in make(family, None).named_parameters()]
        return [name for name in names if "embed" in name or "shared" in name or ".wte" in name]
    layer = FIRST.get(family, "layers.[0]")
    return [layer if word == "first layer" else layer.replace("0", "1")]


def data(task):
    """Rows of several lengths, one of them a single token, padded to one width."""
    batch = batch_for(task, np.random.default_rng(5), lengths=(7, 2, 6, 1, 4))
    if task == "relation-extraction":
        batch |= {"entity_positions": np.zeros((5, 2), np.int64), "labels": np.arange(5) % 2}
    return [{name: array[i] for name, array in batch.items()} for i in range(5)]


def trained(family, task, folder, row, recomputes):
    """The weights and the figures after two updates."""
    row = dict(row)
    model, lora, freeze = make(family, task), row.pop("lora"), row.pop("freeze")
    if lora:
        add_lora(model, LoraConfig(r=2, lora_dropout=row["dropout"]))
    if not any(True for _ in dropouts(model)):
        row["dropout"] = None
    args = TrainingArguments(
        str(folder), max_steps=2, per_device_train_batch_size=2, save_strategy="no",
        logging_steps=1, learning_rate=1e-2, disable_tqdm=True, freeze=globs(family, freeze),
        activation_checkpointing=recomputes, **row,
    )  # fmt: skip
    trainer = Trainer(model, args, data(task))
    trainer.train()
    before = weights(make(family, task))
    after = weights(model)
    assert any(after[name] != before.get(name) for name in after)
    return after, trainer.state.log_history


def dropouts(model):
    return (module for module in model.modules() if hasattr(module, "set_probability"))


def walk(family, task, tmp_path, row):
    if task == "question-answering":  # spans have none
        row = {**row, "label_smoothing_factor": 0.0}
    kept = trained(family, task, tmp_path / "kept", row, False)
    assert trained(family, task, tmp_path / "recomputed", row, True) == kept


@pytest.mark.parametrize("place", range(len(ROWS)))
@pytest.mark.parametrize("family", MODELS)
def test_recomputation_changes_no_byte(family, place, tmp_path):
    tasks = [task for own, task in WALKED if own == family]
    walk(family, tasks[place % len(tasks)], tmp_path, ROWS[place])


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize(("family", "task"), WALKED)
def test_recomputation_changes_no_byte_with_any_head(family, task, row, tmp_path):
    walk(family, task, tmp_path, row)


def test_every_pair_is_walked():
    for a, b in itertools.combinations(OPTIONS, 2):
        met = {(row[a], row[b]) for row in ROWS}
        assert met == set(itertools.product(OPTIONS[a], OPTIONS[b]))
