"""Stopping anywhere and going on gives the same bytes as never having stopped."""

import json
import logging
import os
import re
import signal
from contextlib import suppress

import numpy as np
import pytest

from plainformer.checkpoints.checksums import write_checksums
from plainformer.errors import CheckpointError, ConfigError
from plainformer.training import (
    TimeLimitCallback,
    Trainer,
    TrainerCallback,
    TrainingInterrupted,
)
from plainformer.training.checkpoint import read_checkpoint
from plainformer.training.signals import InterruptGuard

from .tiny import log_of, rows, tiny_trainer, tree, weights

EVERYTHING_ON = {
    "save_steps": 1,
    "save_total_limit": 3,
    "eval_strategy": "steps",
    "eval_steps": 3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 3,
    "weight_decay": 0.1,
    "dropout": 0.3,
    "label_smoothing_factor": 0.1,
    "load_best_model_at_end": True,
    "early_stopping_patience": 9,
}


class StopAfter(TrainerCallback):
    """Stands for a power cut: an exception right after update `step` is saved."""

    class PowerCutError(Exception):
        pass

    def __init__(self, step):
        self.step = step

    def on_save(self, args, state, control):
        if state.global_step == self.step:
            raise self.PowerCutError


def run_with_cuts(output_dir, cuts, **options):
    """Train, losing the process after each of the updates in `cuts`."""
    resume = None
    for cut in cuts:
        trainer = tiny_trainer(output_dir, callbacks=[StopAfter(cut)], **options)
        with pytest.raises(StopAfter.PowerCutError):
            trainer.train(resume_from_checkpoint=resume)
        resume = True
    trainer = tiny_trainer(output_dir, **options)
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.mark.parametrize("cuts", [[1], [3], [5], [9], [2, 4, 7]], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bf16": True},
        {"optim": "sgd", "momentum": 0.9},
        {"activation_checkpointing": True},
        {"freeze": ["wte", "h.0"]},
    ],
    ids=lambda options: "+".join(options) or "adamw",
)
def test_interrupted_runs_end_with_the_same_bytes(tmp_path, cuts, options):
    options = {**EVERYTHING_ON, **options}
    whole = run_with_cuts(tmp_path / "whole", [], **options)
    parts = run_with_cuts(tmp_path / "parts", cuts, **options)
    assert weights(parts.model) == weights(whole.model)
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")


def test_dropout_and_data_order_matter_in_the_run_compared_above(tmp_path):
    base = run_with_cuts(tmp_path / "a", [], **EVERYTHING_ON)
    for name, change in {"b": {"dropout": 0.0}, "c": {"seed": 1}}.items():
        other = run_with_cuts(tmp_path / name, [], **{**EVERYTHING_ON, **change})
        assert weights(other.model) != weights(base.model)


