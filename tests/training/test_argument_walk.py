"""Every field of TrainingArguments does something that can be seen.

For each field two runs differ in it alone; the difference must show in the weights, the log, the
files, the bars on standard error, the batches, the updates made or the memory. A field added
without a case fails `test_every_field_has_a_case`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest

from plainformer import runtime
from plainformer.errors import ConfigError
from plainformer.training import Trainer, TrainerCallback, TrainingArguments
from tests.device import HOST, cuda_is

from .tiny import log_of, rows, tiny_args, tiny_model, tree, weights


@dataclass
class Case:
    """Another value of the field, what shows it, and options both runs need."""

    value: Any
    sees: str
    beside: dict[str, Any] = field(default_factory=dict)


EVALUATE = {"eval_strategy": "steps", "eval_steps": 1}
BEST = {**EVALUATE, "load_best_model_at_end": True, "learning_rate": 0.3, "max_grad_norm": 0.0}
FIRST_IS_BEST = {"greater_is_better": True, "save_strategy": "best"}  # the highest loss
SMALL_STEPS = {"learning_rate": 1e-3}  # every evaluation is a little better than the last

CASES = {
    "output_dir": Case("elsewhere", "place"),
    "overwrite_output_dir": Case(True, "raises"),
    "per_device_train_batch_size": Case(3, "weights"),
    "per_device_eval_batch_size": Case(2, "batches", EVALUATE),
    "gradient_accumulation_steps": Case(1, "weights"),
    "num_train_epochs": Case(1.5, "log", {"num_train_epochs": 1.0}),
    "max_steps": Case(7, "log"),
    "max_length": Case(4, "weights"),
    "optim": Case("sgd", "weights"),
    "learning_rate": Case(2e-2, "weights"),
    "lr_scheduler_type": Case("cosine", "weights"),
    "lr_scheduler_kwargs": Case({"power": 2}, "weights", {"lr_scheduler_type": "polynomial"}),
    "warmup_steps": Case(3, "weights"),
    "min_lr": Case(5e-3, "weights"),
    "weight_decay": Case(0.5, "weights"),
    "adam_beta1": Case(0.5, "weights"),
    "adam_beta2": Case(0.5, "weights"),
    "adam_epsilon": Case(0.1, "weights"),
    "momentum": Case(0.9, "weights", {"optim": "sgd"}),
    "max_grad_norm": Case(0.01, "weights", {"optim": "sgd"}),
    "label_smoothing_factor": Case(0.2, "weights"),
    "bf16": Case(True, "weights"),
    "activation_checkpointing": Case(True, "memory", {"model": {"n_layer": 8},
                                                     "per_device_train_batch_size": 32}),
    "device": Case("cuda", "device"),
    "dropout": Case(0.5, "weights"),
    "freeze": Case(["wte"], "weights"),
    "train_only": Case(["h.0"], "weights"),
    "logging_steps": Case(3, "log"),
    "eval_strategy": Case("epoch", "log"),
    "eval_steps": Case(4, "log", {"eval_strategy": "steps"}),
    "disable_tqdm": Case(False, "bars"),
    "report_to": Case("tensorboard", "files"),
    "save_strategy": Case("epoch", "files"),
    "save_steps": Case(3, "files"),
    "save_total_limit": Case(4, "files", {"save_steps": 1}),
    "load_best_model_at_end": Case(False, "weights", {**BEST, **FIRST_IS_BEST}),
    "metric_for_best_model": Case("spread", "weights", BEST),
    "greater_is_better": Case(True, "weights", BEST),
    "early_stopping_patience": Case(2, "log", {**EVALUATE, "early_stopping_patience": 1,
                                               "early_stopping_threshold": 9.0}),
    "early_stopping_threshold": Case(9.0, "log", {**EVALUATE, **SMALL_STEPS,
                                                  "early_stopping_patience": 1}),
    "seed": Case(1, "weights"),
    "allow_changed_inputs": Case(True, "raises"),
    "resume_from_checkpoint": Case(True, "updates", {"before": {"save_steps": 4},
                                                      "overwrite_output_dir": True}),
}  # fmt: skip


OWN_TEST = {"place", "raises", "memory"}  # fields that a test of their own looks at


class Watch(TrainerCallback):
    updates = 0

    def on_step_end(self, args, state, control):
        self.updates += 1


def spread(prediction):
    """A metric with a taste of its own: how far apart the logits are."""
    return {"spread": float(prediction.predictions.std())}


@pytest.fixture(autouse=True)
def _cuda():
    """A GPU is the double of `tests/device.py`."""
    with cuda_is(HOST):
        yield


def run(output_dir, capsys, **options):
    """Train once and note everything that a field could change."""
    model = tiny_model(**options.pop("model", {}))
    before = options.pop("before", None)
    if before is not None:
        Trainer(tiny_model(), tiny_args(output_dir, **before), rows(37)).train()
    args, watch, sizes = tiny_args(output_dir, **options), Watch(), []
    trainer = Trainer(
        model, args, rows(37), rows(9, seed=2), callbacks=[watch], compute_metrics=spread
    )
    collate = trainer.collate
    trainer.collate = lambda examples: sizes.append(len(examples)) or collate(examples)
    capsys.readouterr()
    runtime.reset_peak_memory()
    trainer.train()
    return {
        "updates": watch.updates,
        "batches": sizes,
        "weights": weights(model),
        "log": log_of(output_dir),
        "files": sorted(tree(output_dir)),
        "bars": capsys.readouterr().err.count("\r"),
        "device": str(model.device),
        "memory": runtime.memory_stats()["peak_bytes"],
    }


def test_every_field_has_a_case():
    assert set(CASES) == {f.name for f in dataclasses.fields(TrainingArguments)}


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.sees not in OWN_TEST])
def test_a_changed_value_is_seen(name, tmp_path, capsys):
    if name == "report_to":
        pytest.importorskip("tensorboardX")
    case = CASES[name]
    base = run(tmp_path / "base", capsys, **case.beside)
    changed = run(tmp_path / "changed", capsys, **{**case.beside, name: case.value})
    assert changed[case.sees] != base[case.sees]


def test_a_used_directory_is_refused_unless_overwritten(tmp_path, capsys):
    run(tmp_path / "a", capsys)
    with pytest.raises(ConfigError, match="overwrite_output_dir"):
        run(tmp_path / "a", capsys)
    assert run(tmp_path / "a", capsys, overwrite_output_dir=True)["updates"] == 10


def test_output_dir_is_where_everything_is_written(tmp_path, capsys):
    run(tmp_path / "a", capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    run(tmp_path / "b", capsys)
    assert sorted(tree(tmp_path / "a")) == sorted(tree(tmp_path / "b"))


def test_activation_checkpointing_needs_less_memory_for_the_same_bytes(tmp_path, capsys):
    case = CASES["activation_checkpointing"]
    base = run(tmp_path / "base", capsys, **case.beside)
    changed = run(tmp_path / "changed", capsys, activation_checkpointing=True, **case.beside)
    assert changed["memory"] < 0.7 * base["memory"]
    assert changed["weights"] == base["weights"]


def test_two_equal_runs_differ_in_nothing_that_is_compared(tmp_path, capsys):
    first, second = (run(tmp_path / name, capsys, **BEST) for name in ("a", "b"))
    for what in ("updates", "batches", "weights", "log", "files", "bars"):
        assert first[what] == second[what]
