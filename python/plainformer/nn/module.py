"""The module: a tree of parameters with names.

Attributes that are Parameters (or Buffers), Modules or lists of Modules belong to the tree; a
parameter's name is the path to it, `h.0.attn.c_attn.weight`. A parameter reachable by two paths
(a tied weight) has one name, the first in order of assignment.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from ..checkpoints.huggingface import match_keys
from ..errors import ConfigError, DTypeError, listed, shown
from ..tensor import Array, Buffer, Parameter

DTYPES = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


class Module:
    """Base of all modules: subclasses set attributes in `__init__` and define `forward`."""

    training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module computes."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Direct submodules with their names; those of a list are `name.index`."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list):
                yield from ((f"{name}.{i}", m) for i, m in enumerate(value))

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        yield self
        for _, child in self.named_children():
            yield from child.modules()

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its name, in order of assignment."""
        return ((name, p) for name, p in self.named_state() if not isinstance(p, Buffer))

    def named_state(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter and buffer once: what is saved."""
        seen: set[int] = set()
        for name, parameter in self._walk(""):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def _walk(self, prefix: str) -> Iterator[tuple[str, Parameter]]:
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield prefix + name, value
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}{name}.")

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter once."""
        return (parameter for _, parameter in self.named_parameters())

    def num_parameters(self, *, only_trainable: bool = False) -> int:
        """How many numbers the parameters hold, a tied one counted once."""
        return sum(p.size for p in self.parameters() if p.requires_grad or not only_trainable)

    def train(self, mode: bool = True) -> Any:
        """Switch dropout and the tape on, or off with `mode=False`; returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Any:
        """The same as `train(False)`."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, dtype: Any) -> Any:
        """Convert parameters and buffers to float32, bfloat16 or float64 in place; returns self."""
        wanted = float_dtype(dtype)
        for _, parameter in self.named_state():
            if parameter.dtype != wanted:
                parameter.assign(parameter.data.astype(wanted))
                parameter.grad = None
        return self

    def freeze(self, patterns: Iterable[str]) -> list[str]:
        """Stop training the parameters that match a glob; returns their names.

        A glob names a run of whole segments anywhere in a name: `wte`, `h.[0-3]`, `ln_*.bias`.
        """
        if isinstance(patterns, str):
            raise ConfigError(
                f"patterns: got the string {shown(patterns)}, expected a list of globs"
            )
        parameters = dict(self.named_parameters())
        frozen: set[str] = set()
        for pattern in patterns:
            found = {name for name in parameters if matches(name, pattern)}
            if not found:
                some = listed(parameters, 3)
                raise ConfigError(f"{shown(pattern)} matches no parameter; names are like {some}")
            frozen |= found
        for name in frozen:
            parameters[name].requires_grad = False
        return [name for name in parameters if name in frozen]

    def state_dict(self) -> dict[str, Array]:
        """Read-only views of all parameters and buffers by name; a tied one appears once."""
        return {name: parameter.data for name, parameter in self.named_state()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy arrays into parameters and buffers, each converted to the dtype there.

        Raises
        ------
        CheckpointError : naming every missing, unexpected and mismatched array; nothing is written
        """
        parameters = dict(self.named_state())
        shapes = {name: parameter.shape for name, parameter in parameters.items()}
        for name, array in match_keys(state, shapes, source="state").items():
            parameter = parameters[name]
            parameter.assign(np.array(array, dtype=parameter.dtype, order="C"))


def float_dtype(dtype: Any) -> np.dtype:
    """The dtype that parameters may have behind a name, a NumPy type or an ml_dtypes type."""
    found = DTYPES.get(dtype) if isinstance(dtype, str) else np.dtype(dtype)
    if found is None or found not in DTYPES.values():  # NumPy: dtype(float64) == None
        raise DTypeError(f"dtype: got {shown(dtype)}, expected one of {', '.join(DTYPES)}")
    return found


def matches(name: str, pattern: str) -> bool:
    """True if a glob matches a run of whole dotted segments of `name`."""
    return fnmatch.fnmatchcase(f".{name}.", f"*.{pattern}.*")