def test_records_written_after_the_checkpoint_are_cut_off(tmp_path):
    """A process killed between two checkpoints has logged updates that resuming repeats."""
    options = {"save_steps": 4, "logging_steps": 1}
    tiny_trainer(tmp_path / "whole", **options).train()

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control):
            if state.global_step == 7:
                raise StopAfter.PowerCutError

    with pytest.raises(StopAfter.PowerCutError):
        tiny_trainer(tmp_path / "parts", callbacks=[Kill()], **options).train()
    with (tmp_path / "parts" / "log.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')  # and the last line is torn
    tiny_trainer(tmp_path / "parts", **options).train(resume_from_checkpoint=True)
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")
    assert [r["step"] for r in log_of(tmp_path / "parts")] == list(range(1, 11))


def test_an_explicit_checkpoint_takes_the_run_back_to_it(tmp_path):
    options = {"save_steps": 2, "save_total_limit": None}
    whole = tiny_trainer(tmp_path, **options)
    whole.train()
    before = tree(tmp_path)
    again = tiny_trainer(tmp_path, **options)
    seen = []

    class Note(TrainerCallback):
        def on_train_begin(self, args, state, control):
            seen.append((state.global_step, sorted(p.name for p in tmp_path.glob("checkpoint-*"))))

    again = tiny_trainer(tmp_path, callbacks=[Note], **options)
    again.train(resume_from_checkpoint=tmp_path / "checkpoint-4")
    assert seen == [(4, ["checkpoint-2", "checkpoint-4"])]
    assert tree(tmp_path) == before
    assert weights(again.model) == weights(whole.model)


def test_a_checkpoint_of_another_directory_starts_a_copy_of_the_run(tmp_path):
    tiny_trainer(tmp_path / "a", save_steps=4, save_total_limit=None).train()
    source = tree(tmp_path / "a")
    tiny_trainer(tmp_path / "b", save_steps=4, save_total_limit=None).train(
        resume_from_checkpoint=tmp_path / "a" / "checkpoint-4"
    )
    assert tree(tmp_path / "a") == source
    copied = {k: v for k, v in source.items() if not k.startswith("checkpoint-4/")}
    assert tree(tmp_path / "b") == copied


def test_a_best_model_left_behind_in_another_directory_is_told(tmp_path, caplog):
    best_first = {"eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True,
                  "greater_is_better": True, "max_steps": 4, "save_steps": 3}  # fmt: skip
    first = tiny_trainer(tmp_path / "a", **best_first)
    first.train()
    assert first.state.best_step == 1
    second = tiny_trainer(tmp_path / "b", **best_first)
    second.train(resume_from_checkpoint=tmp_path / "a" / "checkpoint-3")
    assert "checkpoint-1, the best model, is not there; keeping the last one" in caplog.text
    last = read_checkpoint(tmp_path / "b" / "checkpoint-4")
    assert weights(second.model) == {k: v.tobytes() for k, v in last.weights.items()}


def test_a_finished_run_resumes_to_nothing_left(tmp_path):
    first = tiny_trainer(tmp_path)
    first.train()
    again = tiny_trainer(tmp_path)
    assert again.train(resume_from_checkpoint=True).global_step == 10
    assert weights(again.model) == weights(first.model)


def test_a_run_that_stopped_early_stays_stopped(tmp_path):
    options = {"eval_strategy": "steps", "eval_steps": 1, "early_stopping_patience": 1,
               "early_stopping_threshold": 100.0}  # fmt: skip
    assert tiny_trainer(tmp_path, **options).train().global_step == 2
    before = tree(tmp_path)
    assert tiny_trainer(tmp_path, **options).train(resume_from_checkpoint=True).global_step == 2
    assert tree(tmp_path) == before


def test_a_time_limit_stops_and_the_rest_follows_later(tmp_path, caplog):
    tiny_trainer(tmp_path / "whole").train()
    with caplog.at_level(logging.WARNING, "plainformer"):
        output = tiny_trainer(tmp_path / "parts", callbacks=[TimeLimitCallback(0)]).train()
    assert output.global_step == 1
    assert "stopping at step 1 of 10: the time limit of 0 s has passed" in caplog.text
    tiny_trainer(tmp_path / "parts").train(resume_from_checkpoint=True)
    assert (tmp_path / "parts/log.jsonl").read_bytes() == (
        tmp_path / "whole/log.jsonl"
    ).read_bytes()


def test_state_of_callbacks_comes_back(tmp_path):
    class Counter(TrainerCallback):
        count = 0

        def on_step_end(self, args, state, control):
            self.count += 1
            control.should_training_stop = self.count == 3

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count = state["count"]

    tiny_trainer(tmp_path, callbacks=[Counter]).train()
    counter = Counter()
    tiny_trainer(tmp_path, callbacks=[counter]).train(resume_from_checkpoint=True)
    assert counter.count == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed: got 1, but .*checkpoint-10 was written with 42"),
        ({"per_device_train_batch_size": 2}, "per_device_train_batch_size: got 2"),
        ({"gradient_accumulation_steps": 1}, "gradient_accumulation_steps: got 1"),
    ],
    ids=str,
)
def test_a_change_of_the_data_order_is_refused(tmp_path, change, message):
    tiny_trainer(tmp_path).train()
    with pytest.raises(ConfigError, match=message):
        tiny_trainer(tmp_path, **change).train(resume_from_checkpoint=True)


def test_another_data_set_is_refused(tmp_path):
    tiny_trainer(tmp_path).train()
    trainer = tiny_trainer(tmp_path)
    trainer.train_dataset = rows(20)
    with pytest.raises(ConfigError, match="train_dataset_length: got 20"):
        trainer.train(resume_from_checkpoint=True)


