"""Every training argument does in `finetune` what it does in `Trainer`: something that can be seen.

And what a task's own loss has to know of them (label smoothing, class weights, dropout) reaches the
loss of every task.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from plainformer import kernels
from plainformer.data import TextExample
from plainformer.errors import ConfigError
from plainformer.tasks import TASKS as KINDS
from plainformer.tasks.task import Task
from plainformer.training import TrainingArguments

from .tiny import DECODER, ENCODER, SEQ2SEQ, TASKS, TEXTS, padded, tune, weights


@dataclass
class Case:
    """Another value of an argument, and what both runs need beside it."""

    value: Any
    beside: dict[str, Any] = field(default_factory=dict)


EPOCHS = {"max_steps": -1, "num_train_epochs": 2.0}
STEPS = {"eval_strategy": "steps", "eval_steps": 1}
TURNED = [TextExample(e.text, "neg" if e.label == "pos" else "pos") for e in TEXTS]
# Validation that gets worse and worse, by the loss that decides.
WORSE = {**STEPS, "max_steps": 6, "validation": TURNED, "metric_for_best_model": "loss"}
BETTER = {**STEPS, "max_steps": 30, "metric_for_best_model": "loss"}
CASES = {
    "overwrite_output_dir": Case(True),
    "per_device_train_batch_size": Case(3),
    "per_device_eval_batch_size": Case(2),
    "gradient_accumulation_steps": Case(2),
    "num_train_epochs": Case(1.5, {"max_steps": -1, "num_train_epochs": 1.0}),
    "max_steps": Case(3),
    "optim": Case("sgd"),
    "learning_rate": Case(2e-2),
    "lr_scheduler_type": Case("constant"),
    "lr_scheduler_kwargs": Case({"power": 2}, {"lr_scheduler_type": "polynomial"}),
    "warmup_steps": Case(2),
    "min_lr": Case(5e-3),
    "weight_decay": Case(0.5),
    "adam_beta1": Case(0.5),
    "adam_beta2": Case(0.5),
    "adam_epsilon": Case(0.1),
    "momentum": Case(0.9, {"optim": "sgd"}),
    "max_grad_norm": Case(0.01, {"optim": "sgd"}),
    "label_smoothing_factor": Case(0.2),
    "bf16": Case(True),
    "activation_checkpointing": Case(True),
    "dropout": Case(0.5),
    "freeze": Case(["bert.embeddings"]),
    "train_only": Case(["classifier"]),
    "logging_steps": Case(2),
    "eval_strategy": Case("no", {"max_steps": 4}),
    "eval_steps": Case(2, STEPS),
    "disable_tqdm": Case(False),
    "report_to": Case("tensorboard"),
    "save_strategy": Case("best", EPOCHS),
    "save_steps": Case(
        1, {"save_strategy": "steps", "eval_strategy": "no", "save_total_limit": 9}
    ),
    "save_total_limit": Case(2, {**EPOCHS, "load_best_model_at_end": False}),
    "load_best_model_at_end": Case(False, {**STEPS, "max_steps": 6, "validation": TURNED}),
    "metric_for_best_model": Case("accuracy", {**BETTER, "greater_is_better": True}),
    "greater_is_better": Case(True, WORSE),
    "early_stopping_patience": Case(1, WORSE),
    "early_stopping_threshold": Case(9.0, {**STEPS, "metric_for_best_model": "loss",
                                           "learning_rate": 1e-3, "max_steps": 9,
                                           "early_stopping_patience": 1}),
    "seed": Case(1),
    "resume_from_checkpoint": Case(True),
}  # fmt: skip
# max_length is a setting of the task, see test_option_walk.py; output_dir is where `seen` looks;
# allow_changed_inputs is in test_resume.py, report_to in tests/training/test_reporting.py.
OTHERS = {"max_length", "output_dir", "allow_changed_inputs", "report_to", "device"}


def test_every_argument_has_a_case():
    assert set(CASES) | OTHERS == {f.name for f in dataclasses.fields(TrainingArguments)}


@pytest.fixture
def batches(monkeypatch):
    """How many examples each batch had."""
    sizes: list[int] = []
    own = Task.collate

    def counting(self, inputs):
        sizes.append(len(inputs))
        return own(self, inputs)

    monkeypatch.setattr(Task, "collate", counting)
    return sizes


def seen(directory, batches, capsys, **options):
    """All that an argument could change."""
    batches.clear()
    capsys.readouterr()
    try:
        result = tune("text-classification", directory, **options)
    except ConfigError:
        return "refused"
    files = {str(p.relative_to(directory)) for p in directory.rglob("*")}
    figures = {k: v for k, v in result.metrics.items() if "second" not in k and k != "output_dir"}
    recomputes = result.task.model.bert.encoder.recomputes
    log = (directory / "log.jsonl").read_text()
    bars = capsys.readouterr().err.count("\r")
    return weights(directory), files, figures, log, list(batches), bars, recomputes


@pytest.mark.parametrize("name", CASES)
def test_the_argument_does_something(name, tmp_path, batches, capsys):
    if name == "report_to":
        pytest.importorskip("tensorboardX")
    case = CASES[name]
    with_it, without = tmp_path / "with", tmp_path / "without"
    if name in ("overwrite_output_dir", "resume_from_checkpoint"):  # of a directory that is used
        for directory in (with_it, without):
            seen(directory, batches, capsys)
    base = seen(without, batches, capsys, **case.beside)
    changed = seen(with_it, batches, capsys, **{**case.beside, name: case.value})
    assert changed != "refused"
    assert changed != base


def test_two_equal_runs_differ_in_nothing_that_is_seen(tmp_path, batches, capsys):
    first, second = (seen(tmp_path / n, batches, capsys, **WORSE) for n in ("a", "b"))
    assert first == second


def changes(task, tmp_path, plain=None, **options):
    """Whether the weights after two steps are others than without these options."""
    usual = {"max_steps": 2, "eval_strategy": "no", **(plain or {})}
    tune(task, tmp_path / "plain", **usual)
    tune(task, tmp_path / "other", **{**usual, **options})
    return weights(tmp_path / "plain") != weights(tmp_path / "other")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "options",
    [
        {"label_smoothing_factor": 0.2},
        {"dropout": 0.5},
        {"optim": "sgd"},
        {"layerwise_lr_decay": 0.5},
        {"freeze_layers": 0},
        {"gradual_unfreezing": 1.0},
        {"lora_r": 2},
        {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 1},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_task_heeds_it(task, tmp_path, options):
    if "label_smoothing_factor" in options and not KINDS[task].smooths:
        with pytest.raises(ConfigError, match=f"label_smoothing_factor: has no effect on {task}"):
            tune(task, tmp_path / "out", **options)
        return
    plain = {k: v for k, v in options.items() if k == "per_device_train_batch_size"}
    short = {"max_length": 16} if task == "language-modeling" else {}  # else one block is all
    assert changes(task, tmp_path, plain | short, **options)


@pytest.mark.parametrize("task", [name for name, kind in KINDS.items() if kind.labelled])
def test_every_task_with_labels_heeds_class_weights(task, tmp_path):
    uneven = {"train": [*TASKS[task][2], TASKS[task][2][0]]}
    assert changes(task, tmp_path, uneven, class_weights="balanced")
    label = tune(task, tmp_path / "names", max_steps=1).task.labels.labels[0]
    assert changes(task, tmp_path / "one", class_weights={label: 7.0})


@pytest.mark.parametrize("task", [n for n, k in KINDS.items() if k.learns and not k.labelled])
def test_class_weights_of_a_task_without_labels_are_an_error(task, tmp_path):
    with pytest.raises(ConfigError, match=f"class_weights: {task} has no labels"):
        tune(task, tmp_path / "out", class_weights="balanced")


def test_class_weights_are_of_training_alone(tmp_path):
    plain, weighted = (
        tune("text-classification", tmp_path / name, **options).metrics["before_eval_loss"]
        for name, options in (("plain", {}), ("weighted", {"class_weights": {"pos": 7.0}}))
    )
    assert plain == weighted


def weighted_loss(task, examples, class_weights, smoothing):
    """The mean training loss in float64, label by label, with the model's own logits."""
    features = [f for own in task.encode(examples, labelled=True) for f in own]
    batch = task.collate([f.inputs for f in features])
    labels = np.asarray(batch.pop("labels"))
    logits = np.asarray(task.model(**batch).logits).astype(np.float64)
    total, count = 0.0, 0
    for row, label in zip(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)):
        if label == -100:
            continue
        logs = row - row.max() - np.log(np.exp(row - row.max()).sum())
        spread = -(class_weights * logs).mean()
        total += (1 - smoothing) * -class_weights[label] * logs[label] + smoothing * spread
        count += 1
    return total / count


