"""What moves the learning rate of an optimizer: a factor for each number of updates made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import CheckpointError, ConfigError, shown
from .optimizer import Optimizer
from .schedules import SCHEDULES, make_schedule

Factor = Callable[[int], float]


class LambdaLR:
    """Sets each group's learning rate to the one it has now, times a function of updates made.

    `lr_lambda` is called with 0 at once, and with one more at each `step`. Words are
    `torch.optim.lr_scheduler.LambdaLR`'s; `get_scheduler` makes one from a name.

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : function from a number of updates to a factor, or a list of one a group
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor]):
        if not isinstance(optimizer, Optimizer):
            raise ConfigError(f"optimizer: got {shown(optimizer)}, expected a pf.optim.Optimizer")
        groups = optimizer.param_groups
        self.optimizer = optimizer
        self.lr_lambdas = [lr_lambda] * len(groups) if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != len(groups):
            raise ConfigError(
                f"lr_lambda: got {len(self.lr_lambdas)} functions, expected {len(groups)}, one a "
                "group"
            )
        self.base_lrs = [group["lr"] for group in groups]
        self.last_epoch = 0
        self._set()

    def step(self) -> None:
        """Go on to the learning rate of the next update."""
        self.last_epoch += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group as it is now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Updates made and the learning rates of the beginning, as JSON can hold them."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken. CheckpointError where it is of another."""
        if len(state["base_lrs"]) != len(self.base_lrs):
            raise CheckpointError(
                f"state: base_lrs: got {len(state['base_lrs'])}, expected "
                f"{len(self.base_lrs)}, one a group"
            )
        self.last_epoch, self.base_lrs = int(state["last_epoch"]), list(state["base_lrs"])
        self._set()

    def _set(self) -> None:
        groups = self.optimizer.param_groups
        for group, base, factor in zip(groups, self.base_lrs, self.lr_lambdas):
            group["lr"] = base * factor(self.last_epoch)


def get_scheduler(
    name: str,
    optimizer: Optimizer,
    num_warmup_steps: int = 0,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
    *,
    min_lr: float = 0.0,
) -> LambdaLR:
    """The scheduler of a name, as in transformers.

    Parameters
    ----------
    name : linear, cosine, cosine_with_min_lr, constant, constant_with_warmup, polynomial,
        inverse_sqrt or warmup_stable_decay
    num_warmup_steps : updates of linear rise before the schedule proper
    num_training_steps : updates of the whole run; constant schedules and inverse_sqrt need none
    scheduler_specific_kwargs : the schedule's own words: num_cycles (cosine), power (polynomial),
        timescale (inverse_sqrt), num_decay_steps and decay_type (warmup_stable_decay)
    min_lr : the learning rate that the schedule falls to

    Raises
    ------
    ConfigError : an unknown name or option, or one that is missing or would have no effect
    """
    make_schedule(name, total_steps=1, options=scheduler_specific_kwargs)  # checks both
    schedule = SCHEDULES[name]
    if num_training_steps is None and schedule.total:
        raise ConfigError(f"num_training_steps: got None, schedule {shown(name)} needs a number")
    for word, value, has_effect in (
        ("num_warmup_steps", num_warmup_steps, schedule.warmup),
        ("min_lr", min_lr, schedule.floor),
    ):
        if value and not has_effect:
            raise ConfigError(f"{word}: has no effect on schedule {shown(name)}; leave it out")
    factors = [
        make_schedule(
            name,
            warmup_steps=num_warmup_steps,
            total_steps=num_training_steps or 0,
            floor=_floor(min_lr, group["lr"]),
            options=scheduler_specific_kwargs,
        )
        for group in optimizer.param_groups
    ]
    return LambdaLR(optimizer, factors)


def _floor(min_lr: float, lr: float) -> float:
    """The lowest factor of a learning rate."""
    if not 0 <= min_lr <= lr:
        raise ConfigError(f"min_lr: got {min_lr}, expected from 0 to lr={lr}")
    return min_lr / lr if lr else 0.0
