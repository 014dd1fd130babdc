"""Packed weights of parameters, kept for inference until a parameter is written.

`kernels.linear` reads a packed weight faster than the array it was made from. A parameter has at
most one packed copy: alone (`Parameter.packed`), or side by side with others that multiply the
same rows, so that one product serves them all (`packed_together`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from . import kernels
from .checkpoints.mapped import release_pages
from .kernels._devices import CPU
from .kernels.devices import device_of
from .modes import Block, Mode


class Weight(Protocol):
    """What is packed: a Parameter, by what is asked of it here."""

    version: int
    pack: Pack | None

    @property
    def data(self) -> Any:
        """The array."""

    @property
    def sources(self) -> tuple[Any, ...]:
        """The parameters that are read where it is packed: itself, and scales of its own."""

    def pack_with(self, others: Sequence[Any], transposed: bool) -> Any:
        """This weight and others side by side, as kernels read them."""

    def drop_pack(self) -> None:
        """Forget the packed copy."""


_packs = Mode("packs", True)  # operations that are not recorded pack their weights


def plain_weights() -> Block[bool]:
    """Inside, read weights as they are stored: they will change before a copy pays.

    For passes that are not recorded yet belong to a training step.
    """
    return _packs.set(False)


def packs_weights() -> bool:
    """False inside `plain_weights`."""
    return _packs.get()


class Pack:
    """One packed weight and what it was made from. All its parameters point to it."""

    __slots__ = ("ids", "only_version", "transposed", "versions", "weight")

    def __init__(self, parameters: Sequence[Weight], transposed: bool):
        self.ids = tuple(map(id, parameters))
        self.transposed = transposed
        self.versions = tuple([p.version for p in parameters])  # read before the values are
        self.only_version = self.versions[0] if len(parameters) == 1 else None
        self.weight: Any = parameters[0].pack_with(parameters[1:], transposed)

    def weight_of(self, parameters: Sequence[Weight], transposed: bool) -> Any:
        """The packed weight if it is that of these parameters as they are now, else None."""
        weight = self.weight  # once: another thread may drop it
        if weight is None or not weight.is_current or transposed != self.transposed:
            return None
        if self.ids != tuple(map(id, parameters)):
            return None
        for parameter, version in zip(parameters, self.versions):
            if parameter.version != version or parameter.pack is not self:
                return None
        return weight


def packed_together(parameters: Sequence[Weight], *, transposed: bool = False) -> Any:
    """The weights of several parameters packed side by side, made when first asked for.

    A parameter has one packed copy: this one replaces others that it took part in. It is dropped
    as soon as any of the parameters is written, and made anew when the ISA level changed. The
    pages of a memory-mapped weight are let go once it is packed. Threads may ask at once.

    Parameters
    ----------
    parameters : sequence of Parameter (out, in), one dtype, one `in`
    transposed : bool, each is stored (in, out), as in `nn.Conv1D`

    Returns
    -------
    packed : kernels.PackedWeight (sum of out, in), the parameters' columns in their order;
        kernels.Int8Weight of quantized parameters

    Raises
    ------
    ShapeError, DTypeError : as `kernels.pack_weight`
    """
    if not parameters:
        return kernels.pack_weight([])  # which says so
    weight = _weight_of(parameters, transposed)
    if weight is None and device_of(parameters[0].data) != CPU:
        return parameters[0].pack_with(parameters[1:], transposed)
    if weight is None:
        with _lock:
            weight = _weight_of(parameters, transposed)
            if weight is None:
                weight = _pack(parameters, transposed)
    return weight


def _weight_of(parameters: Sequence[Weight], transposed: bool) -> Any:
    pack = parameters[0].pack
    return None if pack is None else pack.weight_of(parameters, transposed)


def _pack(parameters: Sequence[Weight], transposed: bool) -> Any:
    for parameter in parameters:
        parameter.drop_pack()  # before there is a second one
    pack = Pack(parameters, transposed)
    weight = pack.weight
    for parameter in parameters:
        for source in parameter.sources:
            source.pack = pack  # who writes it drops the pack
        release_pages(parameter.data)
    return weight


_lock = threading.Lock()


def _renew_lock() -> None:
    """In the child of a fork nobody is left to release it."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