class CtrlC(TrainerCallback):
    """SIGINT in the middle of some updates."""

    def __init__(self, *steps):
        self.steps = steps

    def on_step_end(self, args, state, control):
        if state.global_step in self.steps:
            os.kill(os.getpid(), signal.SIGINT)


STRATEGIES = {
    "steps": {"save_steps": 4},
    "one is kept": {"save_steps": 3, "save_total_limit": 1},
    "epoch": {"save_strategy": "epoch"},
    "no": {"save_strategy": "no"},
    "best": {"save_strategy": "best", "eval_strategy": "steps", "eval_steps": 3},
    "best at end": {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 3,
                    "save_steps": 3, "greater_is_better": True},
    "early stop": {"eval_strategy": "steps", "eval_steps": 1, "early_stopping_patience": 7,
                   "early_stopping_threshold": 100.0},
}  # fmt: skip


@pytest.mark.parametrize("name", STRATEGIES)
def test_ctrl_c_leaves_the_checkpoints_of_a_run_that_nobody_stopped(tmp_path, name):
    """At any update, the last ones too, once or twice."""
    options = STRATEGIES[name]
    tiny_trainer(tmp_path / "whole", **options).train()
    whole = tree(tmp_path / "whole")
    for steps in [(step,) for step in range(1, 11)] + [(2, 5), (8, 9), (9, 10)]:
        output_dir = tmp_path / "-".join(map(str, steps))
        for step in steps:
            trainer = tiny_trainer(output_dir, callbacks=[CtrlC(step)], **options)
            with suppress(TrainingInterrupted):  # unless it stopped early before
                trainer.train(resume_from_checkpoint=step != steps[0])
        if options.get("save_strategy") not in ("no", "best") or any(output_dir.glob("check*")):
            tiny_trainer(output_dir, **options).train(resume_from_checkpoint=True)
        assert tree(output_dir) == whole, steps


def test_a_crash_after_ctrl_c_leaves_what_to_resume_from(tmp_path):
    """The extra checkpoint goes only when the next one is there, and none of two stays."""
    options = {"save_steps": 6}
    tiny_trainer(tmp_path / "whole", **options).train()
    parts = tmp_path / "parts"
    for callback, resume in ((CtrlC(4), None), (CtrlC(5), True), (StopAfter(6), True)):
        with pytest.raises((TrainingInterrupted, StopAfter.PowerCutError)):
            tiny_trainer(parts, callbacks=[callback], **options).train(resume)
    assert [p.name for p in parts.glob("checkpoint-*")] == ["checkpoint-6"]
    tiny_trainer(parts, **options).train(resume_from_checkpoint=True)
    assert tree(parts) == tree(tmp_path / "whole")


def other(place, items):
    """The same examples, one of them with another token."""
    changed = [dict(item) for item in items]
    changed[place]["input_ids"] = (changed[place]["input_ids"] + 1) % 13
    return changed


def changed_trainer(tmp_path, change, **options):
    trainer = tiny_trainer(tmp_path, eval_strategy="epoch", **options)
    if change == "n_head":
        trainer.model.config.n_head = 4
    else:
        setattr(trainer, change, other(3, getattr(trainer, change)))
    return trainer


CHANGED = {
    "train_dataset": "train_dataset: not the same as .*checkpoint-10 was written with",
    "eval_dataset": "eval_dataset: not the same as",
    "n_head": "config: n_head: got 4, but .*checkpoint-10 was written with 2",
}


@pytest.mark.parametrize("change", CHANGED)
def test_changed_data_and_models_are_refused_unless_accepted(tmp_path, change, caplog):
    """Of equal length, so that nothing else would notice."""
    tiny_trainer(tmp_path, eval_strategy="epoch").train()
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match=CHANGED[change]) as refused:
        changed_trainer(tmp_path, change).train(resume_from_checkpoint=True)
    assert "--allow-changed-inputs (in Python: allow_changed_inputs=True)" in str(refused.value)
    assert tree(tmp_path) == before
    again = changed_trainer(tmp_path, change, allow_changed_inputs=True, max_steps=11)
    assert again.train(resume_from_checkpoint=True).global_step == 11
    assert re.search(CHANGED[change] + ".*; going on with it", caplog.text)


