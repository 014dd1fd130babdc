"""`report_to`: the figures of log.jsonl in TensorBoard and Weights & Biases, under their names."""

import json
import struct
import sys
import types
from typing import ClassVar

import pytest

from plainformer.errors import ConfigError
from plainformer.training import (
    TensorBoardCallback,
    TrainerCallback,
    TrainingArguments,
    WandbCallback,
)
from plainformer.training.reporting import reporters

from .tiny import tiny_trainer, tree, weights

EVALUATED = {"max_steps": 4, "logging_steps": 2, "eval_strategy": "steps", "eval_steps": 4}


class Run:
    """What a run of wandb was told."""

    def __init__(self, module=None):
        self.module, self.logged, self.metrics, self.finished = module, [], [], 0
        self.config = types.SimpleNamespace(update=self.configure)
        self.options = {}

    def configure(self, values, allow_val_change=False):
        self.options.update(values)

    def define_metric(self, *names, **more):
        self.metrics.append((names, more))

    def log(self, figures):
        self.logged.append(figures)

    def finish(self, exit_code=0):
        self.finished, self.exit_code = self.finished + 1, exit_code
        self.module.run = None


@pytest.fixture
def wandb(monkeypatch):
    """A module that stands for wandb."""
    module = types.ModuleType("wandb")
    module.__spec__ = types.SimpleNamespace(name="wandb")
    module.run = None
    module.inits = []

    def init(**options):
        module.inits.append(options)
        module.run = Run(module)
        return module.run

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def records(directory):
    """The records of log.jsonl under the names that reports have, by update."""
    found = {}
    for line in (directory / "log.jsonl").read_text().splitlines():
        record = json.loads(line)
        step = record.pop("step")
        kind = "eval" if "eval_loss" in record else "train"
        own = {k.removeprefix("eval_"): v for k, v in record.items()}
        if kind == "eval":
            del own["epoch"]
        found.setdefault(step, {}).update({f"{kind}/{k}": v for k, v in own.items()})
    return found


def test_wandb_gets_what_the_log_gets(tmp_path, wandb):
    trainer = tiny_trainer(tmp_path, report_to="wandb", **EVALUATED)
    [reporter] = [c for c in trainer.callbacks.callbacks if isinstance(c, WandbCallback)]
    trainer.train()
    assert wandb.inits == [{"dir": str(tmp_path)}]
    run, found = reporter._run, {}
    for figures in run.logged:
        found.setdefault(figures.pop("train/global_step"), {}).update(figures)
    assert found == records(tmp_path)
    assert run.options["max_steps"] == 4
    assert run.metrics == [(("*",), {"step_metric": "train/global_step", "step_sync": True})]
    assert run.finished == 1


def test_a_run_that_its_user_began_is_used_and_left_open(tmp_path, wandb):
    wandb.run = Run()
    tiny_trainer(tmp_path, report_to=["wandb"], **EVALUATED).train()
    assert not wandb.inits
    assert len(wandb.run.logged) == 3
    assert wandb.run.finished == 0


def test_a_run_that_failed_is_not_gone_on_with(tmp_path, wandb):
    class Fails(TrainerCallback):
        def on_step_end(self, args, state, control):
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        tiny_trainer(tmp_path / "a", report_to="wandb", callbacks=[Fails], **EVALUATED).train()
    failed = wandb.run
    assert failed.finished == 0
    tiny_trainer(tmp_path / "b", report_to="wandb", **EVALUATED).train()
    assert (failed.finished, failed.exit_code, failed.logged) == (1, 1, [])
    assert len(wandb.inits) == 2


def test_what_is_told_changes_no_byte(tmp_path, wandb):
    found = []
    for name, report in (("a", "wandb"), ("b", None)):
        trainer = tiny_trainer(tmp_path / name, report_to=report, **EVALUATED)
        trainer.train()
        found.append((weights(trainer.model), tree(tmp_path / name)))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wandb", "report_to: needs wandb, which is not installed: pip install wandb"),
        ("tensorboard", "report_to: needs tensorboardX, which is not installed: pip install "
                        r"'plainformer\[log\]'"),
    ],
)  # fmt: skip
def test_what_is_not_installed_is_one_clear_error_before_training(
    tmp_path, monkeypatch, name, message
):
    monkeypatch.setitem(sys.modules, {"tensorboard": "tensorboardX"}.get(name, name), None)
    with pytest.raises(ConfigError, match=f"^{message}"):
        tiny_trainer(tmp_path, report_to=name)


@pytest.mark.parametrize("nothing", [None, "none", ["none"], []])
def test_nothing_may_be_asked_for(nothing):
    assert reporters(TrainingArguments(report_to=nothing).report_to) == []


