"""Callbacks: code that runs at the corners of training, and two that come with us.

A callback gets the arguments, the state and the control, and may change the control:

    class StopAtLoss(TrainerCallback):
        def on_log(self, args, state, control, logs):
            control.should_training_stop |= logs.get("loss", 9.0) < 1.0

Whatever else it names it gets too, by name, and all of it with `**kwargs`, as in transformers,
whose own callbacks are taken as they are:

    class Write(TrainerCallback):
        def on_evaluate(self, args, state, control, metrics, model, **kwargs):
            print(model.generate([[1, 2, 3]], 20))

    model, processing_class, optimizer, lr_scheduler, train_dataset, eval_dataset

What a callback computes with the model changes no byte of the training, as dropout masks and
orders of data follow from the seed and the update alone; what it changes in the model does.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any, ClassVar

from ..errors import CheckpointError
from ..kinds import check_kind
from .arguments import TrainingArguments
from .best import ModelScore, compare, score_of
from .state import Record, TrainerControl, TrainerState

logger = logging.getLogger("plainformer")


class TrainerCallback:
    """Base of callbacks: override what you need. The order in an update:

        on_epoch_begin, on_step_begin, on_substep_end (between the batches that are accumulated),
        on_pre_optimizer_step, on_optimizer_step, on_step_end, on_epoch_end, on_log, on_evaluate,
        on_save

    A callback that remembers something returns it from `state_dict` as plain values, and gets it
    back through `load_state_dict` when a run is resumed.
    """

    def on_init_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """At the end of making a Trainer."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """Before the first update, after a checkpoint was loaded."""

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """Before the first update of a pass over the training data."""

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """Before the passes of one update."""

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """After a batch of several that are accumulated, but for the last."""

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """With all gradients of an update, before they are clipped."""

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """After the optimizer changed the weights."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """After an update, before it is logged, evaluated and saved."""

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Record
    ) -> None:
        """After a record went to log.jsonl."""

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Record
    ) -> None:
        """After an evaluation; `metrics` have the prefix eval_."""

    def on_predict(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Record
    ) -> None:
        """After `Trainer.predict`."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """After a checkpoint was written."""

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """After the last update of a pass over the training data."""

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """After the last update, also when training stops early."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback, as values that JSON can hold."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""


class EarlyStoppingCallback(TrainerCallback):
    """Stop after `patience` evaluations in a row that do not improve the deciding metric.

    An improvement is larger than `threshold`; at the same metric a loss that is lower by more than
    it is one too. NaN and infinities never count as one.
    """

    _KINDS: ClassVar[dict[str, Any]] = {
        "best": float | None, "loss": float | None, "failures": int,
    }  # fmt: skip

    def __init__(self, patience: int, threshold: float = 0.0):
        self.patience = patience
        self.threshold = threshold
        self.best: ModelScore | None = None
        self.failures = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """A run that had stopped already does not go on when it is resumed."""
        control.should_training_stop |= self.failures >= self.patience

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Record
    ) -> None:
        score = score_of(args, metrics)
        if compare(score, self.best, args.best_metric_is_greater, self.threshold) > 0:
            self.best, self.failures = score, 0
            return
        self.failures += 1
        if self.failures >= self.patience:
            control.should_training_stop = True
            logger.info(
                "stopping early at step %d: %s did not improve in %d evaluations",
                state.global_step, args.best_metric_name, self.failures,
            )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        value, loss = (None, None) if self.best is None else self.best
        return {"best": value, "loss": loss, "failures": self.failures}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        found = {
            name: check_kind(f"{type(self).__name__}: {name}", state.get(name), kind,
                             error=CheckpointError)
            for name, kind in self._KINDS.items()
        }  # fmt: skip
        value, loss = found["best"], found["loss"]  # which older checkpoints do not have
        self.best = None if value is None else ModelScore(value, loss)
        self.failures = found["failures"]


class TimeLimitCallback(TrainerCallback):
    """Stop once this process has trained for `max_seconds`; saving follows `save_strategy`."""

    def __init__(self, max_seconds: float):
        self.max_seconds = max_seconds
        self.deadline = math.inf

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        self.deadline = time.monotonic() + self.max_seconds

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        if time.monotonic() >= self.deadline and not state.is_done:
            control.should_training_stop = True
            logger.warning(
                "stopping at step %d of %d: the time limit of %g s has passed",
                state.global_step, state.max_steps, self.max_seconds,
            )  # fmt: skip