def test_the_order_of_data_may_be_changed_by_the_same_word(tmp_path, caplog):
    tiny_trainer(tmp_path).train()
    with pytest.raises(ConfigError, match=r"seed: got 1.*; per_device_train_batch_size: got 2"):
        tiny_trainer(tmp_path, seed=1, per_device_train_batch_size=2).train(True)
    options = {"seed": 1, "max_steps": 12, "allow_changed_inputs": True}
    assert tiny_trainer(tmp_path, **options).train(True).global_step == 12
    assert "seed: got 1, but" in caplog.text
    # What was gone on with is what the next one is compared with.
    tiny_trainer(tmp_path, seed=1, max_steps=13).train(True)


def test_accepting_changes_of_nothing_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="allow_changed_inputs: has no effect without"):
        tiny_trainer(tmp_path, allow_changed_inputs=True).train()


def test_the_evaluations_data_count_only_where_training_evaluates(tmp_path):
    tiny_trainer(tmp_path).train()
    trainer = tiny_trainer(tmp_path, max_steps=11)
    trainer.eval_dataset = other(0, trainer.eval_dataset)
    assert trainer.train(resume_from_checkpoint=True).global_step == 11


def test_a_checkpoint_of_an_older_version_is_taken_with_a_note(tmp_path, caplog):
    tiny_trainer(tmp_path).train()
    path = tmp_path / "checkpoint-10"
    values = json.loads((path / "trainer_state.json").read_text())
    del values["inputs"]
    (path / "trainer_state.json").write_text(json.dumps(values))
    write_checksums(path)
    with caplog.at_level(logging.INFO, "plainformer"):
        assert tiny_trainer(tmp_path, max_steps=11).train(True).global_step == 11
    assert "of an older version: whether data and configuration changed is not" in caplog.text


def test_data_sets_of_unknown_kinds_are_compared_by_their_length_alone(tmp_path):
    class Rows:
        def __init__(self, items):
            self.items = items

        def __len__(self):
            return len(self.items)

        def __getitem__(self, index):
            return self.items[index]

    def trainer(items):
        result = tiny_trainer(tmp_path, max_steps=2)
        result.train_dataset = Rows(items)
        return result

    trainer(rows(37)).train()
    trainer(other(3, rows(37))).train(resume_from_checkpoint=True)
    with pytest.raises(ConfigError, match="train_dataset_length"):
        trainer(rows(36)).train(resume_from_checkpoint=True)


@pytest.mark.parametrize(
    "change", [{"optim": "sgd"}, {"bf16": True}, {"freeze": ["wte"]}], ids=lambda c: "+".join(c)
)
def test_optimizer_state_that_does_not_fit_is_refused(tmp_path, change):
    tiny_trainer(tmp_path).train()
    with pytest.raises(CheckpointError, match=r"optimizer.safetensors: .* do not fit this"):
        tiny_trainer(tmp_path, **change).train(resume_from_checkpoint=True)


def test_nothing_to_resume_from_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="holds no good checkpoint"):
        tiny_trainer(tmp_path).train(resume_from_checkpoint=True)
    with pytest.raises(CheckpointError, match="no such checkpoint directory"):
        tiny_trainer(tmp_path).train(resume_from_checkpoint=tmp_path / "checkpoint-1")


def test_a_used_directory_is_not_overwritten_by_accident(tmp_path):
    tiny_trainer(tmp_path).train()
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match="overwrite_output_dir=True or another output_dir"):
        tiny_trainer(tmp_path).train()
    assert tree(tmp_path) == before
    tiny_trainer(tmp_path, overwrite_output_dir=True, max_steps=3).train()
    assert [p.name for p in tmp_path.glob("checkpoint-*")] == ["checkpoint-3"]
    assert [r["step"] for r in log_of(tmp_path)] == [2, 3]


def test_trainer_state_holds_what_the_log_holds(tmp_path):
    tiny_trainer(tmp_path, eval_strategy="epoch").train()
    state = json.loads((tmp_path / "checkpoint-10/trainer_state.json").read_text())["state"]
    assert state["log_history"] == log_of(tmp_path)
    assert state["tokens_seen"] == log_of(tmp_path)[-2]["tokens"]