def test_all_are_those_that_are_installed(monkeypatch, wandb):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert [type(r) for r in reporters("all")] == [WandbCallback]
    assert [type(r) for r in reporters(["wandb", "wandb"])] == [WandbCallback]


@pytest.mark.parametrize("wrong", ["comet", 3, ["wandb", "x"], {"wandb": 1}, True])
def test_others_are_named(wrong):
    with pytest.raises(ConfigError, match=r"report_to: got .*, expected tensorboard, wandb, all"):
        TrainingArguments(report_to=wrong)


def events(directory):
    """(scalars by update, updates from which earlier events do not count) in the event files."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found, purged = {}, []
    for path in sorted((directory / "runs").glob("events.out.tfevents.*")):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (size,) = struct.unpack_from("<Q", data, place)
            event = event_pb2.Event.FromString(data[place + 12 : place + 12 + size])
            place += size + 16
            if event.HasField("session_log"):
                purged.append(event.step)
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(event.step, {})[value.tag] = value.simple_value
    return found, purged


def test_tensorboard_gets_what_the_log_gets_and_goes_on_after_a_stop(tmp_path):
    pytest.importorskip("tensorboardX")
    usual = {"report_to": "tensorboard", **EVALUATED}
    trainer = tiny_trainer(tmp_path, **usual)
    assert any(isinstance(c, TensorBoardCallback) for c in trainer.callbacks.callbacks)
    trainer.train()
    scalars, purged = events(tmp_path)
    assert {step: pytest.approx(row, rel=1e-6) for step, row in records(tmp_path).items()} == (
        scalars
    )
    assert not purged
    tiny_trainer(tmp_path, **{**usual, "max_steps": 6}).train(resume_from_checkpoint=True)
    scalars, purged = events(tmp_path)
    assert sorted(scalars) == [2, 4, 6]
    assert purged == [5]


def test_tensorboard_forgets_a_run_that_is_overwritten(tmp_path):
    pytest.importorskip("tensorboardX")
    for steps in (4, 2):
        tiny_trainer(
            tmp_path, report_to="tensorboard", overwrite_output_dir=True, logging_steps=1,
            max_steps=steps,
        ).train()  # fmt: skip
    assert sorted(events(tmp_path)[0]) == [1, 2]


class Writer:
    """A `SummaryWriter` that remembers."""

    made: ClassVar[list] = []

    def __init__(self, folder, purge_step=None, filename_suffix=""):
        self.folder, self.purge_step, self.suffix = folder, purge_step, filename_suffix
        self.scalars, self.texts, self.closed, self.flushed = {}, {}, 0, 0
        Writer.made.append(self)

    def add_text(self, name, text):
        self.texts[name] = text

    def add_scalar(self, name, value, step):
        assert name not in self.scalars.setdefault(step, {})
        self.scalars[step][name] = value

    def flush(self):
        self.flushed += 1

    def close(self):
        self.closed += 1


@pytest.fixture
def board(monkeypatch):
    """A module that stands for tensorboardX."""
    module = types.ModuleType("tensorboardX")
    module.__spec__ = types.SimpleNamespace(name="tensorboardX")
    module.SummaryWriter = Writer
    monkeypatch.setattr(Writer, "made", [])
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    return module


def test_tensorboard_is_told_what_the_log_is_told(tmp_path, board):
    tiny_trainer(tmp_path, report_to="tensorboard", **EVALUATED).train()
    [writer] = Writer.made
    assert writer.folder == str(tmp_path / "runs")
    assert writer.scalars == records(tmp_path)
    assert (writer.purge_step, writer.closed) == (None, 1)
    assert writer.flushed
    told = {name: json.loads(text.strip("`\n")) for name, text in writer.texts.items()}
    assert told["arguments"]["max_steps"] == 4
    assert told["model_config"]["model_type"] == "gpt2"
    usual = {**EVALUATED, "max_steps": 6}
    tiny_trainer(tmp_path, report_to="tensorboard", **usual).train(resume_from_checkpoint=True)
    again = Writer.made[-1]
    assert (again.purge_step, again.suffix, sorted(again.scalars)) == (5, ".4", [6])


def test_tensorboard_forgets_events_of_a_run_that_is_overwritten(tmp_path, board):
    old = tmp_path / "runs" / "events.out.tfevents.1"
    old.parent.mkdir()
    old.write_text("")
    tiny_trainer(tmp_path, report_to="tensorboard", **EVALUATED).train()
    assert not old.exists()


def test_wandb_is_told_the_configuration_of_the_model(tmp_path, wandb):
    trainer = tiny_trainer(tmp_path, report_to="wandb", **EVALUATED)
    trainer.train()
    [reporter] = [c for c in trainer.callbacks.callbacks if isinstance(c, WandbCallback)]
    assert reporter._run.options["model_type"] == "gpt2"
    assert reporter._run.options["seed"] == trainer.args.seed
