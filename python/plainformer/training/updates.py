"""The optimizer of a run: the one of `optim` that the arguments name, its schedule and clipping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import kernels
from ..errors import CheckpointError, ConfigError, NonFiniteError, shown
from ..kernels import xp
from ..kinds import check_kind, check_kinds
from ..optim import SGD, AdamW, Optimizer, get_scheduler
from ..options import NOT_NEGATIVE, did_you_mean
from ..tensor import Array
from .arguments import TrainingArguments
from .trainable import float32_values, set_storage

_COUNTED = ("step.", "param_groups.")  # which follow from arguments and the updates of the run


@dataclass(frozen=True)
class ParameterOptions:
    """How one parameter is trained, where it differs from others.

    lr_scale : what the learning rate is multiplied with
    start_epoch : passes over the data before it is trained; until then it is frozen
    """

    lr_scale: float = 1.0
    start_epoch: float = 0.0


def checked_options(
    model: Any, options: Mapping[str, ParameterOptions]
) -> dict[str, ParameterOptions]:
    """Options of parameters that there are; ConfigError names what is not so."""
    check_kind("parameter_options", options, Mapping[str, ParameterOptions])
    names = {name for name, _ in model.named_parameters()}
    for name, own in options.items():
        if name not in names:
            word = did_you_mean(name, names)
            raise ConfigError(f"parameter_options: the model has no parameter {shown(name)}{word}")
        check_kinds(own, where=f"parameter_options: {name}: ")
        for option in ("lr_scale", "start_epoch"):
            NOT_NEGATIVE.check(f"parameter_options: {name}: {option}", getattr(own, option))
    return dict(options)


def parameter_groups(
    model: Any, weight_decay: float, options: Mapping[str, ParameterOptions] | None = None
) -> list[dict[str, Any]]:
    """Trained parameters with their names, by what they share, for an optimizer. Matrices and
    embeddings decay; vectors (bias, norms) do not."""
    groups: dict[tuple[bool, ParameterOptions], dict[str, Any]] = {}
    usual = ParameterOptions()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            own = (options or {}).get(name, usual)
            is_matrix = parameter.data.ndim >= 2
            new = {"params": [], "lr_scale": own.lr_scale}
            new["weight_decay"] = weight_decay if is_matrix else 0.0
            groups.setdefault((is_matrix, own), new)["params"].append((name, parameter))
    return [groups[key] for key in sorted(groups, key=lambda key: not key[0])]


def make_optimizer(
    model: Any, args: TrainingArguments, options: Mapping[str, ParameterOptions] | None = None
) -> Optimizer:
    """What `args.optim` names, over the trained parameters of `model`, which are stored as `args`
    has it from now on; masters are what they were before."""
    masters = float32_values(model) if args.bf16 else {}
    set_storage(model, args)
    groups = parameter_groups(model, args.weight_decay, options)
    if not groups:
        raise ConfigError("model: all of it is frozen, which leaves nothing to train")
    optimizer: Optimizer
    if args.optim == "sgd":
        optimizer = SGD(groups, args.learning_rate, args.momentum)
    else:
        betas = (args.adam_beta1, args.adam_beta2)
        optimizer = AdamW(groups, args.learning_rate, betas, args.adam_epsilon)
    for name, parameter in optimizer.named_parameters():
        if name in masters:
            optimizer.state[parameter] = {"step": 0, "master": masters[name]}
    return optimizer


class Updates:
    """One update after another: which parameters take part, clipping, a step, the next rate.

    start_epoch of `options` becomes a number of updates, before which a parameter is frozen.
    """

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        *,
        total_steps: int,
        steps_per_epoch: int,
        options: Mapping[str, ParameterOptions] | None = None,
    ):
        self.optimizer = make_optimizer(model, args, options)
        self.max_norm = args.max_grad_norm or None
        self.scheduler = get_scheduler(
            args.lr_scheduler_type,
            self.optimizer,
            args.warmup_updates(total_steps),
            total_steps,
            args.lr_scheduler_kwargs,
            min_lr=args.min_lr or 0.0,
        )
        epochs = {name: own.start_epoch for name, own in (options or {}).items()}
        named = dict(self.optimizer.named_parameters())
        self.parameters = list(named.values())
        starts = {name: math.ceil(epoch * steps_per_epoch) for name, epoch in epochs.items()}
        self.starts = {named[name]: start for name, start in starts.items() if name in named}

    def begin(self, step: int) -> None:
        """Before update `step` (from 1): freeze the parameters whose time has not come."""
        for parameter, start in self.starts.items():
            parameter.requires_grad = step > start

    def end(self) -> None:
        """After the last update: no parameter is frozen any more."""
        for parameter in self.starts:
            parameter.requires_grad = True

    def step(self, step: int) -> tuple[float, float]:
        """Update `step` (from 1) from the gradients, which are forgotten; the global norm that
        they had, and the learning rate.

        Raises NonFiniteError naming the first parameter whose gradient is not finite.
        """
        norm, scale = kernels.clip_grad_norm(self._gradients(), self.max_norm)
        if not math.isfinite(norm):
            raise self._non_finite(step)
        [learning_rate, *_] = self.scheduler.get_last_lr()
        self.optimizer.step(grad_scale=scale)
        self.scheduler.step()
        self.optimizer.zero_grad()
        return float(norm), learning_rate

    def _gradients(self) -> list[Array]:
        """Of all that take part. One that the loss did not reach has 0, as decay still acts."""
        grads = []
        for parameter in self.parameters:
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = xp(parameter.data).zeros_like(parameter.data)
                grads.append(parameter.grad)
        return grads

    def _non_finite(self, step: int) -> NonFiniteError:
        for name, parameter in self.optimizer.named_parameters():
            if parameter.grad is not None and not all_finite(parameter.grad):
                return non_finite(f"gradient of {name}", step)
        return non_finite("norm of all gradients", step)

    def state_dict(self) -> dict[str, Array]:
        """The arrays that a checkpoint keeps, as `exp_avg.NAME`."""
        own = self.optimizer.state_dict().items()
        return {name: array for name, array in own if not name.startswith(_COUNTED)}

    def load_state_dict(self, arrays: Mapping[str, Array], step: int) -> None:
        """Go on after update `step`. CheckpointError when names or shapes differ."""
        counted = self.optimizer.state_dict().items()
        given = {name: array for name, array in counted if name.startswith(_COUNTED)}
        try:
            self.optimizer.load_state_dict({**given, **arrays})
        except CheckpointError as error:
            raise CheckpointError(
                f"optimizer.safetensors: {error}; optim, momentum, bf16, freeze and train_only "
                "must be as before"
            ) from None
        for parameter in self.parameters:
            own = step - self.starts.get(parameter, 0)
            self.optimizer.state[parameter]["step"] = max(0, own)
        self.scheduler.load_state_dict({**self.scheduler.state_dict(), "last_epoch": step})


def all_finite(array: Array) -> bool:
    """Whether no element is NaN or infinite."""
    return bool(xp(array).isfinite(array).all())


def non_finite(tensor: str, step: int) -> NonFiniteError:
    """The error for a tensor that became NaN or infinite in update `step`."""
    return NonFiniteError(
        f"{tensor}: not finite at step {step}; the last checkpoint is kept. "
        "Try a lower learning_rate, more warmup_steps or a lower max_grad_norm",
        tensor=tensor,
        step=step,
    )
