"""The training loop: updates in order, and after each one what is due."""

from __future__ import annotations

import logging
import math
import time
import warnings
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..checkpoints.locks import DirectoryLock
from ..errors import CheckpointError, ConfigError, PlainformerWarning, listed
from ..functional.random import dropout_state
from .arguments import TrainingArguments
from .batches import Collator, UpdatePlan, count_tokens
from .best import best_score, compare, score_of
from .calling import CallbackList
from .checkpoint import Checkpoint, CheckpointDirectory
from .inputs import changed_inputs
from .kept import best_weights
from .log import RunLog, strict
from .losses import Batch, compute_loss, count_labels
from .progress import make_progress
from .signals import InterruptGuard, TrainingInterrupted
from .state import TrainerControl, TrainerState, decide
from .timing import Stopwatch
from .updates import ParameterOptions, Updates, all_finite, non_finite

logger = logging.getLogger("plainformer")

DROPOUT_STREAM = 2


class Run(Protocol):
    """What the loop asks of the trainer that runs it."""

    args: TrainingArguments
    model: Any
    train_dataset: Any
    collate: Collator
    callbacks: CallbackList
    parameter_options: dict[str, ParameterOptions]
    state: TrainerState
    log: RunLog

    def evaluate(self) -> dict[str, Any]: ...
    def inputs(self) -> dict[str, Any]: ...
    def write_model(self, directory: Path, /) -> None: ...
    def callback_extras(self) -> dict[str, Any]: ...


