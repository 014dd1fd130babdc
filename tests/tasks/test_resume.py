"""A fine-tuning that was stopped or killed goes on to the bytes of one that never was."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plainformer.data import TextExample
from plainformer.errors import ConfigError
from plainformer.training import TrainerCallback, TrainingInterrupted

from .tiny import TASKS, TEXTS, tune, weights

WEATHER = [TextExample(f"{w} and wind", "weather") for w in ("rain", "snow", "storm", "fog")]
SAME = {"steps", "epochs", "train_loss", "best_step", "parameters", "trainable_parameters"}


class StopAt(TrainerCallback):
    """Ctrl-C, or another signal, after some updates."""

    def __init__(self, step, number=signal.SIGINT):
        self.step, self.number = step, number

    def on_step_end(self, args, state, control):
        if state.global_step == self.step:
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    directory = tmp_path_factory.mktemp("first")
    tune("text-classification", directory, max_steps=2, eval_strategy="no")
    return directory


def figures(result):
    """What must not differ: all but times, speeds and places."""
    return {k: v for k, v in result.metrics.items() if k in SAME or "eval_" in k or "replay_" in k}


def assert_same(whole, cut, directory):
    assert figures(whole) == figures(cut)
    assert weights(directory / "whole") == weights(directory / "cut")
    logs = [(directory / name / "log.jsonl").read_bytes() for name in ("whole", "cut")]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("step", [2, 5])
@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"gradual_unfreezing": 0.5, "layerwise_lr_decay": 0.5},
        {"lora_r": 2, "lora_dropout": 0.1},
        {"head_only": True},
        {"model": "FIRST", "train": WEATHER, "replay": TEXTS, "replay_fraction": 2.0,
         "replay_validation": TEXTS},
        {"model": "FIRST", "train": WEATHER, "replay": TEXTS, "lora_r": 2},
        {"optim": "sgd", "momentum": 0.9, "gradient_accumulation_steps": 2},
        {"bf16": True, "class_weights": "balanced", "label_smoothing_factor": 0.1},
        {"early_stopping_patience": 1, "eval_strategy": "steps", "eval_steps": 1},
    ],
    ids=lambda extra: "-".join(extra) or "plain",
)  # fmt: skip
def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path, first, extra, step):
    options = {"max_steps": 6, "dropout": 0.1, "save_total_limit": None, **extra}
    if "model" in options:
        options["model"] = first
    if "early_stopping_patience" in extra:
        step = 1
    whole = tune("text-classification", tmp_path / "whole", **options)
    with pytest.raises(TrainingInterrupted):
        tune("text-classification", tmp_path / "cut", callbacks=[StopAt(step)], **options)
    cut = tune("text-classification", tmp_path / "cut", resume_from_checkpoint=True, **options)
    assert_same(whole, cut, tmp_path)
    if "lora_r" in extra:
        adapters = [
            (tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes()
            for name in ("whole", "cut")
        ]
        assert adapters[0] == adapters[1]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_goes_on_to_the_same_bytes(tmp_path, task):
    options = {"max_steps": 4, "dropout": 0.1}
    whole = tune(task, tmp_path / "whole", **options)
    with pytest.raises(TrainingInterrupted):
        tune(task, tmp_path / "cut", callbacks=[StopAt(3)], **options)
    cut = tune(task, tmp_path / "cut", resume_from_checkpoint=True, **options)
    assert_same(whole, cut, tmp_path)


KILLED = """
import signal, sys
from tests.tasks.test_resume import StopAt
from tests.tasks.tiny import tune
tune("token-classification", sys.argv[1], max_steps=6, dropout=0.1, save_strategy="steps",
     save_steps=2, eval_strategy="steps", eval_steps=2, callbacks=[StopAt(5, signal.SIGKILL)])
"""


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    """SIGKILL: nothing is said and nothing is saved at the end."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "cut")],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    options = {"max_steps": 6, "dropout": 0.1, "save_strategy": "steps", "save_steps": 2,
               "eval_strategy": "steps", "eval_steps": 2}  # fmt: skip
    whole = tune("token-classification", tmp_path / "whole", **options)
    cut = tune("token-classification", tmp_path / "cut", resume_from_checkpoint=True, **options)
    assert_same(whole, cut, tmp_path)


def test_resuming_with_other_data_is_an_error(tmp_path):
    tune("text-classification", tmp_path / "out", max_steps=2)
    with pytest.raises(ConfigError, match="train_dataset_length: got 4, but"):
        tune("text-classification", tmp_path / "out", train=[*TEXTS[:2], *TEXTS[-2:]],
             max_steps=4, resume_from_checkpoint=True)  # fmt: skip


def swapped(task, index):
    """The examples of a task with the fields of one changed, not their number."""
    examples = list(TASKS[task][2])
    first = dataclasses.fields(examples[index])[0].name
    value = getattr(examples[index], first)
    other = value[::-1] if isinstance(value, (str, list)) else value
    if other == value:  # a palindrome
        other = value[1:]
    examples[index] = dataclasses.replace(examples[index], **{first: other})
    return examples


