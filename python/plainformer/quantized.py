"""Parameters of int8 numbers with scales: multiplied and looked up, never trained.

They stand in a module in the place of the float parameter that they were made from, and know by
themselves how they are packed and multiplied (`functional.linear`, `functional.embedding`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import kernels
from .errors import ConfigError, DeviceError, DTypeError
from .kernels._devices import Device
from .parameter import Buffer, Parameter
from .tensor import Array

NOT_TRAINED = (
    "int8 weights are not trained; train the model that they were quantized from, and quantize it "
    "afterwards"
)
_INT8 = np.dtype(np.int8)


class QuantizedParameter(Parameter):
    """A weight as int8 values in the layer's own layout, and scales (out, groups) beside it.

    Parameters
    ----------
    values : array (out, in), or (in, out) where `is_in_out`, int8
    scale : Buffer (out, groups), whose dtype is what rows are looked up in
    group_size : neighbors along `in` that share a scale; None means all
    dynamic : bool, quantize what it is multiplied with, too (`kernels.linear_int8`)
    is_in_out : bool, as `nn.Conv1D` stores it
    """

    __slots__ = ("dynamic", "group_size", "is_in_out", "scale")

    def __init__(
        self,
        values: Array,
        scale: Buffer,
        group_size: int | None = None,
        dynamic: bool = False,
        is_in_out: bool = False,
    ):
        self.scale, self.group_size = scale, group_size
        self.dynamic, self.is_in_out = dynamic, is_in_out
        super().__init__(values, requires_grad=False)

    @classmethod
    def of(
        cls, weight: Parameter, group_size: int | None, dynamic: bool, is_in_out: bool
    ) -> QuantizedParameter:
        """A float parameter quantized; one without memory becomes another without memory."""
        array = weight.data.T if is_in_out else weight.data
        if array.size > 1 and not any(array.strides):  # of init_empty_weights: a shape and no more
            group = min(group_size or array.shape[1], array.shape[1])
            groups = -(-array.shape[1] // group)
            values: Array = np.broadcast_to(np.int8(0), weight.shape)
            scale: Array = np.broadcast_to(array.dtype.type(0), (array.shape[0], groups))
        else:
            values, scale = kernels.quantize_weight(array, group_size)
            values = np.ascontiguousarray(values.T) if is_in_out else values
        return cls(values, Buffer(scale), group_size, dynamic, is_in_out)

    def assign(self, array: Array) -> None:
        """Hold these int8 values from now on.

        Raises
        ------
        DTypeError : they are no int8 numbers
        """
        _check_values("data", array)
        super().assign(array)

    def copy_from(self, array: Array, dtype: Any = None) -> None:
        """Hold a copy of these int8 values from now on; no dtype makes others of them.

        Raises
        ------
        DTypeError : they are no int8 numbers
        """
        _check_values("array", array)
        super().copy_from(array)

    @property
    def sources(self) -> tuple[Parameter, ...]:
        """The values and their scales: either written makes a packed copy stale."""
        return self, self.scale

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "requires_grad" and value:
            raise ConfigError(f"requires_grad: got True; {NOT_TRAINED}")
        super().__setattr__(name, value)

    def move(self, device: Device) -> None:
        """Stay on the CPU.

        Raises
        ------
        DeviceError : another device is asked for
        """
        if device.type != "cpu":
            raise DeviceError(f"device: got {device}; int8 weights are for the CPU alone")

    def pack_with(self, others: Sequence[Any], transposed: bool) -> kernels.Int8Weight:
        """This weight and others of its kind side by side, as `kernels.linear_int8` reads them."""
        parts: list[Any] = [self, *others]
        values = [p.data.T if transposed else p.data for p in parts]
        scales = [p.scale.data for p in parts]
        if others:
            return kernels.pack_int8(
                np.concatenate(values), np.concatenate(scales), self.group_size
            )
        return kernels.pack_int8(values[0], scales[0], self.group_size)

    def is_like(self, other: Any) -> bool:
        """Whether both can be packed side by side."""
        return (
            isinstance(other, QuantizedParameter)
            and other.group_size == self.group_size
            and other.dynamic == self.dynamic
        )

    def rows(self, ids: Array) -> Array:
        """The rows of these ids (...), as numbers (..., in) of the scale's dtype."""
        flat = ids.reshape(-1)
        rows = kernels.dequantize_weight(self.data[flat], self.scale.data[flat], self.group_size)
        return rows.reshape(*ids.shape, self.shape[1])

    def dequantized(self) -> Array:
        """The float weight that it stands for, in the layer's own layout."""
        values = self.data.T if self.is_in_out else self.data
        weight = kernels.dequantize_weight(values, self.scale.data, self.group_size)
        return weight.T if self.is_in_out else weight

    def check_state(self, name: str, array: Array) -> None:
        """Raise DTypeError, naming the array of a state, if `copy_from` would."""
        _check_values(name, array)

    def __reduce__(self) -> tuple:
        return (
            QuantizedParameter,
            (self._array, self.scale, self.group_size, self.dynamic, self.is_in_out),
        )


def _check_values(name: str, array: Any) -> None:
    got = getattr(array, "dtype", type(array).__name__)
    if got != _INT8:
        raise DTypeError(f"{name}: got {got}, expected int8 values of a quantized weight")