class TrainingLoop:
    """One call of `Trainer.train`.

    An update's data, dropout masks and learning rate follow from the seed and its number alone;
    all else it needs is in weights, optimizer and `TrainerState`. So a checkpoint after any
    update continues with the same bytes.
    """

    def __init__(self, trainer: Run, lock: DirectoryLock):
        args = trainer.args
        self.lock = lock  # of the output directory, held while the loop lives
        self.trainer, self.args, self.model = trainer, args, trainer.model
        self.plan = UpdatePlan(trainer.train_dataset, args, trainer.collate)
        self.state = trainer.state = TrainerState(
            max_steps=self.plan.total_steps(args), steps_per_epoch=self.plan.steps_per_epoch
        )
        self.control = TrainerControl()
        self.callbacks = trainer.callbacks
        self.updates = Updates(
            self.model,
            args,
            total_steps=self.state.max_steps,
            steps_per_epoch=self.plan.steps_per_epoch,
            options=trainer.parameter_options,
        )
        self.directory = CheckpointDirectory(args.output_dir, args.save_total_limit)
        self.progress = make_progress(args)
        self.stopwatch = Stopwatch(self.model, "bfloat16" if args.bf16 else "float32")
        self.inputs = trainer.inputs()
        self.saved_step: int | None = None
        self.learning_rate = self.grad_norm = 0.0
        self.told_no_labels = False
        self.tokens = 0  # input tokens of this process

    def run(self, resume: str | bool | None) -> None:
        """Train to the end, an early stop or Ctrl-C."""
        self._begin(resume)
        self.model.train()
        for _, parameter in self.model.named_parameters():
            parameter.grad = None
        try:
            self.progress.start(self.state)
            self._call("on_train_begin")
            with InterruptGuard() as guard:
                while not (self.state.is_done or self.control.should_training_stop):
                    self._update()
                    self._after_update()
                    if guard.requested:
                        path = self._ensure_saved(extra=True)
                        raise TrainingInterrupted(self.state.global_step, path)
        finally:
            self.progress.close()
            self.updates.end()
        self._end()

    def _call(self, event: str, *args: Any) -> None:
        """Call an event of all callbacks."""
        extras = {
            "optimizer": self.updates.optimizer,
            "lr_scheduler": self.updates.scheduler,
            **self.trainer.callback_extras(),
        }
        self.callbacks.call(event, self.args, self.state, self.control, *args, extras=extras)

    # Before the first update

    def _begin(self, resume: str | bool | None) -> None:
        self.directory.tidy()
        if resume:
            loaded = self.directory.load(resume)
            self._check_same_run(loaded)
            self.directory.make_room(loaded.path, overwrite=self.args.overwrite_output_dir)
            self._restore(loaded)
        elif self.args.overwrite_output_dir:
            self.directory.clear()
        else:
            self.directory.check_unused()
        self.trainer.log = RunLog(self.args.output_dir, self.state.log_history, fresh=not resume)

    def _restore(self, loaded: Checkpoint) -> None:
        values = loaded.values
        self.model.load_state_dict(loaded.weights)
        state = TrainerState.from_dict(values["state"])
        state.max_steps, state.steps_per_epoch = self.state.max_steps, self.state.steps_per_epoch
        self.state = self.trainer.state = state
        self.updates.load_state_dict(loaded.optimizer, state.global_step)
        self.callbacks.load_state_dict(values["callbacks"])
        self.directory.continue_from(loaded.path, state.best_step)
        self.saved_step = None if loaded.is_extra else state.global_step
        logger.info("resuming from %s", loaded.path)

    def _check_same_run(self, loaded: Checkpoint) -> None:
        """Data, their order and the model must be the checkpoint's, or the run would be another."""
        missing = {"state", "callbacks", "data"} - loaded.values.keys()
        if missing:
            raise CheckpointError(
                f"{loaded.path}/trainer_state.json: misses {listed(sorted(missing))}"
            )
        then = {**loaded.values.get("inputs", {}), **loaded.values["data"]}
        if "inputs" not in loaded.values:
            logger.info(
                "%s is of an older version: whether data and configuration changed is not checked",
                loaded.path,
            )
        changes = changed_inputs(then, {**self.inputs, **self.plan.fingerprint()}, loaded.path)
        if changes and not self.args.allow_changed_inputs:
            raise ConfigError(
                f"{'; '.join(changes[:5])}; resume with what it was written with, or accept the "
                "change with --allow-changed-inputs (in Python: allow_changed_inputs=True)"
            )
        for change in changes:
            logger.warning("%s; going on with it", change)

    # One update

    def _update(self) -> None:
        """Forward and backward over the batches of one update, then the optimizer."""
        step = self.state.global_step
        if step % self.state.steps_per_epoch == 0:
            self._call("on_epoch_begin")
        self._call("on_step_begin")
        self.updates.begin(step + 1)
        with self.stopwatch.update():
            batches = self.plan.batches(step)
            items = self._count_items(batches)
            loss = self._backward_all(step, batches, items)
            self._call("on_pre_optimizer_step")
            self.grad_norm, self.learning_rate = self.updates.step(step + 1)
            self._call("on_optimizer_step")
        tokens = 0
        for batch in batches:
            batch_tokens = count_tokens(batch)
            self.stopwatch.count(batch, batch_tokens)
            tokens += batch_tokens
        self.tokens += tokens
        self.state.count_step(loss, tokens)
        self.progress.step()

    def _backward_all(self, step: int, batches: list[Batch], items: int) -> float:
        """Add the gradients of all batches of an update; its loss."""
        loss = 0.0
        for micro, batch in enumerate(batches):
            if micro:
                self._call("on_substep_end")
            loss += self._backward(step, micro, batch, items)
        return loss

    def _count_items(self, batches: list[Batch]) -> int:
        """Labels that count in all batches: what their losses are divided by, once."""
        items = sum(count_labels(self.model, batch) for batch in batches)
        if items == 0 and not self.told_no_labels:
            self.told_no_labels = True  # once a run: the next run's data are others
            warnings.warn(
                "an update without labels that count: its loss and gradients are 0",
                PlainformerWarning,
                stacklevel=2,
            )
        return max(1, items)

    def _backward(self, step: int, micro: int, batch: Batch, items: int) -> float:
        """Add the gradients of one batch; its share of the update's loss."""
        smoothing = self.args.label_smoothing_factor
        options = {"label_smoothing": smoothing} if smoothing else {}
        with dropout_state(dropout_seed(self.args.seed, step, micro), 0):
            _, loss = compute_loss(self.model, batch, items, **options)
            value = float(loss.item())
            if not math.isfinite(value):
                raise non_finite("loss", step + 1)
            loss.backward()
        return value

    # After an update

    def _after_update(self) -> None:
        decide(self.args, self.state, self.control)
        self._call("on_step_end")
        if self.state.at_epoch_end:
            self._call("on_epoch_end")
        if self.control.should_log:
            self._log()
        if self.control.should_evaluate:
            self._evaluate()
        if self.control.should_save:
            self._save()

    def _log(self) -> None:
        state = self.state
        record = {
            "step": state.global_step,
            "epoch": state.epoch,
            "loss": state.take_window_loss(),
            "learning_rate": self.learning_rate,
            "grad_norm": self.grad_norm,
            "tokens": state.tokens_seen,
        }
        self._record(record)
        speed = self.stopwatch.take(state.max_steps - state.global_step)
        self.trainer.log.append_timing({"step": state.global_step, **speed.record()})
        self.progress.log(state, record, speed)
        self._call("on_log", record)

    def _evaluate(self) -> None:
        start, state = time.perf_counter(), self.state
        metrics = self.trainer.evaluate()
        self._note_best(metrics)
        record = {"step": state.global_step, "epoch": state.epoch, **metrics}
        self._record(record)
        seconds = round(time.perf_counter() - start, 6)
        self.trainer.log.append_timing({"step": state.global_step, "eval_seconds": seconds})
        self.progress.log(state, record)
        self._call("on_evaluate", metrics)

    def _record(self, record: dict[str, Any]) -> None:
        self.lock.check()
        self.state.log_history.append(strict(record))
        self.trainer.log.append(record)

    def _note_best(self, metrics: dict[str, Any]) -> None:
        """Remember a new best evaluation, and have it saved where it is wanted back."""
        if not self.args.watches_best:
            return
        score, best = score_of(self.args, metrics), best_score(self.args, self.state)
        if compare(score, best, self.args.best_metric_is_greater) >= 0:
            self.state.best_metric, self.state.best_step = score.value, self.state.global_step
            if self.args.load_best_model_at_end or self.args.save_strategy == "best":
                self.control.should_save = True

    def _save(self, *, extra: bool = False) -> None:
        """Write a checkpoint. Weights that are not finite would replace a good one: an error."""
        self.lock.check()
        step = self.state.global_step
        for name, parameter in self.model.named_parameters():
            if not all_finite(parameter.data):
                raise non_finite(name, step)
        values = {
            "state": self.state.to_dict(),
            "data": self.plan.fingerprint(),
            "inputs": self.inputs,
            "callbacks": self.callbacks.state_dict(),
        }
        self.directory.save(
            step, self.trainer.write_model, self.updates.state_dict(), values,
            self.state.best_step, extra=extra,
        )  # fmt: skip
        self.saved_step = step
        self._call("on_save")

    def _ensure_saved(self, *, extra: bool = False) -> Path:
        if self.saved_step != self.state.global_step:
            self._save(extra=extra)
        return self.directory.path(self.state.global_step)

    def _end(self) -> None:
        """Save what an early stop left unsaved, and take the best weights back."""
        if self.args.save_strategy in ("steps", "epoch"):
            self._ensure_saved()
        self.directory.drop_extra()
        if self.args.load_best_model_at_end and self.state.best_step is not None:
            self._load_best(self.state.best_step)
        self._call("on_train_end")

    def _load_best(self, step: int) -> None:
        weights = best_weights(self.directory, step)
        if weights is None:  # resumed from another directory, or from before a better one
            path = self.directory.path(step)
            logger.warning("%s, the best model, is not there; keeping the last one", path)
            return
        self.model.load_state_dict(weights)
        logger.info("loaded the best model, of step %d", step)


def dropout_seed(seed: int, step: int, micro: int) -> int:
    """The seed of all dropout masks of one pass: a function of run, update and pass alone."""
    words = np.random.Philox(key=[seed, DROPOUT_STREAM], counter=[0, 0, micro, step])
    return int(words.random_raw())
