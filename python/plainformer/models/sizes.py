"""How large a model would be, before it is built: against memory, and against its weights' file.

A configuration of a few bytes may ask for any size. Building without memory for the weights
(`nn.init_empty_weights`) tells every shape in milliseconds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ..errors import CheckpointError, ConfigError, listed
from ..nn import Module, init_empty_weights
from ..runtime import available_memory
from .config import Shape

_GB = 1e9


def parameter_shapes(kind: Any, config: Any) -> dict[str, Shape]:
    """The shape of every parameter and buffer that a model class has under a configuration."""
    with init_empty_weights():
        model: Module = kind(config, seed=None)
    return {name: parameter.shape for name, parameter in model.named_state()}


def check_memory(shapes: Mapping[str, Shape], config: Any, itemsize: int = 4) -> None:
    """Raise unless parameters of these shapes fit into the memory that is available.

    Raises
    ------
    ConfigError : with the size, the largest parameter, and the fields that it follows from
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    need, have = sum(sizes.values()) * itemsize, available_memory()
    if have is None or need <= have:
        return
    largest = max(sizes, key=lambda name: sizes[name])
    said = listed(sized_fields(config, shapes[largest]))
    raise ConfigError(
        f"{said or 'config'}: {sum(sizes.values()):,} parameters need {need / _GB:,.1f} GB, and "
        f"{have / _GB:,.1f} GB are available; {largest} alone has the shape {shapes[largest]}"
    )


def check_layers(config: Any, stored: Mapping[str, Any], source: str) -> None:
    """Raise if a configuration has more layers than a checkpoint has arrays, before they are built.

    Raises
    ------
    CheckpointError : naming the field
    """
    for name in config.layer_fields:
        count = getattr(config, name)
        if count > len(stored):
            raise CheckpointError(
                f"{source}: {name}: got {count} in config.json, but there are {len(stored)} arrays "
                "of weights, and every layer has some"
            )


def sized_fields(config: Any, sizes: Shape) -> list[str]:
    """The fields of a configuration whose numbers are among these sizes, the largest first."""
    names = (f.name for f in dataclasses.fields(config) if not f.name.endswith("_token_id"))
    values = {name: getattr(config, name) for name in names}
    found = {n: value for n, value in values.items() if type(value) is int and value in sizes}
    return sorted(found, key=lambda name: -found[name])
