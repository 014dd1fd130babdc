"""What is logged, to TensorBoard or Weights & Biases: callbacks like any other.

`TrainingArguments(report_to="tensorboard")` adds one. Names are those of transformers: a record's
`loss` is `train/loss`, an evaluation's `eval_loss` is `eval/loss`, over the update's number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ..errors import ConfigError
from ..runtime import is_installed
from .arguments import TrainingArguments
from .callbacks import TrainerCallback
from .state import Record, TrainerControl, TrainerState

_EVENTS = "events.out.tfevents.*"


class _Reporter(TrainerCallback):
    """Hands every figure that is logged to `write`."""

    package = ""
    install = ""

    def __init__(self) -> None:
        if not is_installed(self.package):
            raise ConfigError(f"report_to: needs {self.package}, which is not installed: pip "
                              f"install {self.install}, or leave report_to out")  # fmt: skip

    def write(self, figures: dict[str, float], step: int) -> None:
        """Pass on figures of an update, by name."""
        raise NotImplementedError

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Record
    ) -> None:
        self.write({f"train/{k}": v for k, v in _numbers(logs).items()}, state.global_step)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Record
    ) -> None:
        figures = {k.replace("_", "/", 1): v for k, v in _numbers(metrics).items()}
        self.write(figures, state.global_step)


class TensorBoardCallback(_Reporter):
    """Writes events into `output_dir/runs`: `tensorboard --logdir output_dir` shows them.

    A run that is resumed goes on in them; what was written after its checkpoint is not shown.
    """

    package, install = "tensorboardX", "'plainformer[log]'"

    def __init__(self) -> None:
        super().__init__()
        self._writer: Any = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
    ) -> None:
        from tensorboardX import SummaryWriter  # the extra `log`

        folder, begins = Path(args.output_dir, "runs"), state.global_step == 0
        if begins:  # those of a run that was here before and is overwritten
            for path in folder.glob(_EVENTS):
                path.unlink(missing_ok=True)
        purge = None if begins else state.global_step + 1
        own = f".{state.global_step}"  # files are called by the second
        self._writer = SummaryWriter(str(folder), purge_step=purge, filename_suffix=own)
        for name, values in (("arguments", args.to_dict()), ("model_config", _config_of(model))):
            if values:
                told = json.dumps(values, indent=1, default=str)
                self._writer.add_text(name, f"```\n{told}\n```")

    def write(self, figures: dict[str, float], step: int) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()  # what ends a run, a crash too, loses none

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        self._writer.close()


class WandbCallback(_Reporter):
    """Logs to the run that `wandb.init` began, or begins one and ends it with the training.

    Project, name and whether it is offline are for wandb's own environment variables to say. A
    run of a training that an error or Ctrl-C ended is marked as failed when the next one begins.
    """

    package, install = "wandb", "wandb"
    _begun: ClassVar[Any] = None  # the last run that a training began

    def __init__(self) -> None:
        super().__init__()
        self._run: Any = None
        self._own = False

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
    ) -> None:
        import wandb  # whose user installed it

        if wandb.run is not None and wandb.run is WandbCallback._begun:
            wandb.run.finish(exit_code=1)
        self._own = wandb.run is None
        self._run = wandb.init(dir=args.output_dir) if self._own else wandb.run
        WandbCallback._begun = self._run if self._own else None
        known = {**_config_of(model), **args.to_dict()}  # as in transformers: arguments win
        self._run.config.update(known, allow_val_change=True)
        self._run.define_metric("*", step_metric="train/global_step", step_sync=True)

    def write(self, figures: dict[str, float], step: int) -> None:
        self._run.log({**figures, "train/global_step": step})

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        if self._own:
            self._run.finish()


REPORTERS: dict[str, type[_Reporter]] = {"tensorboard": TensorBoardCallback, "wandb": WandbCallback}


def reporters(report_to: str | Sequence[str] | None) -> list[TrainerCallback]:
    """The callbacks that `report_to` asks for: none, one by name or several, "all" installed ones.

    Raises
    ------
    ConfigError : one whose package is not installed
    """
    names = [report_to] if isinstance(report_to, str) else list(report_to or ())
    if "all" in names:
        names = [name for name, kind in REPORTERS.items() if is_installed(kind.package)]
    return [REPORTERS[name]() for name in dict.fromkeys(names) if name != "none"]


def _config_of(model: Any) -> dict[str, Any]:
    """The configuration of a model; of a module of one's own nothing."""
    config = getattr(model, "config", None)
    as_dict = getattr(config, "to_dict", dict)
    return dict(as_dict())


def _numbers(record: Record) -> dict[str, float]:
    """The figures of a record, without its place."""
    return {
        name: float(value)
        for name, value in record.items()
        if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool)
    }