def test_numpys_global_generator_is_neither_used_nor_changed(tmp_path):
    np.random.seed(3)
    before = np.random.get_state()[1].tobytes()
    first = tiny_trainer(tmp_path / "a")
    first.train()
    assert np.random.get_state()[1].tobytes() == before
    np.random.seed(4)
    second = tiny_trainer(tmp_path / "b")
    second.train()
    assert weights(first.model) == weights(second.model)


class Other(TrainerCallback):
    """Trains into the same directory within the training."""

    def __init__(self, output_dir):
        self.output_dir = output_dir

    def on_save(self, args, state, control):
        tiny_trainer(self.output_dir, overwrite_output_dir=True).train()


def test_a_training_within_a_training_does_not_write_over_it(tmp_path):
    with pytest.raises(CheckpointError, match="the training run that this one is part of is"):
        tiny_trainer(tmp_path, callbacks=[Other(tmp_path)]).train()
    assert list(tmp_path.glob("checkpoint-*"))  # the outer one's


class ChangeDirectory(TrainerCallback):
    def on_step_end(self, args, state, control):
        os.chdir("elsewhere")


def test_nothing_is_written_where_a_relative_name_leads_later(tmp_path, monkeypatch):
    (tmp_path / "elsewhere" / "elsewhere").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"out: is not .* give output_dir as an absolute path"
    ):
        tiny_trainer("out", save_steps=1, callbacks=[ChangeDirectory()]).train()
    assert os.listdir(tmp_path / "elsewhere") == ["elsewhere"]


@pytest.mark.parametrize("value", [object(), float("nan"), np.float32(1)], ids=repr)
def test_inputs_that_json_cannot_hold_are_one_error_before_training(tmp_path, value):
    model, rows_ = tiny_trainer(tmp_path).model, rows(4)
    args = tiny_trainer(tmp_path).args
    with pytest.raises(ConfigError, match=r"inputs: .*expected text, finite numbers"):
        Trainer(model, args, rows_, inputs={"a": value}).train()


def test_what_is_no_checkpoint_is_told_what_is_one(tmp_path):
    tiny_trainer(tmp_path).train()
    for path, problem in (
        (tmp_path, "has no trainer_state.json"),
        ("latest", "no such checkpoint"),
    ):
        with pytest.raises(
            CheckpointError, match=f"{problem}.*; expected the path of a checkpoint"
        ):
            tiny_trainer(tmp_path).train(resume_from_checkpoint=path)


def test_going_on_elsewhere_does_not_mix_with_what_is_there(tmp_path):
    """The newest of another run are no newer than its own, which rotation would delete for them."""
    options = {"save_steps": 5, "save_total_limit": 2, "max_steps": 20}
    tiny_trainer(tmp_path / "from", **{**options, "save_total_limit": None}).train()
    tiny_trainer(tmp_path / "to", **{**options, "max_steps": 40}).train()
    before, first = tree(tmp_path / "to"), tmp_path / "from" / "checkpoint-10"
    with pytest.raises(ConfigError, match="checkpoint-40 is there from a former run"):
        tiny_trainer(tmp_path / "to", **options).train(first)
    assert tree(tmp_path / "to") == before
    tiny_trainer(tmp_path / "to", overwrite_output_dir=True, **options).train(first)
    assert sorted(p.name for p in (tmp_path / "to").glob("check*")) == [
        "checkpoint-15",
        "checkpoint-20",
    ]
    assert (tmp_path / "to" / "latest").read_text() == "checkpoint-20\n"
    tiny_trainer(tmp_path / "new", **options).train(first)
    assert tree(tmp_path / "new") == tree(tmp_path / "to")


def test_a_link_to_a_checkpoint_beside_it_is_that_checkpoint(tmp_path):
    options = {"save_steps": 5, "save_total_limit": 2, "max_steps": 20}
    tiny_trainer(tmp_path, **options).train()
    before = tree(tmp_path)
    (tmp_path / "good").symlink_to("checkpoint-15")
    tiny_trainer(tmp_path, **options).train(tmp_path / "good")
    (tmp_path / "good").unlink()
    assert tree(tmp_path) == before


def test_a_handler_that_is_not_pythons_is_left_alone(monkeypatch):
    """Of a program that Python is part of: there is nothing to set it back with."""
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", lambda *handler: pytest.fail("replaced"))
    with InterruptGuard() as guard:
        assert not guard.requested
