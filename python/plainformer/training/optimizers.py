"""AdamW and SGD over the parameters of a model, with float32 masters for bfloat16 storage.

The arithmetic is one fused kernel a parameter group; here live the groups and the state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import kernels
from ..errors import CheckpointError, NonFiniteError, short, shown
from .arguments import TrainingArguments
from .trainable import BFLOAT16

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class ParameterOptions:
    """How one parameter is trained, where it differs from others.

    lr_scale : what the learning rate is multiplied with
    start_epoch : passes over the data before it is trained; until then it is frozen
    """

    lr_scale: float = 1.0
    start_epoch: float = 0.0


@dataclass
class Group:
    """Parameters that share a weight decay and how they are trained, by name.

    start : updates before the first one of these parameters
    """

    weight_decay: float
    lr_scale: float = 1.0
    start: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass
class GroupArrays:
    """The arrays of one group in the order of its parameters, as the kernels take them."""

    params: list[np.ndarray]
    grads: list[np.ndarray]
    masters: list[np.ndarray] | None
    state: dict[str, list[np.ndarray]]
    weight_decay: float


def parameter_groups(
    model: Any,
    weight_decay: float,
    options: Mapping[str, ParameterOptions] | None = None,
    steps_per_epoch: int = 1,
) -> list[Group]:
    """Trained parameters by what they share. Matrices and embeddings decay; vectors (bias, norms)
    do not."""
    groups: dict[tuple[bool, ParameterOptions], Group] = {}
    usual = ParameterOptions()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            own = (options or {}).get(name, usual)
            is_matrix = parameter.data.ndim >= 2
            start = math.ceil(own.start_epoch * steps_per_epoch)
            group = Group(weight_decay if is_matrix else 0.0, own.lr_scale, start)
            groups.setdefault((is_matrix, own), group).parameters[name] = parameter
    return [groups[key] for key in sorted(groups, key=lambda key: not key[0])]


class Optimizer:
    """What AdamW and SGD share: groups, masters, clipping and the state's way in and out.

    masters : dict of name to float32 array; used for parameters stored in bfloat16
    groups : what shares a weight decay, a learning rate and the update it starts at
    slots : names of the state arrays a parameter has, each float32 of its shape
    """

    slots: tuple[str, ...] = ()

    def __init__(
        self, groups: list[Group], args: TrainingArguments, masters: Mapping[str, np.ndarray]
    ):
        self.args = args
        self.groups = groups
        self.masters = {
            name: np.array(masters[name], dtype=np.float32)
            for name, parameter in self._named()
            if parameter.data.dtype == BFLOAT16
        }
        self.state: dict[str, Arrays] = {
            slot: {n: np.zeros(p.data.shape, _state_dtype(p)) for n, p in self._named()}
            for slot in self.slots
        }

    def _named(self) -> Iterator[tuple[str, Any]]:
        for group in self.groups:
            yield from group.parameters.items()

    def begin(self, step: int) -> None:
        """Before update `step` (from 1): freeze the groups whose time has not come."""
        for group in self.groups:
            for parameter in group.parameters.values():
                parameter.requires_grad = step > group.start

    def end(self) -> None:
        """After the last update: no group is frozen any more."""
        for _, parameter in self._named():
            parameter.requires_grad = True

    def _active(self, step: int) -> list[Group]:
        return [group for group in self.groups if step > group.start]

    def clip(self, step: int) -> tuple[float, float]:
        """Global norm of all gradients, and the factor that brings it to `max_grad_norm`.

        Raises NonFiniteError naming the first parameter whose gradient is not finite.
        """
        groups = self._active(step)
        self._fill_missing_gradients(groups)
        limit = self.args.max_grad_norm or None
        grads = [p.grad for group in groups for p in group.parameters.values()]
        norm, scale = kernels.clip_grad_norm(grads, limit)
        if not math.isfinite(norm):
            raise self._non_finite(step)
        return float(norm), float(scale)

    def _fill_missing_gradients(self, groups: list[Group]) -> None:
        """A parameter that the loss did not reach has gradient 0; decay still acts on it."""
        for group in groups:
            for parameter in group.parameters.values():
                if parameter.grad is None:
                    parameter.grad = np.zeros(parameter.data.shape, parameter.data.dtype)

    def _non_finite(self, step: int) -> NonFiniteError:
        for name, parameter in self._named():
            if parameter.grad is not None and not np.isfinite(parameter.grad).all():
                return non_finite(f"gradient of {name}", step)
        return non_finite("norm of all gradients", step)

    def step(self, step: int, lr: float, grad_scale: float) -> None:
        """Update every parameter in place from its gradient times `grad_scale`.

        step : int from 1, number of this update
        lr : learning rate of this update
        """
        for group in self._active(step):
            own = step - group.start  # so that AdamW's means are corrected from their own start
            self._update(self._arrays(group), own, lr * group.lr_scale, grad_scale)

    def zero_grad(self) -> None:
        """Forget the gradients of the trained parameters."""
        for _, parameter in self._named():
            parameter.grad = None

    def _arrays(self, group: Group) -> GroupArrays:
        names = list(group.parameters)
        return GroupArrays(
            params=[p.writable() for p in group.parameters.values()],
            grads=[p.grad for p in group.parameters.values()],
            masters=[self.masters[n] for n in names] if self.masters else None,
            state={slot: [arrays[n] for n in names] for slot, arrays in self.state.items()},
            weight_decay=group.weight_decay,
        )

    def _update(self, arrays: GroupArrays, step: int, lr: float, grad_scale: float) -> None:
        raise NotImplementedError(f"{type(self).__name__} defines no _update")

    def state_dict(self) -> Arrays:
        """All state as `slot.parameter` to array, masters as `master.parameter`."""
        named = {**self.state, "master": self.masters}
        return {f"{slot}.{n}": a for slot, arrays in named.items() for n, a in arrays.items()}

    def load_state_dict(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Copy a former `state_dict` in. CheckpointError when names or shapes differ."""
        own = self.state_dict()
        if own.keys() != arrays.keys():
            odd = sorted(own.keys() ^ arrays.keys())
            raise CheckpointError(
                f"optimizer.safetensors: {len(odd)} arrays do not fit this run, such as "
                f"{short(odd[0])}; optim, momentum, bf16, freeze and train_only must be as before"
            )
        for name, array in own.items():
            if array.shape != arrays[name].shape:
                raise CheckpointError(
                    f"optimizer.safetensors: {name} has shape {shown(arrays[name].shape)}, "
                    f"expected {array.shape}"
                )
            array[...] = arrays[name]


