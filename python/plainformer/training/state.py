"""Where a run stands, and what is due: the numbers that a checkpoint keeps, what follows from them,
and what callbacks may ask for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import CheckpointError, listed
from ..kinds import check_kinds
from ..optim.lr_scheduler import steps_of
from .arguments import TrainingArguments

Record = dict[str, Any]  # what is logged at one step: names and figures


@dataclass
class TrainerState:
    """Counters of a run. Everything in it is reproducible; `trainer_state.json` holds it.

    global_step : updates made
    max_steps : updates of the whole run
    epoch : passes over the training data, with a fraction
    steps_per_epoch : updates of one pass
    tokens_seen : input tokens, without padding
    loss_sum : sum of the losses of all updates
    window_loss, window_steps : the same since the last log record
    best_metric, best_step : the best evaluation so far, None before the first
    log_history : the records of log.jsonl
    """

    global_step: int = 0
    max_steps: int = 0
    epoch: float = 0.0
    steps_per_epoch: int = 0
    tokens_seen: int = 0
    loss_sum: float = 0.0
    window_loss: float = 0.0
    window_steps: int = 0
    best_metric: float | None = None
    best_step: int | None = None
    log_history: list[dict[str, Any]] = field(default_factory=list)

    def count_step(self, loss: float, tokens: int) -> None:
        """Note one more update with its loss and its input tokens."""
        self.global_step += 1
        self.epoch = self.global_step / self.steps_per_epoch
        self.tokens_seen += tokens
        self.loss_sum += loss
        self.window_loss += loss
        self.window_steps += 1

    def take_window_loss(self) -> float:
        """The mean loss since the last call, which starts the next window."""
        mean = self.window_loss / max(1, self.window_steps)
        self.window_loss, self.window_steps = 0.0, 0
        return mean

    @property
    def is_world_process_zero(self) -> bool:
        """Always: there is one process. Callbacks of transformers ask."""
        return True

    @property
    def is_local_process_zero(self) -> bool:
        """Always, as `is_world_process_zero`."""
        return True

    @property
    def at_epoch_end(self) -> bool:
        """Whether the last update was the last of a pass over the data."""
        return self.global_step > 0 and self.global_step % self.steps_per_epoch == 0

    @property
    def is_done(self) -> bool:
        """Whether all updates are made."""
        return self.global_step >= self.max_steps

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; floats survive the round trip bit for bit."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainerState:
        """The inverse of `to_dict`. CheckpointError when a counter is missing or is none."""
        names = [f.name for f in fields(cls)]
        missing = [name for name in names if name not in values]
        if missing:
            raise CheckpointError(f"trainer_state.json: misses {listed(missing)}")
        state = cls(**{name: values[name] for name in names})
        check_kinds(state, where="trainer_state.json: ", error=CheckpointError)
        for name in ("global_step", "max_steps", "steps_per_epoch", "tokens_seen", "window_steps"):
            if getattr(state, name) < 0:
                raise CheckpointError(
                    f"trainer_state.json: {name}: got {getattr(state, name)}, expected at least 0"
                )
        return state


@dataclass
class TrainerControl:
    """What happens after the current update. Callbacks may set any of the four."""

    should_log: bool = False
    should_evaluate: bool = False
    should_save: bool = False
    should_training_stop: bool = False


def is_due(interval: float, state: TrainerState) -> bool:
    """Whether `interval` updates (or that part of all) have passed since it was last due."""
    return state.global_step % max(1, steps_of(interval, state.max_steps)) == 0


def decide(args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
    """Set `should_log`, `should_evaluate` and `should_save` for the update just made.

    The last update of the run is always logged, evaluated (unless the strategy is no) and saved
    (unless it is no or best).
    """
    control.should_log = is_due(args.logging_steps, state) or state.is_done
    control.should_evaluate = _strategy_is_due(
        args.eval_strategy, args.eval_steps or args.logging_steps, state
    )
    control.should_save = _strategy_is_due(args.save_strategy, args.save_steps, state)


def _strategy_is_due(strategy: str, interval: float, state: TrainerState) -> bool:
    if strategy in ("no", "best"):
        return False
    due = state.at_epoch_end if strategy == "epoch" else is_due(interval, state)
    return due or state.is_done