CHANGES = {
    "train": (lambda: {"train": swapped("text-classification", 0)}, "train: not the same as"),
    "validation": (
        lambda: {"validation": swapped("text-classification", 3)}, "validation: not the same as",
    ),
    "class_weights": (lambda: {"class_weights": "balanced"}, "class_weights: not the same as"),
    "settings": (lambda: {"max_length": 9}, "settings: max_length: got 9, but .* with None"),
    "config": (
        lambda: {"model": {**TASKS["text-classification"][0], "num_attention_heads": 4},
                 "tokenizer": TASKS["text-classification"][1]},
        "config: num_attention_heads: got 4, but .* written with 2",
    ),
    "tokenizer": (
        lambda: {"tokenizer": "char", "model": TASKS["text-classification"][0]},
        "tokenizer: not the same as",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_run_is_made_from_may_not_change_unnoticed(tmp_path, name):
    make, message = CHANGES[name]
    tune("text-classification", tmp_path)
    same = tune("text-classification", tmp_path, resume_from_checkpoint=True)
    assert same.metrics["steps"] == 2
    with pytest.raises(ConfigError, match=message):
        tune("text-classification", tmp_path, resume_from_checkpoint=True, **make())
    if name in ("train", "tokenizer", "settings"):
        return  # another vocabulary or length: weights of other shapes
    more = {"resume_from_checkpoint": True, "max_steps": 3, "allow_changed_inputs": True}
    assert tune("text-classification", tmp_path, **make(), **more).metrics["steps"] == 3


def test_replayed_examples_are_compared_too(tmp_path, first):
    options = {"model": first, "train": WEATHER, "replay": TEXTS, "replay_fraction": 2.0}
    tune("text-classification", tmp_path, **options)
    options["replay"] = swapped("text-classification", 2)
    with pytest.raises(ConfigError, match="replay: not the same as"):
        tune("text-classification", tmp_path, resume_from_checkpoint=True, **options)


@pytest.mark.parametrize("task", TASKS)
def test_examples_of_every_task_are_compared(tmp_path, task):
    tune(task, tmp_path, eval_strategy="no")
    with pytest.raises(ConfigError, match="train: not the same as"):
        tune(task, tmp_path, eval_strategy="no", resume_from_checkpoint=True,
             train=swapped(task, 0), max_steps=3)  # fmt: skip


def test_a_model_that_was_replaced_by_what_it_became_can_be_resumed(tmp_path, first):
    """A run that ends in the directory it began with has written its kind of model there."""
    run = shutil.ignore_patterns("checkpoint-*", "latest", "*.jsonl")
    shutil.copytree(first, tmp_path / "own", ignore=run)
    (tmp_path / "own" / "task.json").unlink()
    config = json.loads((tmp_path / "own" / "config.json").read_text())
    config["architectures"] = ["BertModel"]
    (tmp_path / "own" / "config.json").write_text(json.dumps(config))
    options = {"model": str(tmp_path / "own"), "max_steps": 3, "save_strategy": "steps"}
    tune("text-classification", tmp_path / "own", **options, save_steps=1)
    again = tune(
        "text-classification",
        tmp_path / "own",
        **options,
        save_steps=1,
        resume_from_checkpoint=True,
    )
    assert again.metrics["steps"] == 3


# The best step is the second of four: text that is learned fast and forgotten at a high rate.
WORSENS = {"max_steps": 4, "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps",
           "save_steps": 1, "metric_for_best_model": "loss", "greater_is_better": True}  # fmt: skip


def checkpoints(directory):
    return sorted(path.name for path in directory.glob("checkpoint-*"))


def test_one_checkpoint_is_left_of_a_run_that_ended_well(tmp_path):
    result = tune("text-classification", tmp_path, **WORSENS)
    assert result.metrics["best_step"] == 1
    assert checkpoints(tmp_path) == ["checkpoint-4"]
    assert (tmp_path / "latest").read_text().strip() == "checkpoint-4"
    model = (tmp_path / "model.safetensors").stat().st_size
    kept = sum(p.stat().st_size for p in (tmp_path / "checkpoint-4").glob("*.safetensors"))
    assert kept < 3.5 * model  # weights and two moments


def test_a_limit_that_is_said_holds_to_the_end(tmp_path):
    tune("text-classification", tmp_path, save_total_limit=2, **WORSENS)
    assert checkpoints(tmp_path) == ["checkpoint-1", "checkpoint-3", "checkpoint-4"]


@pytest.mark.parametrize("extra", [{}, {"lora_r": 2}], ids=lambda extra: "-".join(extra) or "plain")
def test_an_extended_run_finds_the_best_model_of_before(tmp_path, extra):
    """Whether its checkpoint was kept or only the model in the output directory."""
    options = {**WORSENS, **extra, "lr_scheduler_type": "constant"}
    longer = {**options, "max_steps": 6, "resume_from_checkpoint": True}
    results = {}
    for name, limit in {"whole": {"save_total_limit": None}, "cut": {}}.items():
        tune("text-classification", tmp_path / name, **options, **limit)
        results[name] = tune("text-classification", tmp_path / name, **longer, **limit)
    assert results["cut"].metrics["best_step"] == 1
    assert checkpoints(tmp_path / "cut") == ["checkpoint-1"] * bool(extra) + ["checkpoint-6"]
    assert_same(results["whole"], results["cut"], tmp_path)


def test_a_best_model_that_was_replaced_since_is_not_taken_for_it(tmp_path, caplog):
    tune("text-classification", tmp_path, **WORSENS)
    other = tmp_path / "checkpoint-4" / "model.safetensors"
    shutil.copy(other, tmp_path / "model.safetensors")
    tune("text-classification", tmp_path, **WORSENS, resume_from_checkpoint=True)
    assert "checkpoint-1, the best model, is not there; keeping the last one" in caplog.text
    assert weights(tmp_path) == other.read_bytes()


def test_a_run_that_was_stopped_keeps_what_it_has(tmp_path):
    with pytest.raises(TrainingInterrupted):
        tune("text-classification", tmp_path, callbacks=[StopAt(3)], **WORSENS)
    assert checkpoints(tmp_path) == ["checkpoint-1", "checkpoint-2", "checkpoint-3"]
