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
from ..errors import CheckpointError, NonFiniteError
from .arguments import TrainingArguments
from .trainable import BFLOAT16

Arrays = dict[str, np.ndarray]


@dataclass
class Group:
    """Parameters that share a weight decay, by name."""

    weight_decay: float
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass
class GroupArrays:
    """The arrays of one group in the order of its parameters, as the kernels take them."""

    params: list[np.ndarray]
    grads: list[np.ndarray]
    masters: list[np.ndarray] | None
    state: dict[str, list[np.ndarray]]
    weight_decay: float


def decay_groups(model: Any, weight_decay: float) -> list[Group]:
    """Matrices and embeddings decay; vectors (bias, norms) do not."""
    decay, keep = Group(weight_decay), Group(0.0)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            group = decay if parameter.data.ndim >= 2 else keep
            group.parameters[name] = parameter
    return [group for group in (decay, keep) if group.parameters]


class Optimizer:
    """What AdamW and SGD share: groups, masters, clipping and the state's way in and out.

    masters : dict of name to float32 array; used for parameters stored in bfloat16
    slots : names of the state arrays a parameter has, each float32 of its shape
    """

    slots: tuple[str, ...] = ()

    def __init__(self, model: Any, args: TrainingArguments, masters: Mapping[str, np.ndarray]):
        self.args = args
        self.groups = decay_groups(model, args.weight_decay)
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

    def clip(self, step: int) -> tuple[float, float]:
        """Global norm of all gradients, and the factor that brings it to `max_grad_norm`.

        Raises NonFiniteError naming the first parameter whose gradient is not finite.
        """
        self._fill_missing_gradients()
        limit = self.args.max_grad_norm or None
        norm, scale = kernels.clip_grad_norm([p.grad for _, p in self._named()], limit)
        if not math.isfinite(norm):
            raise self._non_finite(step)
        return float(norm), float(scale)

    def _fill_missing_gradients(self) -> None:
        """A parameter that the loss did not reach has gradient 0; decay still acts on it."""
        for _, parameter in self._named():
            if parameter.grad is None:
                parameter.grad = np.zeros(parameter.data.shape, parameter.data.dtype)

    def _non_finite(self, step: int) -> NonFiniteError:
        for name, parameter in self._named():
            if not np.isfinite(parameter.grad).all():
                return non_finite(f"gradient of {name}", step)
        return non_finite("norm of all gradients", step)

    def step(self, step: int, lr: float, grad_scale: float) -> None:
        """Update every parameter in place from its gradient times `grad_scale`.

        step : int from 1, number of this update
        lr : learning rate of this update
        """
        for group in self.groups:
            self._update(self._arrays(group), step, lr, grad_scale)

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
                f"optimizer.safetensors: {len(odd)} arrays do not fit this run, such as {odd[0]}; "
                "optim, momentum, bf16, freeze and train_only must be as they were"
            )
        for name, array in own.items():
            if array.shape != arrays[name].shape:
                raise CheckpointError(
                    f"optimizer.safetensors: {name} has shape {arrays[name].shape}, "
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

    def __init__(self, model: Any, args: TrainingArguments, masters: Mapping[str, np.ndarray]):
        self.slots = ("momentum_buffer",) if args.momentum else ()
        super().__init__(model, args, masters)

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
    model: Any, args: TrainingArguments, masters: Mapping[str, np.ndarray]
) -> Optimizer:
    """The optimizer that `args.optim` names, over the trained parameters of `model`."""
    return OPTIMIZERS[args.optim](model, args, masters)


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
