"""Parameters: leaves of the tape that modules own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import kernels
from .checkpoints.mapped import release_pages
from .errors import PlainformerError
from .kernels._backend import backend
from .kernels._devices import Device
from .kernels.devices import to_device
from .packing import Pack, packed_together
from .tensor import Array, Tensor


class Parameter(Tensor):
    """A leaf that a module owns: trained, named, saved.

    `data` lends a read-only view; writers go through `writable` or `assign`, which count
    `version`, so that whatever is derived from a weight knows when it is stale, and drop the
    packed copy.
    """

    version: int

    __slots__ = ("_array", "_view", "pack", "version")

    def __init__(self, data: Array, requires_grad: bool = True):
        self._set_up(requires_grad)
        self.version = -1
        self.pack: Pack | None = None
        self.assign(data)

    @property
    def data(self) -> Array:
        """A read-only view of the weights."""
        return self._view

    def assign(self, array: Array) -> None:
        """Hold this array from now on; it is not copied and may change shape and dtype.

        Raises
        ------
        DTypeError : it is no array
        """
        backend("data", array)
        self._array = array
        self._view = array.view()
        if getattr(self._view.flags, "writeable", False):  # on a device nothing can be protected
            self._view.flags.writeable = False
        self._count_write()

    def move(self, device: Device) -> None:
        """Live on another device from now on, with the gradient; stays where it is already."""
        before = self._array
        moved = to_device(before, device)
        if moved is not before:
            self.assign(moved)
            release_pages(before)
        if self.grad is not None:
            self.grad = to_device(self.grad, device)

    def copy_from(self, array: Array, dtype: Any = None) -> None:
        """Hold a copy of this array from now on, in the dtype that is held, or another."""
        beside = kernels.asarray(array, self._array)
        self.assign(kernels.xp(beside).array(beside, dtype=dtype or self.dtype, order="C"))

    def _refuse_in_place(self, other: Any) -> Any:
        """`p -= x` would give the name `p` to a new Tensor, and leave the weights as they are."""
        raise PlainformerError(
            "+= -= *= /= **=: got a Parameter, which they do not write; write "
            "parameter.writable()[...] -= ..., or use an optimizer"
        )

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _refuse_in_place

    def __reduce__(self) -> tuple:
        """Copies get an array and a view of it, not two arrays."""
        return Parameter, (self._array, self.requires_grad)

    def writable(self) -> Array:
        """The array itself, to write now; ask again before every later write."""
        array = self._array
        if not getattr(array.flags, "writeable", True):
            self.assign(array.copy())  # a mapped file, or what its owner protected
            return self._array
        self.version += 1  # not by _count_write: every update writes every parameter
        if self.pack is not None:
            self.drop_pack()
        return array

    def _count_write(self) -> None:
        self.version += 1
        self.drop_pack()

    @property
    def sources(self) -> tuple[Parameter, ...]:
        """What is read where this weight is packed."""
        return (self,)

    def pack_with(self, others: Sequence[Any], transposed: bool) -> Any:
        """This weight and others side by side, packed: see `packing.packed_together`."""
        return kernels.pack_weight([p.data.T if transposed else p.data for p in [self, *others]])

    def packed(self, transposed: bool = False) -> Any:
        """This weight (out, in), or stored (in, out) and `transposed`, as `kernels.linear` reads
        it fastest; made when first asked for, see `packing.packed_together`."""
        pack = self.pack
        if pack is not None and pack.only_version == self.version:  # the short way
            weight = pack.weight
            if weight is not None and weight.is_current and pack.transposed == transposed:
                return weight
        return packed_together((self,), transposed=transposed)

    def drop_pack(self) -> None:
        """Free the packed copy, also that of others with which it is packed side by side."""
        pack, self.pack = self.pack, None
        if pack is not None:
            pack.weight = None


class Buffer(Parameter):
    """An array that a module owns and saves, but never trains: it gets no gradient."""

    __slots__ = ()

    def __init__(self, data: Array):
        super().__init__(data, requires_grad=False)

    def __reduce__(self) -> tuple:
        return Buffer, (self._array,)
