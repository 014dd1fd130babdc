"""A device that is not there: arrays of a kind of their own, as CuPy's would be, without a GPU.

`DeviceArray` hides a NumPy array from NumPy. Its functions, operators and indices take arrays of
its own kind and numbers, never NumPy arrays; `device` is its array module, with CuPy's functions
and no others; its kernels are those of `_cpu`. Anything that takes an array to be NumPy's, or mixes
kinds without `kernels.asarray`, raises `MixedKindsError`.
"""

from __future__ import annotations

import operator
from types import SimpleNamespace

import numpy as np

from plainformer import _cpu
from plainformer.kernels._backend import Kind, register_kind


class MixedKindsError(AssertionError):
    """NumPy was given an array of the device, or the device one of NumPy's."""


def _inside(x):
    """Arguments of the device as NumPy's."""
    if isinstance(x, DeviceArray):
        return x._hidden
    if isinstance(x, np.ndarray):
        raise MixedKindsError("an array of NumPy's on the device")
    if isinstance(x, (list, tuple)):
        items = [_inside(item) for item in x]
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    return x


def _outside(x):
    """Results of NumPy's as those of the device, on which a number is a 0-d array."""
    if isinstance(x, (np.ndarray, np.generic)):
        return DeviceArray(np.asarray(x))
    if isinstance(x, (list, tuple)) and not hasattr(x, "_fields"):
        return type(x)([_outside(item) for item in x])
    return x


def _on_device(function):
    def call(*args, **kwargs):
        args, kwargs = _inside(args), {name: _inside(x) for name, x in kwargs.items()}
        return _outside(function(*args, **kwargs))

    return call


class DeviceArray:
    """An array that NumPy cannot see."""

    __array_ufunc__ = None

    def __init__(self, hidden):
        self._hidden = hidden

    def __array__(self, *args, **kwargs):
        raise MixedKindsError("NumPy takes an array of the device for its own")

    def __array_function__(self, *args, **kwargs):
        raise MixedKindsError("a function of NumPy's on an array of the device")

    __array_interface__ = __array_struct__ = property(__array__)

    @property
    def flags(self):
        """CuPy knows no others."""
        flags = self._hidden.flags
        names = "c_contiguous", "f_contiguous", "forc", "owndata"
        return SimpleNamespace(**{name: getattr(flags, name) for name in names})

    def __getitem__(self, index):
        return _outside(self._hidden[_inside(index)])

    def __setitem__(self, index, value):
        self._hidden[_inside(index)] = _inside(value)

    def __len__(self):
        return len(self._hidden)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return f"device {self._hidden!r}"

    def tolist(self):
        return self._hidden.tolist()

    def item(self):
        return self._hidden.item()


def _attribute(name):
    return property(lambda self: getattr(self._hidden, name))


def _method(name):
    def method(self, *args, **kwargs):
        assert "initial" not in kwargs, "CuPy's reductions have no initial value"
        return _on_device(getattr(self._hidden, name))(*args, **kwargs)

    return method


def _operator(function):
    return lambda self, other: _outside(function(self._hidden, _inside(other)))


def _reflected(function):
    return lambda self, other: _outside(function(_inside(other), self._hidden))


def _in_place(function):
    def write(self, other):
        function(self._hidden, _inside(other))
        return self

    return write


def _unary(function):
    return lambda self: _outside(function(self._hidden))


def _number(function):
    return lambda self: function(self._hidden)


for _name in ("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides"):
    setattr(DeviceArray, _name, _attribute(_name))
DeviceArray.T = property(_unary(lambda hidden: hidden.T))
for _name in (  # methods of cupy.ndarray
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "copy", "cumsum", "fill", "max",
    "min", "ravel", "repeat", "reshape", "sort", "sum", "transpose", "view",
):  # fmt: skip
    setattr(DeviceArray, _name, _method(_name))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(DeviceArray, f"__{_name}__", _operator(getattr(operator, _name)))
DeviceArray.__hash__ = object.__hash__
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or"):
    _call = getattr(operator, f"__{_name}__")
    setattr(DeviceArray, f"__{_name}__", _operator(_call))
    setattr(DeviceArray, f"__r{_name}__", _reflected(_call))
    setattr(DeviceArray, f"__i{_name}__", _in_place(getattr(operator, f"__i{_name}__")))
for _name in ("neg", "invert", "abs"):
    setattr(DeviceArray, f"__{_name}__", _unary(getattr(operator, _name)))
for _name, _call in (("bool", bool), ("int", int), ("float", float), ("index", operator.index)):
    setattr(DeviceArray, f"__{_name}__", _number(_call))


# What CuPy 13 has of NumPy's.
FUNCTIONS = (
    "abs", "all", "any", "arange", "argmax", "argmin", "argsort", "argwhere", "array",
    "array_equal", "asarray", "ascontiguousarray", "bincount", "broadcast_to", "clip",
    "concatenate", "copyto", "count_nonzero", "cumsum", "diff", "empty", "empty_like", "exp",
    "flatnonzero", "full", "full_like", "isfinite", "isin", "isnan", "isneginf", "log", "log1p",
    "maximum", "minimum", "nextafter", "nonzero", "ones", "ones_like", "pad", "partition",
    "put_along_axis", "repeat", "searchsorted", "sort", "split", "sqrt", "square", "stack", "sum",
    "take_along_axis", "tile", "where", "zeros", "zeros_like",
)  # fmt: skip


def _repeat(a, repeats, axis=None):
    assert isinstance(repeats, (int, list, tuple)), "CuPy repeats by an int, a list or a tuple"
    return _on_device(np.repeat)(a, repeats, axis)


def _from_host(x, dtype=None, order=None, copy=None):
    """`asarray` and `array` are the way from the host to the device."""
    hidden = x._hidden if isinstance(x, DeviceArray) else np.asarray(x)
    return DeviceArray(np.array(hidden, dtype, order=order or "K", copy=copy))


device = SimpleNamespace(
    **{name: _on_device(getattr(np, name)) for name in FUNCTIONS},
    add=SimpleNamespace(at=_on_device(np.add.at), reduceat=_on_device(np.add.reduceat)),
    lib=SimpleNamespace(stride_tricks=SimpleNamespace(
        as_strided=_on_device(np.lib.stride_tricks.as_strided))),
)  # fmt: skip
device.repeat = _repeat
device.array = lambda x, dtype=None, order=None: _from_host(x, dtype, order, True)
device.asarray = _from_host


class _Kernels:
    """`_cpu` for arrays of the device; packed weights and numbers pass as they are."""

    def __getattr__(self, name):
        return _on_device(getattr(_cpu, name))


register_kind(DeviceArray, Kind(_Kernels(), device, lambda x: x._hidden.copy()))


def to_device(model):
    """Move a module's parameters and buffers, as `model.to("cuda")` will."""
    for _, parameter in model.named_state():
        parameter.assign(DeviceArray(np.array(parameter.data)))
    return model


def on_device(batch):
    """The arrays of a batch on the device."""
    return {name: DeviceArray(np.array(x)) for name, x in batch.items()}
