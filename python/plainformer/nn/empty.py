"""What parameters hold before they are drawn or loaded, and models without any memory for it."""

from __future__ import annotations

import math

import numpy as np

from ..errors import ConfigError, shown
from ..modes import Block, Mode
from ..tensor import Array

_MOST = 1 << 60  # numbers; their bytes still fit an index


_empty = Mode("empty", False)  # whether parameters are made without memory


def init_empty_weights() -> Block[bool]:
    """Context manager: inside, new parameters of any size take no memory.

    Each holds one number seen at every place, for shapes to compare or to load into. It is
    read-only, and copied when it is written.
    """
    return _empty.set(True)


def new_array(shape: tuple[int, ...], value: float = 0.0) -> Array:
    """A float32 array full of `value`. Raises ConfigError for more numbers than can be."""
    if min(shape, default=0) < 0:
        raise ConfigError(f"a parameter of shape {shown(shape)}: sizes are at least 0")
    if max(shape, default=0) >= _MOST or math.prod(shape) >= _MOST:
        raise ConfigError(f"a parameter of shape {shown(shape)} is larger than any memory")
    if _empty.get():
        return np.broadcast_to(np.float32(value), shape)
    return np.zeros(shape, np.float32) if value == 0 else np.full(shape, value, np.float32)