class AdamW(Optimizer):
    """m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w -= lr (m^ / (sqrt(v^) + eps) + decay w).

    m^ and v^ are m / (1 - b1^step) and v / (1 - b2^step).
    Loshchilov, Hutter, "Decoupled Weight Decay Regularization", 2019, arXiv:1711.05101.
    """

    slots = ("exp_avg", "exp_avg_sq")

    def _update(self, arrays: GroupArrays, step: int, lr: float, grad_scale: float) -> None:
        kernels.adamw_step(
            arrays.params,
            arrays.grads,
            arrays.state["exp_avg"],
            arrays.state["exp_avg_sq"],
            step=step,
            lr=lr,
            betas=(self.args.adam_beta1, self.args.adam_beta2),
            eps=self.args.adam_epsilon,
            weight_decay=arrays.weight_decay,
            grad_scale=grad_scale,
            masters=arrays.masters,
        )


class SGD(Optimizer):
    """buffer = momentum buffer + g;  w -= lr buffer, with g including decay w.

    Without momentum there is no buffer. The rule is torch.optim.SGD's without dampening.
    """

    def __init__(
        self, groups: list[Group], args: TrainingArguments, masters: Mapping[str, np.ndarray]
    ):
        self.slots = ("momentum_buffer",) if args.momentum else ()
        super().__init__(groups, args, masters)

    def _update(self, arrays: GroupArrays, step: int, lr: float, grad_scale: float) -> None:
        kernels.sgd_step(
            arrays.params,
            arrays.grads,
            arrays.state.get("momentum_buffer"),
            lr=lr,
            momentum=self.args.momentum,
            weight_decay=arrays.weight_decay,
            grad_scale=grad_scale,
            masters=arrays.masters,
        )


OPTIMIZERS: dict[str, type[Optimizer]] = {"adamw": AdamW, "sgd": SGD}


def make_optimizer(
    model: Any,
    args: TrainingArguments,
    masters: Mapping[str, np.ndarray],
    options: Mapping[str, ParameterOptions] | None = None,
    steps_per_epoch: int = 1,
) -> Optimizer:
    """The optimizer that `args.optim` names, over the trained parameters of `model`."""
    groups = parameter_groups(model, args.weight_decay, options, steps_per_epoch)
    return OPTIMIZERS[args.optim](groups, args, masters)


def non_finite(tensor: str, step: int) -> NonFiniteError:
    """The error for a tensor that became NaN or infinite in update `step`."""
    return NonFiniteError(
        f"{tensor}: not finite at step {step}; the last checkpoint is kept. "
        "Try a lower learning_rate, more warmup_steps or a lower max_grad_norm",
        tensor=tensor,
        step=step,
    )


def _state_dtype(parameter: Any) -> np.dtype:
    """float32, but float64 for a float64 model."""
    return np.result_type(
        np.float32, parameter.data.dtype if parameter.data.itemsize == 8 else "f4"
    )
