"""Learning rate schedules: a step number in, a factor of the peak learning rate out; and the
scheduler that moves the rates of an optimizer by them.

Step numbers count the updates already made, so the first update of a run with warmup uses
factor 0 and the last one a factor just above the end value, exactly as transformers 5 does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import CheckpointError, ConfigError, shown
from ..kernels._arrays import check_number
from ..kinds import check_kind, checked, fits
from ..options import NOT_NEGATIVE, Rule, one_of, that
from .optimizer import Optimizer

Factor = Callable[[int], float]


@dataclass(frozen=True)
class Horizon:
    """The steps a schedule covers and its floor.

    warmup : int, updates that rise from 0 (or the floor) to the peak
    total : int, updates of the whole run
    floor : float, `min_lr / learning_rate`
    """

    warmup: int
    total: int
    floor: float

    def progress(self, step: int) -> float:
        """How far the part after the warmup has come, 0 to 1."""
        return min(1.0, (step - self.warmup) / max(1, self.total - self.warmup))

    def above_floor(self, factor: float) -> float:
        """Squeeze a factor in 0..1 into floor..1."""
        return max(0.0, factor) * (1.0 - self.floor) + self.floor


def constant(step: int, span: Horizon) -> float:
    """1 throughout, after the warmup if there is one."""
    return 1.0


def linear_decay(step: int, span: Horizon) -> float:
    """From 1 straight down to the floor."""
    return span.above_floor(1.0 - span.progress(step))


def cosine(step: int, span: Horizon, num_cycles: float = 0.5) -> float:
    """(1 + cos(2 pi num_cycles progress)) / 2; half a wave by default.

    Loshchilov, Hutter, "SGDR", 2017, arXiv:1608.03983.
    """
    wave = math.cos(2.0 * math.pi * num_cycles * span.progress(step))
    return span.above_floor(0.5 * (1.0 + wave))


def polynomial(step: int, span: Horizon, power: float = 1.0) -> float:
    """(1 - progress) ** power, down to the floor."""
    return span.above_floor((1.0 - span.progress(step)) ** power)


def inverse_sqrt(step: int, span: Horizon, timescale: float | None = None) -> float:
    """1 / sqrt(1 + (step - warmup) / timescale), never below the floor.

    `timescale` defaults to the warmup steps, or 10,000 without warmup. Zhai et al.,
    "Scaling Vision Transformers", 2022, arXiv:2106.04560.
    """
    scale = timescale or span.warmup or 10_000
    return max(span.floor, 1.0 / math.sqrt(1.0 + (step - span.warmup) / scale))


_DECAYS: dict[str, Callable[[float], float]] = {
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
    "1-sqrt": lambda progress: 1.0 - math.sqrt(progress),
}


def warmup_stable_decay(
    step: int, span: Horizon, num_decay_steps: int | None = None, decay_type: str = "cosine"
) -> float:
    """1 until the last `num_decay_steps` (a tenth of the run by default), then down to the floor.

    `decay_type` is linear, cosine or 1-sqrt. Hu et al., "MiniCPM", 2024, arXiv:2404.06395.
    """
    steps = math.ceil(span.total / 10) if num_decay_steps is None else num_decay_steps
    start = max(span.warmup, span.total - steps)
    if step < start:
        return 1.0
    progress = min(1.0, (step - start) / max(1, span.total - start))
    return span.above_floor(_DECAYS[decay_type](progress))


@dataclass(frozen=True)
class Schedule:
    """A schedule, what `lr_scheduler_kwargs` it knows, and whether it has a warmup and a floor and
    depends on the length of the run."""

    factor: Callable[..., float]
    options: Mapping[str, Rule]
    warmup: bool = True
    floor: bool = True
    total: bool = True


_POSITIVE = that(lambda value: fits(value, float) and value > 0, "a number above 0")
_STEPS = that(lambda value: fits(value, int) and value > 0, "an integer above 0")

SCHEDULES: dict[str, Schedule] = {
    "linear": Schedule(linear_decay, {}),
    "cosine": Schedule(cosine, {"num_cycles": _POSITIVE}),
    "cosine_with_min_lr": Schedule(cosine, {"num_cycles": _POSITIVE}),
    "constant": Schedule(constant, {}, warmup=False, floor=False, total=False),
    "constant_with_warmup": Schedule(constant, {}, floor=False, total=False),
    "polynomial": Schedule(polynomial, {"power": _POSITIVE}),
    "inverse_sqrt": Schedule(inverse_sqrt, {"timescale": _POSITIVE}, total=False),
    "warmup_stable_decay": Schedule(
        warmup_stable_decay, {"num_decay_steps": _STEPS, "decay_type": one_of(*_DECAYS)}
    ),
}


def steps_of(value: float, total_steps: int) -> int:
    """A number of updates given as such, or below 1 as a part of all updates (rounded up)."""
    return math.ceil(value * total_steps) if value < 1 else int(value)


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise ConfigError unless every one of `lr_scheduler_kwargs` is known to schedule `name`."""
    known = SCHEDULES[name].options
    for option, value in options.items():
        if option not in known:
            wanted = ", ".join(known) or "none"
            raise ConfigError(
                f"lr_scheduler_kwargs: got {shown(option)}, schedule {shown(name)} takes {wanted}"
                + ("; set the field min_lr instead" if "min_lr" in option else "")
            )
        known[option].check(f"lr_scheduler_kwargs: {option}", value)


