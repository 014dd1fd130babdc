"""What a function is to the fuzzer: its valid arguments, and what comes in their place."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import ml_dtypes
import numpy as np

from plainformer.tensor import Tensor

from .mutate import DEEP, junk

Strategy = Callable[[Random], Any]


@dataclass
class Function:
    """A public function and what its arguments are drawn from.

    call : the function
    arguments : name to strategy; each argument is left out, valid or junk
    """

    call: Callable[..., Any]
    arguments: Mapping[str, Strategy] = field(default_factory=dict)

    def draw(self, random: Random) -> dict[str, Any]:
        """Arguments, at least one of them odd."""
        names = list(self.arguments)
        odd = set(random.sample(names, random.randint(1, min(2, len(names)))))
        return {n: self.odd(random) if n in odd else self.arguments[n](random) for n in names}

    def odd(self, random: Random) -> Any:
        """A value that nobody would give on purpose."""
        value = junk(random)
        return [[]] if isinstance(value, str) and value == DEEP else value


def one_of(*values: Any) -> Strategy:
    """One of some valid values."""
    return lambda random: random.choice(values)


def floats(*shape: int, dtype: Any = np.float32) -> Strategy:
    """Numbers around 0 of one shape."""
    return lambda random: (
        np.array([random.gauss(0, 1) for _ in range(int(np.prod(shape)))], np.float64)
        .reshape(shape)
        .astype(dtype)
    )


def whole(*values: Any, dtype: Any = np.int64) -> Strategy:
    """An array of these integers."""
    return lambda random: np.array(values, dtype)


def lists(*items: Strategy) -> Strategy:
    """A list of what each item gives."""
    return lambda random: [item(random) for item in items]


def tensors(strategy: Strategy) -> Strategy:
    """The same on the tape."""

    def made(random: Random) -> Any:
        value = strategy(random)
        return Tensor(value, requires_grad=value.dtype == np.float32)

    return made


_TYPES = (
    np.float64, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, np.int8, np.int32,
    np.uint64, np.bool_, np.complex64, object, "U3", "S3", "M8[s]", ">f4", ">i8",
)  # fmt: skip


def _read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


def _misaligned(a: np.ndarray) -> np.ndarray:
    buffer = np.zeros(a.nbytes + 1, np.uint8)
    view = buffer[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


# Another array where one is wanted: of another shape, order, kind or content.
_CHANGES: tuple[Callable[[np.ndarray], Any], ...] = (
    lambda a: a[..., None], lambda a: a[None], lambda a: a.reshape(-1), lambda a: a.T,
    lambda a: a[..., ::-1], lambda a: a[::-1], lambda a: a[..., :0], lambda a: a[:0],
    lambda a: a[:-1], lambda a: np.concatenate([a, a]), lambda a: np.concatenate([a, a], -1),
    lambda a: np.concatenate([a, a])[::2], lambda a: np.broadcast_to(a.reshape(-1)[:1], a.shape),
    lambda a: a.reshape(-1)[:1].reshape(()), lambda a: a * 0, _read_only, _misaligned,
    lambda a: np.full_like(a, -1), lambda a: np.full(a.shape, 10**9).astype(a.dtype),
    np.asfortranarray,
    lambda a: a.tolist(), lambda a: np.ma.masked_array(a), lambda a: np.asmatrix(a.reshape(-1)),
    lambda a: memoryview(np.ascontiguousarray(a)),
    lambda a: np.full(a.shape, np.nan, np.float32), lambda a: np.full(a.shape, np.inf, np.float32),
)  # fmt: skip


def changed(random: Random, value: Any) -> Any:
    """`value` with something odd about it."""
    if isinstance(value, Tensor):
        other = changed(random, value.data)
        keep = isinstance(other, np.ndarray) and random.random() < 0.8
        return Tensor(other) if keep else other
    if isinstance(value, (list, tuple)) and value and random.random() < 0.7:
        items = list(value)
        at = random.randrange(len(items))
        edit = random.choice(("change", "drop", "repeat", "same"))
        if edit == "drop":
            del items[at]
        elif edit == "repeat":
            items.append(items[at])
        else:
            items[at] = items[0] if edit == "same" else changed(random, items[at])
        return random.choice((items, items, tuple(items)))
    if isinstance(value, np.ndarray) and value.ndim and value.size and random.random() < 0.8:
        if random.random() < 0.3:
            return value.astype(random.choice(_TYPES))
        return random.choice(_CHANGES)(value)
    found = junk(random)
    return [[]] if isinstance(found, str) and found == DEEP else found


class Call(Function):
    """A function of arrays; what is odd comes from what would be right."""

    def __init__(self, call: Callable[..., Any], **arguments: Strategy | Mapping[str, Strategy]):
        super().__init__(call, arguments)  # type: ignore[arg-type]

    def draw(self, random: Random) -> dict[str, Any]:
        given = {name: strategy(random) for name, strategy in self.arguments.items()}
        for name in random.sample(list(given), random.randint(1, min(2, len(given)))):
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # NumPy has opinions on what is odd
                given[name] = changed(random, given[name])
        return given
