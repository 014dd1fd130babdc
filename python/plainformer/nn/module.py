"""The module: a tree of parameters with names.

Attributes that are Parameters (or Buffers) or Modules belong to the tree, also inside lists, tuples
and dicts, at any depth and beside other values. A parameter's name is the path to it,
`h.0.attn.c_attn.weight`. A parameter reachable by two paths (a tied weight) has one name, the first
in order of assignment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import ml_dtypes
import numpy as np

from ..checkpoints.matching import fit_state
from ..errors import CheckpointError, ConfigError, DTypeError, short, shown
from ..kernels._arrays import holds_numbers
from ..kernels._devices import Device, read_device
from ..kernels.devices import as_device, device_of
from ..modes import Mode
from ..parameter import Buffer, Parameter
from ..quantized import QuantizedParameter
from ..tape import no_grad
from ..tensor import Array
from ._repr import tree
from .freezing import count_parameters, matching

DTYPES = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


_evaluating = Mode("evaluating", False)
_CONTAINERS = (list, tuple, dict, set, frozenset)

M = TypeVar("M", bound="Module")


class Module:
    """Base of all modules: subclasses set attributes in `__init__` and define `forward`."""

    _training = True

    @property
    def training(self) -> bool:
        """Whether this module works as in training; never in a thread that is `evaluating`."""
        return self._training and not _evaluating.get()

    @training.setter
    def training(self, mode: bool) -> None:
        self._training = mode

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module computes."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __repr__(self) -> str:
        return tree(self)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Direct submodules with their names; those of a list are `name.index`.

        Raises
        ------
        ConfigError : a module or parameter in a set, or under a key that makes no name
        """
        return ((name, m) for name, m in self._members() if isinstance(m, Module))

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module, whose name is empty, and all below it by the first path to each."""
        return ((path, module) for path, module, _ in self._walk())

    def _walk(self) -> Iterator[tuple[str, Module, list[tuple[str, Parameter]]]]:
        """Every module once, by the first path to it, with the parameters and buffers of its own.

        In one loop and with one look at each: training walks a model several times a step.
        """
        seen: set[int] = set()
        waiting: list[tuple[str, Module]] = [("", self)]
        while waiting:
            path, module = waiting.pop()
            if id(module) in seen:  # shared, or a child that knows its parent
                continue
            seen.add(id(module))
            own: list[tuple[str, Parameter]] = []
            below: list[tuple[str, Module]] = []
            for name, member in module._members():
                name = f"{path}.{name}" if path else name
                if isinstance(member, Parameter):
                    own.append((name, member))
                else:
                    below.append((name, member))
            waiting += below[::-1]
            yield path, module, own

    def _members(self) -> list[tuple[str, Module | Parameter]]:
        found: list[tuple[str, Module | Parameter]] = []
        for name, value in vars(self).items():
            if isinstance(value, (Module, Parameter)):
                found.append((name, value))
            elif isinstance(value, _CONTAINERS) and value:
                found += _inside(name, value)
        return found

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its name, in order of assignment."""
        return ((name, p) for name, p in self.named_state() if not isinstance(p, Buffer))

    def named_state(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter and buffer once: what is saved."""
        seen: set[int] = set()
        for _, _, own in self._walk():
            for name, parameter in own:
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter once."""
        return (parameter for _, parameter in self.named_parameters())

    def num_parameters(self, *, only_trainable: bool = False) -> int:
        """How many numbers the parameters hold, a tied one counted once."""
        trained, total = count_parameters(self)
        return trained if only_trainable else total

    def train(self: M, mode: bool = True) -> M:
        """Switch dropout and the tape on, or off with `mode=False`; returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """The same as `train(False)`."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for _, _, own in self._walk():
            for _, parameter in own:
                parameter.grad = None

    @property
    def device(self) -> Device:
        """Where the first parameter or buffer lives; the CPU for a module without any."""
        first = next((p for _, p in self.named_state()), None)
        return as_device("cpu") if first is None else device_of(first.data)

    def to(self: M, *where: Any, device: Any = None, dtype: Any = None) -> M:
        """Move parameters and buffers to a device, convert them to a float type, or both, in
        place; returns self.

        Parameters
        ----------
        where : a device, a dtype, or one of each: `to("cuda")`, `to("bfloat16")`
        device : "cpu", "cuda" (the current GPU), "cuda:1" or "auto"; gradients move along. An
            optimizer's state follows at its next step
        dtype : float32, bfloat16 or float64, of which GPUs have no float64; gradients are dropped

        Raises
        ------
        DTypeError : no such type, or weights of a type that the device does not compute
        ConfigError, DeviceError : no such device, or what it needs is missing
        """
        place, wanted = wanted_of(where, device, dtype)
        self._check_floats(place, wanted)
        for _, parameter in self.named_state():
            quantized = isinstance(parameter, QuantizedParameter)
            if wanted is not None and parameter.dtype != wanted and not quantized:
                parameter.assign(parameter.data.astype(wanted))
                parameter.grad = None
            if place is not None:
                parameter.move(place)
        return self

    def cuda(self: M, index: int | None = None) -> M:
        """The same as `to("cuda")`, or `to("cuda:1")` with an index."""
        return self.to(device="cuda" if index is None else index)

    def cpu(self: M) -> M:
        """The same as `to("cpu")`."""
        return self.to(device="cpu")

    def _check_floats(self, place: Device | None, wanted: np.dtype | None) -> None:
        """Raise before anything has moved or been converted."""
        for name, parameter in self.named_state():
            dtype = wanted or parameter.dtype
            where = place or parameter.device
            if wanted == DTYPES["float64"] and isinstance(parameter, QuantizedParameter):
                raise DTypeError(
                    f"{name}: got dtype {wanted}, with which int8 weights are not multiplied; use "
                    "float32 or bfloat16"
                )
            if dtype == DTYPES["float64"] and where.type != "cpu":
                hint = (
                    'convert the module with to("float32")'
                    if wanted is None
                    else "use float32, or the CPU"
                )
                raise DTypeError(
                    f"{name}: got dtype {dtype}, which {where} does not compute; {hint}"
                )

    def freeze(self, patterns: Iterable[str] | None = None) -> list[str]:
        """Stop training the parameters that a glob matches, or all; returns their names.

        A glob names a run of whole segments anywhere in a name: `wte`, `h.[0-3]`, `ln_*.bias`.
        """
        return self._set_requires_grad(patterns, False)

    def unfreeze(self, patterns: Iterable[str] | None = None) -> list[str]:
        """Train the parameters that a glob matches, or all; returns their names."""
        return self._set_requires_grad(patterns, True)

    def _set_requires_grad(self, patterns: Iterable[str] | None, wanted: bool) -> list[str]:
        parameters = dict(self.named_parameters())
        chosen = set(parameters) if patterns is None else matching(parameters, patterns)
        for name in chosen:
            parameters[name].requires_grad = wanted
        return [name for name in parameters if name in chosen]

    def state_dict(self) -> dict[str, Array]:
        """Read-only views of all parameters and buffers by name; a tied one appears once."""
        return {name: parameter.data for name, parameter in self.named_state()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy arrays into parameters and buffers, each converted to the dtype there.

        Raises
        ------
        CheckpointError : naming every missing, unexpected and mismatched array; nothing is written
        DTypeError : no int8 numbers for a quantized weight; nothing is written
        """
        if not isinstance(state, Mapping):
            raise CheckpointError(f"state: got {shown(state)}, expected a dict of arrays")
        for name, array in state.items():
            if not holds_numbers(array):
                raise CheckpointError(
                    f"state: {short(name)}: got {shown(array)}, expected an array"
                )
        parameters = dict(self.named_state())
        shapes = {name: parameter.shape for name, parameter in parameters.items()}
        matched, _ = fit_state(state, shapes, source="state")
        for name, array in matched.items():
            parameter = parameters[name]
            if isinstance(parameter, QuantizedParameter):
                parameter.check_state(f"state: {short(name)}", array)
        for name, array in matched.items():
            parameters[name].copy_from(array)


def _inside(
    path: str, value: Any, around: tuple[int, ...] = ()
) -> Iterator[tuple[str, Module | Parameter]]:
    """Modules and parameters in a container, with their names; `around` are those it is in."""
    if id(value) in around:
        return
    around = (*around, id(value))
    if isinstance(value, (Module, Parameter)):
        yield path, value
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if isinstance(item, (Module, Parameter)):  # most often
                yield f"{path}.{index}", item
            elif isinstance(item, _CONTAINERS):
                yield from _inside(f"{path}.{index}", item, around)
    elif isinstance(value, dict):
        for key, item in value.items():
            is_name = isinstance(key, (str, int)) and str(key) and "." not in str(key)
            for name, found in _inside(f"{path}.{key}", item, around):
                if not is_name:
                    raise ConfigError(
                        f"{path}: got a module under {shown(key)}, expected a word as key"
                    )
                yield name, found
    elif isinstance(value, (set, frozenset)) and any(
        isinstance(item, (Module, Parameter)) for item in value
    ):
        raise ConfigError(f"{path}: got modules in a set, which has no order; use a list or a dict")


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Inside, in this thread alone, models work as in eval mode and nothing is recorded.

    A model that is no Module, as `Trainer` takes it too, is switched, and switched back at the end.
    """
    switched = not isinstance(model, Module) and model.training
    if switched:
        model.eval()
    try:
        with _evaluating.set(True), no_grad():
            yield
    finally:
        if switched:
            model.train()


def wanted_of(
    where: tuple[Any, ...], device: Any = None, dtype: Any = None
) -> tuple[Device | None, np.dtype | None]:
    """The device and the dtype that the arguments of a `to` ask for; None for what they leave."""
    for given in where:
        is_device = read_device(given) is not None
        if (device if is_device else dtype) is not None or len(where) > 2:
            raise ConfigError(f"to: got {shown(where)}, expected a device, a dtype or one of each")
        device, dtype = (given, dtype) if is_device else (device, given)
    if device is None and dtype is None:
        raise ConfigError("to: got nothing, expected a device, a dtype or one of each")
    return (
        None if device is None else as_device(device),
        None if dtype is None else float_dtype(dtype),
    )


def float_dtype(dtype: Any) -> np.dtype:
    """The dtype that parameters may have behind a name, a NumPy type or an ml_dtypes type.

    torch's types and their names ("torch.bfloat16") mean those of the same name.
    """
    if isinstance(dtype, str) or type(dtype).__module__ == "torch":
        dtype = str(dtype).removeprefix("torch.")
    try:
        found = DTYPES.get(dtype) if isinstance(dtype, str) else np.dtype(dtype)
    except (TypeError, ValueError):
        found = None
    if found is None or found not in DTYPES.values():  # NumPy: dtype(float64) == None
        raise DTypeError(f"dtype: got {shown(dtype)}, expected one of {', '.join(DTYPES)}")
    return found