def make_schedule(
    name: str,
    *,
    warmup_steps: int = 0,
    total_steps: int,
    floor: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> Factor:
    """The function from updates already made (0, 1, ...) to the factor of the learning rate.

    name : one of SCHEDULES
    warmup_steps : updates of linear rise before the schedule proper
    total_steps : updates of the whole run
    floor : lowest factor, `min_lr / learning_rate`
    options : the schedule's own words (`lr_scheduler_kwargs`)

    Raises ConfigError for an unknown name or option.
    """
    one_of(*SCHEDULES).check("lr_scheduler_type", name)
    check_options(name, options or {})
    body = partial(SCHEDULES[name].factor, **(options or {}))
    return partial(_with_warmup, body, Horizon(warmup_steps, total_steps, floor))


def _with_warmup(body: Callable[[int, Horizon], float], span: Horizon, step: int) -> float:
    if step < span.warmup:
        return step / span.warmup
    return body(step, span)


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
        factors: Any = [lr_lambda] * len(groups) if callable(lr_lambda) else lr_lambda
        if not isinstance(factors, (list, tuple)) or not all(map(callable, factors)):
            raise ConfigError(f"lr_lambda: got {shown(lr_lambda)}, expected a function, or a list")
        self.lr_lambdas: list[Factor] = list(factors)
        if len(self.lr_lambdas) != len(groups):
            raise ConfigError(
                f"lr_lambda: got {len(self.lr_lambdas)} functions, expected {len(groups)}, one a "
                "group"
            )
        self.base_lrs = [float(group["lr"]) for group in groups]  # of NumPy's numbers too
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
        check_kind("state", state, Mapping[str, Any], error=CheckpointError)
        kinds = {"last_epoch": int, "base_lrs": list[float]}
        step, rates = (
            check_kind(f"state: {name}", state.get(name), kind, error=CheckpointError)
            for name, kind in kinds.items()
        )
        if len(rates) != len(self.base_lrs) or step < 0:
            raise CheckpointError(
                f"state: got base_lrs={rates} and last_epoch={step}, expected "
                f"{len(self.base_lrs)} rates, one a group, and a number of updates"
            )
        self.last_epoch, self.base_lrs = step, list(rates)
        self._set()

    def _set(self) -> None:
        groups = self.optimizer.param_groups
        for group, base, factor in zip(groups, self.base_lrs, self.lr_lambdas):
            group["lr"] = base * check_number("lr_lambda: result", factor(self.last_epoch))


@checked
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
    NOT_NEGATIVE.check("num_warmup_steps", num_warmup_steps)
    NOT_NEGATIVE.check("num_training_steps", num_training_steps or 0)
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
