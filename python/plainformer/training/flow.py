"""What is due after an update, from the arguments and the state alone."""

from __future__ import annotations

from .arguments import TrainingArguments, steps_of
from .state import TrainerControl, TrainerState


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
