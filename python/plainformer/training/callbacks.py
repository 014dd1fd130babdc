"""Callbacks: code that runs at the corners of training, and two that come with us.

A callback gets the arguments, the state and the control, and may change the control:

    class StopAtLoss(TrainerCallback):
        def on_log(self, args, state, control, logs):
            control.should_training_stop |= logs.get("loss", 9.0) < 1.0
"""

from __future__ import annotations

import inspect
import logging
import math
import time
from collections.abc import Iterable
from typing import Any, ClassVar

from ..errors import CheckpointError, ConfigError, short, shown
from ..kinds import check_kind
from .arguments import TrainingArguments
from .best import ModelScore, compare, score_of
from .state import Record, TrainerControl, TrainerState

logger = logging.getLogger("plainformer")


class TrainerCallback:
    """Base of callbacks: override what you need.

    A callback that remembers something returns it from `state_dict` as plain values, and gets it
    back through `load_state_dict` when a run is resumed.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """Before the first update, after a checkpoint was loaded."""

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """Before the passes of one update."""

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


class CallbackList:
    """Calls every callback in order, and carries their states into checkpoints."""

    def __init__(self, callbacks: Iterable[TrainerCallback | type[TrainerCallback]]):
        self.callbacks = [c() if isinstance(c, type) else c for c in callbacks]
        for callback in self.callbacks:
            if not isinstance(callback, TrainerCallback):
                raise ConfigError(
                    f"callbacks: got {shown(callback)}, expected TrainerCallback objects"
                )
            _check_signatures(callback)

    def call(self, event: str, *args: Any) -> None:
        """Call the method `event` of every callback."""
        for callback in self.callbacks:
            getattr(callback, event)(*args)

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Class name and place to state, of the callbacks that have one."""
        states = {self._key(i): c.state_dict() for i, c in enumerate(self.callbacks)}
        return {key: state for key, state in states.items() if state}

    def load_state_dict(self, states: dict[str, dict[str, Any]]) -> None:
        """Give each callback its state back; one that was added since starts fresh."""
        for i, callback in enumerate(self.callbacks):
            if self._key(i) in states:
                callback.load_state_dict(states[self._key(i)])

    def _key(self, index: int) -> str:
        """The class name, numbered among callbacks of that class."""
        name = type(self.callbacks[index]).__name__
        same = sum(type(c).__name__ == name for c in self.callbacks[:index])
        return f"{name}.{same}"


def _check_signatures(callback: TrainerCallback) -> None:
    """Raise ConfigError unless each method takes what it will be called with."""
    for event in (name for name in vars(TrainerCallback) if name.startswith("on_")):
        given = list(inspect.signature(getattr(TrainerCallback, event)).parameters)[1:]
        kind = type(callback)
        has_self = inspect.isfunction(inspect.getattr_static(kind, event))
        try:
            inspect.signature(getattr(kind, event)).bind(*([callback] * has_self), *given)
        except TypeError as error:
            raise ConfigError(
                f"callbacks: {type(callback).__name__}.{event} is called with "
                f"({', '.join(given)}), which it does not take: {short(error)}"
            ) from None


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
