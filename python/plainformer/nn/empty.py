"""What parameters hold when a layer is made: torch's random numbers, zeros, or nothing yet."""

from __future__ import annotations

import functools
import math
import threading

import numpy as np

from ..errors import ConfigError, shown
from ..modes import Block, Mode
from ..tensor import Array

_MOST = 1 << 60  # numbers; their bytes still fit an index
_WEIGHTS = 0  # of the streams of a seed, the one of weights

_empty = Mode("empty", False)  # whether parameters are made without memory
_drawn = Mode("drawn", True)  # whether a layer draws its own weights


def init_empty_weights() -> Block[bool]:
    """Context manager: inside, new parameters of any size take no memory.

    Each holds one number seen at every place, for shapes to compare or to load into. It is
    read-only, and copied when it is written.
    """
    return _empty.set(True)


def undrawn_weights() -> Block[bool]:
    """Context manager or decorator: inside, layers leave matrices and biases at zero.

    For models, which draw all their weights at once afterwards, or load them.
    """
    return _drawn.set(False)


class _Default(threading.local):
    """What each thread draws from: the stream of weights of seed 0, until another is wanted."""

    @functools.cached_property
    def generator(self) -> np.random.Generator:
        """Made when first drawn from: `numpy.random` takes milliseconds to import."""
        return weights_of(0)


def weights_of(seed: int) -> np.random.Generator:
    """The random numbers that weights are made of under a seed."""
    return np.random.Generator(np.random.Philox(key=[seed, _WEIGHTS]))


_default = _Default()


def manual_seed(seed: int) -> None:
    """Let the layers that this thread makes from now on begin with the weights of `seed`.

    Without it they begin with those of seed 0, in each thread; NumPy's global generator is never
    used. A layer's `generator` argument goes before both.

    Raises
    ------
    ConfigError : seed is no whole number from 0 to 2**64 - 1
    """
    if type(seed) is not int or not 0 <= seed < 1 << 64:
        raise ConfigError(f"seed: got {shown(seed)}, expected a whole number from 0 to 2**64 - 1")
    _default.generator = weights_of(seed)


def new_array(shape: tuple[int, ...], value: float = 0.0) -> Array:
    """A float32 array full of `value`. Raises ConfigError for more numbers than can be."""
    if min(shape, default=0) < 0:
        raise ConfigError(f"a parameter of shape {shown(shape)}: sizes are at least 0")
    if max(shape, default=0) >= _MOST or math.prod(shape) >= _MOST:
        raise ConfigError(f"a parameter of shape {shown(shape)} is larger than any memory")
    if _empty.get():
        return np.broadcast_to(np.float32(value), shape)
    return np.zeros(shape, np.float32) if value == 0 else np.full(shape, value, np.float32)


def uniform(
    shape: tuple[int, ...], inputs: int, generator: np.random.Generator | None = None
) -> Array:
    """Draws from U(-1/sqrt(inputs), 1/sqrt(inputs)), with which torch's linear layers begin.

    torch writes it as `kaiming_uniform_(a=sqrt(5))` for the weight. Where nothing is drawn, zeros.
    """
    zeros = new_array(shape)
    if _is_plain() or not inputs:
        return zeros
    bound = 1 / math.sqrt(inputs)
    return (generator or _default.generator).uniform(-bound, bound, shape).astype(np.float32)


def normal(
    shape: tuple[int, ...], deviation: float = 1.0, generator: np.random.Generator | None = None
) -> Array:
    """Draws from N(0, deviation). Where nothing is drawn, zeros."""
    weights = new_array(shape)
    if not _is_plain():
        (generator or _default.generator).standard_normal(out=weights, dtype=np.float32)
        weights *= np.float32(deviation)
    return weights


def _is_plain() -> bool:
    return _empty.get() or not _drawn.get()