@pytest.mark.parametrize("task", [name for name, kind in KINDS.items() if kind.labelled])
def test_the_weighted_and_smoothed_loss_is_the_formula(task, tmp_path):
    """torch's: weights multiply the target's term and the terms that smoothing adds."""
    made = tune(task, tmp_path / "out", max_steps=1).task
    examples = TASKS[task][2]
    own = np.linspace(0.5, 2.0, len(made.labels)).astype(np.float32)
    features = [f for one in made.encode(examples, labelled=True) for f in one]
    batch = made.collate([f.inputs for f in features])
    count = made.model.count_labels(batch)
    output = made.model(**batch, class_weight=own, label_smoothing=0.25, num_items_in_batch=count)
    expected = weighted_loss(made, examples, own.astype(np.float64), 0.25)
    assert float(np.asarray(output.loss)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("wanted", ["balanced", {"pos": 3, "neg": 0.5}], ids=str)
def test_training_learns_by_the_weights_that_it_tells(tmp_path, caplog, wanted):
    """The loss of the first step is the weighted one, over as many labels as there are."""
    few = TASKS["text-classification"][2][:7]  # 5 of pos, 2 of neg
    caplog.set_level("INFO", logger="plainformer")
    result = tune("text-classification", tmp_path, train=few, validation=None, eval_strategy="no",
                  max_steps=1, learning_rate=1e-12, per_device_train_batch_size=7,
                  class_weights=wanted)  # fmt: skip
    own = {"neg": 7 / 4, "pos": 7 / 10} if wanted == "balanced" else wanted
    values = np.array([own[name] for name in result.task.labels.labels])
    expected = weighted_loss(result.task, few, values, 0.0)
    assert result.metrics["train_loss"] == pytest.approx(expected, rel=1e-5)
    told = ", ".join(f"{k} {v:.4g}" for k, v in sorted(own.items(), key=lambda item: -item[1]))
    assert f"class weights: {told}" in caplog.messages


ROWS = {"text-classification": ENCODER, "token-classification": ENCODER, "translation": SEQ2SEQ,
        "summarization": DECODER, "question-answering": ENCODER, "multiple-choice": ENCODER,
        "relation-extraction": ENCODER}  # fmt: skip


@pytest.mark.parametrize("task", ROWS)
def test_no_padding_is_computed_in_training(task, tmp_path, monkeypatch):
    """The rows of every layer are the real tokens of the batch, however long the longest is."""
    made = tune(task, tmp_path / "out", max_steps=1).task
    examples = [*TASKS[task][2][:4]]
    features = [f for one in made.encode(examples, labelled=True) for f in one]
    batch = made.collate([f.inputs for f in features])
    computed: list[int] = []
    rows_of(monkeypatch, computed)
    losses = []
    for inputs in (batch, padded(batch, 9)):
        computed.append(0)
        losses.append(float(np.asarray(made.model.train()(**inputs).loss)))
    assert computed[0] == computed[1] > 0
    assert losses[0] == losses[1]


def rows_of(monkeypatch, computed):
    """Count the rows that go through matrix products."""
    own = kernels.linear

    def counting(x, *args, **options):
        computed[-1] += int(np.prod(x.shape[:-1]))
        return own(x, *args, **options)

    monkeypatch.setattr(kernels, "linear", counting)


def test_smoothing_is_for_training_alone(tmp_path):
    plain = tune("text-classification", tmp_path / "a", max_steps=1, learning_rate=1e-9)
    smooth = tune("text-classification", tmp_path / "b", max_steps=1, learning_rate=1e-9,
                  label_smoothing_factor=0.5)  # fmt: skip
    assert smooth.metrics["eval_loss"] == pytest.approx(plain.metrics["eval_loss"], abs=1e-6)
    assert smooth.metrics["train_loss"] != plain.metrics["train_loss"]
