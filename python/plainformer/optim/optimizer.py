"""What all optimizers share: groups of parameters, the state of each, and its way out and in.

The arithmetic is one fused kernel over all parameters of a group that are at the same step. A
parameter stored in bfloat16 has a float32 master among its state: the steps are taken on it, and
the parameter is its rounded copy, so that steps too small for bfloat16 add up. Whoever else writes
the parameter, by loading weights into the model for example, is followed by the next step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import (
    CheckpointError,
    ConfigError,
    DTypeError,
    PlainformerError,
    listed,
    short,
    shown,
)
from ..kernels import asarray, xp
from ..kernels._arrays import check_number, holds_numbers
from ..parameter import Parameter
from ..tensor import Array

Params = Iterable[Parameter] | Iterable[tuple[str, Parameter]] | Iterable[dict[str, Any]]
MASTER, STEP = "master", "step"


@dataclass
class OptimizerArrays:
    """The arrays of some parameters in one order, as the kernels take them."""

    params: list[Array]
    grads: list[Array]
    masters: list[Array] | None
    slots: dict[str, list[Array]]


class Optimizer:
    """Base of optimizers: subclasses name their `slots` and define `_update`.

    Parameters
    ----------
    params : Parameters, pairs of a name and one (`model.named_parameters()`), or dicts that hold
        such under `params` beside options of their own
    defaults : options of groups that have none of their own. `lr_scale` may be set for a group as
        well: what its learning rate is multiplied with, whatever the schedule says

    param_groups : list of dict, the parameters and options of each group; options may be written
    state : dict of Parameter to its number of steps, arrays and master

    Raises
    ------
    ConfigError, DTypeError : no parameters, one that is given twice or is none, or an option that
        is not known or out of range
    """

    slots: tuple[str, ...] = ()  # the arrays that a parameter has, float32 of its shape

    def __init__(self, params: Params, defaults: Mapping[str, Any]):
        self.defaults = {**defaults, "lr_scale": 1.0}
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Parameter, dict[str, Any]] = {}
        self._names: dict[Parameter, str] = {}
        self._versions: dict[Parameter, int] = {}  # after the last step, of those with a master
        if isinstance(params, (Parameter, Mapping)) or not isinstance(params, Iterable):
            raise DTypeError(f"params: got {shown(params)}, expected an iterable of Parameters")
        found: list[Any] = list(params)
        is_grouped = bool(found) and all(isinstance(one, Mapping) for one in found)
        for group in found if is_grouped else [{"params": found}]:
            self.add_param_group(group)

    def __repr__(self) -> str:
        groups = [
            ", ".join(f"{k}={v}" for k, v in group.items() if k != "params")
            + f": {len(group['params'])} parameters"
            for group in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(groups)})"

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Take one more dict of `params` and options."""
        if not isinstance(group, Mapping):
            raise DTypeError(f"group: got {shown(group)}, expected a dict of params and options")
        unknown = [name for name in group if name not in {"params", *self.defaults}]
        if unknown:
            raise ConfigError(
                f"params: got a group with {listed(unknown)}, expected params and "
                f"{listed(self.defaults)}"
            )
        given = group.get("params", ())
        members = [given] if isinstance(given, Parameter) else list(given)
        if not members:
            raise ConfigError("params: got no parameters, expected at least one")
        new = {**self.defaults, **group}
        self._check_options(new)
        names = dict(self._names)
        new["params"] = [self._take(one, names) for one in members]
        self._names = names  # all of them, or none
        self.param_groups.append(new)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        """What the kernel says of an update of nothing."""
        self._update(OptimizerArrays([], [], None, {s: [] for s in self.slots}), group, 1, 1.0)

    @staticmethod
    def _rate(group: Mapping[str, Any]) -> float:
        """The learning rate of a group."""
        rates = [check_number(name, group[name], 0.0) for name in ("lr", "lr_scale")]
        return rates[0] * rates[1]

    @staticmethod
    def _take(one: Any, names: dict[Parameter, str]) -> Parameter:
        """A parameter, noted in `names` under its name or its number."""
        is_pair = isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str)
        name, parameter = one if is_pair else (str(len(names)), one)
        if not isinstance(parameter, Parameter):
            raise DTypeError(f"params: got {type(parameter).__name__}, expected nn.Parameters")
        if parameter in names or name in names.values():
            name = names.get(parameter, name)
            raise ConfigError(f"params: got {short(name)} twice, expected each parameter once")
        names[parameter] = name
        return parameter

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters in the order of groups, with their names, or numbers without names."""
        return ((self._names[p], p) for group in self.param_groups for p in group["params"])

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self._names:
            parameter.grad = None

    def step(self, *, grad_scale: float = 1.0) -> None:
        """Update every parameter that has a gradient, in place.

        grad_scale : what every gradient is multiplied with on the way, as
            `kernels.clip_grad_norm` returns it
        """
        for group in self.param_groups:
            for step, states, arrays in self._due(group["params"]):
                self._update(arrays, group, step, grad_scale)
                for state in states:
                    state[STEP] = step

    def _due(
        self, params: Iterable[Parameter]
    ) -> Iterator[tuple[int, list[dict[str, Any]], OptimizerArrays]]:
        """What is kept of parameters with a gradient, and their arrays, by the step that is their
        next and by bytes an element, which tell their dtypes apart: a kernel takes arrays of one.

        In one loop and with one look at each: this is most of an update of small parameters.
        """
        due: dict[tuple[int, int], tuple[list[Array], list[Array], list[dict[str, Any]]]] = {}
        own, made, size = self.state, -1, 0
        for parameter in params:
            grad = parameter.grad
            if grad is not None:
                array = parameter.writable()
                state = own.get(parameter) or self._state_of(parameter)
                itemsize = array.itemsize
                if itemsize == 2:
                    self._follow(parameter, state)
                if state[STEP] != made or itemsize != size:
                    made, size = state[STEP], itemsize
                    arrays, grads, states = due.setdefault((made, size), ([], [], []))
                arrays.append(array)
                grads.append(grad)
                states.append(state)
        for (made, size), (arrays, grads, states) in due.items():
            if set(map(len, states)) != {1 + len(self.slots) + (size == 2)}:  # not whole, or more
                for parameter in params:
                    self._state_of(parameter)
            for part in self._by_kind(arrays, grads, states, size == 2):
                yield made + 1, *part

    def _by_kind(
        self,
        arrays: list[Array],
        grads: list[Array],
        states: list[dict[str, Any]],
        has_masters: bool,
    ) -> Iterator[tuple[list[dict[str, Any]], OptimizerArrays]]:
        """What a kernel takes at once: arrays of one kind. State of a parameter that has moved to
        another device follows it there."""
        masters = [state[MASTER] for state in states] if has_masters else None
        slots = {slot: [state[slot] for state in states] for slot in self.slots}
        kinds = {type(array) for array in arrays}
        if len(kinds.union(*[map(type, own) for own in (*slots.values(), masters or ())])) == 1:
            yield states, OptimizerArrays(arrays, grads, masters, slots)
            return
        for kind in sorted(kinds, key=str):
            mine = [i for i, array in enumerate(arrays) if type(array) is kind]
            for i in mine:
                states[i] |= {
                    name: asarray(kept, arrays[i])
                    for name, kept in states[i].items()
                    if name != STEP
                }
            own = [states[i] for i in mine]
            yield (
                own,
                OptimizerArrays(
                    [arrays[i] for i in mine],
                    [grads[i] for i in mine],
                    [state[MASTER] for state in own] if has_masters else None,
                    {slot: [state[slot] for state in own] for slot in self.slots},
                ),
            )

    def _state_of(self, parameter: Parameter) -> dict[str, Any]:
        """What is kept of a parameter, made when first asked for."""
        state, size = self.state.setdefault(parameter, {STEP: 0}), parameter.data.itemsize
        wide = "float64" if size == 8 else "float32"
        for slot in self.slots:
            if slot not in state:
                state[slot] = xp(parameter.data).zeros(parameter.shape, wide)
        if size != 2:
            state.pop(MASTER, None)
        elif MASTER not in state:
            state[MASTER] = parameter.data.astype(wide)
        return state

    def _follow(self, parameter: Parameter, state: dict[str, Any]) -> None:
        """Let the master be what the parameter is, if another than the last step wrote it."""
        version, data = parameter.version, parameter.data
        known = self._versions.get(parameter, version - 1)  # this step is about to write it
        is_other = known != version - 1 and MASTER in state
        if is_other and (state[MASTER].astype(data.dtype) != data).any():
            state[MASTER] = data.astype("float32")
        self._versions[parameter] = version

    def _update(
        self, arrays: OptimizerArrays, group: Mapping[str, Any], step: int, grad_scale: float
    ) -> None:
        raise NotImplementedError(f"{type(self).__name__} defines no _update")

    def state_dict(self) -> dict[str, Array]:
        """All state as arrays, for `checkpoints.save_file`: `exp_avg.NAME`, `step.NAME`, and of
        each group its options, `param_groups.0.lr`.

        Arrays are the optimizer's own, not copies.
        """
        found = {
            f"{slot}.{name}": np.asarray(value) if slot == STEP else value
            for name, parameter in self.named_parameters()
            for slot, value in self._state_of(parameter).items()
        }
        return found | {
            f"param_groups.{i}.{option}": np.asarray(group[option])
            for i, group in enumerate(self.param_groups)
            for option in self.defaults
        }

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy in what `state_dict` gave, of an optimizer of the same kind and parameters.

        Raises
        ------
        CheckpointError : names or shapes differ, or an option is out of range; nothing is written
        """
        if not isinstance(state, Mapping):
            raise CheckpointError(f"state: got {shown(state)}, expected a dict of arrays")
        own = self.state_dict()
        if own.keys() != state.keys():
            odd = sorted(own.keys() ^ state.keys())
            raise CheckpointError(
                f"state: {len(odd)} arrays do not fit this {type(self).__name__}, such as "
                f"{short(odd[0])}"
            )
        for name, array in own.items():
            given = state[name]
            if not holds_numbers(given):
                raise CheckpointError(f"state: {name}: got {shown(given)}, expected an array")
            if array.shape != given.shape:
                raise CheckpointError(
                    f"state: {name} has shape {shown(given.shape)}, expected {array.shape}"
                )
        steps = {name: int(state[f"{STEP}.{name}"]) for name, _ in self.named_parameters()}
        if (least := min(steps.values(), default=0)) < 0:
            raise CheckpointError(f"state: step: got {least}, expected at least 0")
        options = [self._read_options(i, state) for i in range(len(self.param_groups))]
        for name, parameter in self.named_parameters():
            kept = self.state[parameter]
            for slot in kept.keys() - {STEP}:
                kept[slot][...] = asarray(state[f"{slot}.{name}"], kept[slot])
            kept[STEP] = steps[name]
        self._versions.clear()  # masters are as they were given
        for group, new in zip(self.param_groups, options):
            group.update(new)

    def _read_options(self, i: int, state: Mapping[str, Array]) -> dict[str, Any]:
        """The options of group `i` in what `state_dict` gave."""
        values = {o: np.asarray(state[f"param_groups.{i}.{o}"]).tolist() for o in self.defaults}
        found = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        try:
            self._check_options(found)
        except PlainformerError as error:
            raise CheckpointError(f"state: param_groups.{i}: {error}") from None
        return found
