"""A device that is not there: arrays that say they are a GPU's, as CuPy's would be.

`DeviceArray` hides host memory from NumPy, aligned as a device's and full of NaN when it is fresh.
Its functions, operators and indices take arrays of its own kind and numbers, never NumPy arrays;
`device` is its array module. Both have what `cupy_surface.json` says that CuPy has, with the same
arguments, and no more. Anything that takes an array to be NumPy's, or mixes kinds without
`kernels.asarray`, raises `MixedKindsError`; what CuPy lacks raises `LackingError`. Through DLPack
it says (kDLCUDA, 0).

The kernels are those of `_cpu` under this array class, or those of the emulated CUDA module
(`tests/emulated.py`). `counts` says how often arrays came to the device and went to the host: each
of the latter would wait for a GPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import operator
from collections import Counter
from types import SimpleNamespace

import ml_dtypes
import numpy as np

from plainformer import _cpu
from plainformer.kernels import _backend
from plainformer.kernels._cupy import NAMED, raise_reported
from plainformer.kernels._devices import Device, DeviceKind
from tests.cupy_surface import UFUNCS, allowed

ALIGNMENT = 256
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
SURFACE = allowed()
counts = Counter()


class MixedKindsError(AssertionError):
    """NumPy was given an array of the device, or the device one of NumPy's."""


class LackingError(AssertionError):
    """CuPy has no such function, argument or type."""


# ---- memory -------------------------------------------------------------------------------------


class _Memory(np.ndarray):
    """The bytes behind arrays of the device."""


def _fresh(shape, dtype):
    """An array of NumPy's in new aligned memory, which holds NaN in every float type."""
    shape = (shape,) if np.ndim(shape) == 0 else tuple(shape)
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = _Memory((size + ALIGNMENT,), np.uint8)
    raw.fill(0xFF)
    start = -raw.ctypes.data % ALIGNMENT
    return np.ndarray(shape, dtype, raw, start)


def _is_on_device(array):
    """Whether this is a view of memory of the device."""
    base = array
    while base is not None:  # `as_strided` puts an object of its own in between
        if isinstance(base, _Memory):
            return True
        base = getattr(base, "base", None)
    return False


def _stored(array):
    """The array itself if it is a view of memory of the device, else a copy there."""
    if _is_on_device(array):
        return array
    new = _fresh(array.shape, array.dtype)
    if array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous:
        new = _fresh(array.shape[::-1], array.dtype).T  # as NumPy and CuPy keep the order
    new[...] = array
    return new


# ---- what goes in and comes out -----------------------------------------------------------------


def _inside(x):
    """Arguments of the device as NumPy's."""
    if isinstance(x, DeviceArray):
        return x._hidden
    if isinstance(x, np.ndarray):
        raise MixedKindsError("an array of NumPy's on the device")
    if isinstance(x, (list, tuple)):
        items = [_inside(item) for item in x]
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    if isinstance(x, slice) and any(isinstance(i, DeviceArray) for i in (x.start, x.stop, x.step)):
        raise LackingError("CuPy's arrays are no bounds of slices")
    return x


def _outside(x):
    """Results of NumPy's as those of the device, on which a number is a 0-d array."""
    if isinstance(x, (np.ndarray, np.generic)):
        return DeviceArray(np.asarray(x))
    if isinstance(x, (list, tuple)) and not hasattr(x, "_fields"):
        return type(x)([_outside(item) for item in x])
    return x


def _check_call(name, names, args, kwargs):
    """Raise unless CuPy's function takes these arguments."""
    positional = names[: names.index("*")] if "*" in names else names
    if len(args) > len(positional) and not any(n.startswith("*") for n in positional):
        raise LackingError(f"CuPy's {name} takes {', '.join(positional)}")
    if not any(n.startswith("**") for n in names):
        for word in kwargs.keys() - set(names):
            raise LackingError(f"CuPy's {name} has no {word}")


def _check_types(name, args):
    """Raise where a function of numbers meets bfloat16, and CuPy has none for it."""
    has_bfloat16 = any(isinstance(x, np.ndarray) and x.dtype == BFLOAT16 for x in args)
    if has_bfloat16 and name not in SURFACE["bfloat16"]:
        raise LackingError(f"CuPy's {name} has no bfloat16")


_WAITING = {"argwhere", "array_equal", "flatnonzero", "nonzero", "item", "tolist", "get"}
_OF_WHOLE_ARRAYS = {"argsort", "bincount", "cumsum", "partition", "searchsorted", "sort"}


def _on_device(function, name=None, names=None):
    @functools.wraps(function)
    def call(*args, **kwargs):
        if names is not None:
            _check_call(name, names, args, kwargs)
        counts["syncs"] += name in _WAITING
        args, kwargs = _inside(args), {key: _inside(x) for key, x in kwargs.items()}
        if isinstance(function, np.ufunc) or name in _OF_WHOLE_ARRAYS:
            _check_types(name, args)
        return _outside(function(*args, **kwargs))

    return call


class DeviceArray:
    """An array that NumPy cannot see."""

    __array_ufunc__ = None

    def __init__(self, hidden):
        self._hidden = _stored(hidden)

    def __array__(self, *args, **kwargs):
        raise MixedKindsError("NumPy takes an array of the device for its own")

    def __array_function__(self, *args, **kwargs):
        raise MixedKindsError("a function of NumPy's on an array of the device")

    __array_interface__ = __array_struct__ = property(__array__)

    def __index__(self):
        raise LackingError("CuPy's arrays are no index of Python's; take int(array)")

    def __dlpack_device__(self):
        return 2, 0  # kDLCUDA

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        return _capsule(self._hidden)

    @property
    def flags(self):
        """CuPy knows no others."""
        flags = self._hidden.flags
        names = "c_contiguous", "f_contiguous", "forc", "owndata"
        return SimpleNamespace(**{name: getattr(flags, name) for name in names})

    @property
    def device(self):
        """As CuPy's."""
        return SimpleNamespace(id=0)

    def __getitem__(self, index):
        counts["syncs"] += _has_mask(index)
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
        counts["syncs"] += 1
        return self._hidden.tolist()

    def item(self):
        counts["syncs"] += 1
        return self._hidden.item()

    def get(self):
        """A copy on the host."""
        counts["syncs"] += 1
        return np.array(self._hidden, order="K")


def _has_mask(index):
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, DeviceArray) and part.dtype == bool for part in parts)


def _attribute(name):
    return property(lambda self: getattr(self._hidden, name))


def _method(name):
    names = SURFACE["methods"][name]

    def method(self, *args, **kwargs):
        _check_call(name, names, args, kwargs)
        if name in _OF_WHOLE_ARRAYS:
            _check_types(name, [self._hidden])
        found = _on_device(getattr(self._hidden, name))(*args, **kwargs)
        return found

    return method


def _checked(name, *sides):
    if name in UFUNCS:
        _check_types(name, sides)


def _operator(name, function):
    def call(self, other):
        other = _inside(other)
        _checked(name, self._hidden, other)
        return _outside(function(self._hidden, other))

    return call


def _reflected(name, function):
    def call(self, other):
        other = _inside(other)
        _checked(name, self._hidden, other)
        return _outside(function(other, self._hidden))

    return call


def _in_place(name, function):
    def write(self, other):
        other = _inside(other)
        _checked(name, self._hidden, other)
        function(self._hidden, other)
        return self

    return write


def _unary(function):
    return lambda self: _outside(function(self._hidden))


def _number(function):
    def call(self):
        counts["syncs"] += 1
        return function(self._hidden)

    return call


for _name in ("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides"):
    setattr(DeviceArray, _name, _attribute(_name))
DeviceArray.T = property(_unary(lambda hidden: hidden.T))
for _name in SURFACE["methods"]:
    if _name not in vars(DeviceArray):
        setattr(DeviceArray, _name, _method(_name))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(DeviceArray, f"__{_name}__", _operator(_name, getattr(operator, _name)))
DeviceArray.__hash__ = object.__hash__
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or"):
    _call = getattr(operator, f"__{_name}__")
    setattr(DeviceArray, f"__{_name}__", _operator(_name, _call))
    setattr(DeviceArray, f"__r{_name}__", _reflected(_name, _call))
    if _name != "matmul":
        _call = getattr(operator, f"__i{_name}__")
        setattr(DeviceArray, f"__i{_name}__", _in_place(_name, _call))
for _name in ("neg", "invert", "abs"):
    setattr(DeviceArray, f"__{_name}__", _unary(getattr(operator, _name)))
for _name, _call in (("bool", bool), ("int", int), ("float", float)):
    setattr(DeviceArray, f"__{_name}__", _number(_call))


# ---- DLPack -------------------------------------------------------------------------------------


class _Tensor(ctypes.Structure):
    """DLTensor, as far as it is written here."""

    _fields_ = (
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
    )  # fmt: skip


_BEFORE_TENSOR = 32  # bytes of DLManagedTensorVersioned: version, context, deleter, flags
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)


def _capsule(array):
    """NumPy's capsule, in which the device and bfloat16 are written."""
    is_bfloat16 = array.dtype == BFLOAT16
    exported = array.view(np.uint16) if is_bfloat16 else array
    if array.flags.writeable:
        capsule = exported.__dlpack__()
        address = _pointer_of(capsule, b"dltensor")
    else:  # in a mirror of an array of the host; the capsule that can say so begins otherwise
        capsule = exported.__dlpack__(max_version=(1, 0))
        address = _pointer_of(capsule, b"dltensor_versioned") + _BEFORE_TENSOR
    tensor = _Tensor.from_address(address)
    tensor.device_type = 2  # kDLCUDA
    if is_bfloat16:
        tensor.code = 4  # kDLBfloat
    return capsule


# ---- the array module ---------------------------------------------------------------------------


def _repeat(a, repeats, axis=None):
    if not isinstance(repeats, (int, list, tuple)):
        raise LackingError("CuPy repeats by an int, a list or a tuple")
    return _on_device(np.repeat)(a, repeats, axis)


def _from_host(x, dtype=None, order=None, copy=None):
    """`asarray` and `array` are the way from the host to the device."""
    if isinstance(x, DeviceArray):
        return DeviceArray(np.array(x._hidden, dtype, order=order or "K", copy=copy))
    counts["uploads"] += 1
    hidden = np.array(_inside_list(x), dtype, order=order or "K")
    return DeviceArray(hidden)


def _inside_list(x):
    return _inside(x) if isinstance(x, (list, tuple)) else x


def _broadcast_to(array, shape):
    hidden = np.broadcast_to(array._hidden, shape)
    writable = np.lib.stride_tricks.as_strided(array._hidden, hidden.shape, hidden.strides)
    return DeviceArray(writable)  # on a device nothing is protected


def _filled(function):
    """`zeros`, `full` and others: their memory is the device's from the beginning."""
    return lambda *args, **kwargs: _outside(function(*args, **kwargs))


def _empty(shape, dtype=float, order="C"):
    array = _fresh(shape, dtype)
    return DeviceArray(array if order == "C" else _fresh(array.shape[::-1], dtype).T)


def _empty_like(a, dtype=None, order="K", subok=None, shape=None):
    return _empty(a.shape if shape is None else shape, dtype or a.dtype)


_OWN = {
    "repeat": _repeat, "broadcast_to": _broadcast_to, "empty": _empty, "empty_like": _empty_like,
    "array": lambda x, dtype=None, order=None: _from_host(x, dtype, order, True),
    "asarray": _from_host,
}  # fmt: skip


def _function(name):
    names, own = SURFACE["functions"][name], _OWN.get(name)
    if own is None:
        return _on_device(getattr(np, name), name, names)

    def call(*args, **kwargs):
        _check_call(name, names, args, kwargs)
        return own(*args, **kwargs)

    return call


class _Module:
    """What `kernels.xp` gives for an array of the device."""

    def __getattr__(self, name):
        raise LackingError(f"cupy.{name} is not in cupy_surface.json")


device = _Module()
for _name in SURFACE["functions"]:
    setattr(device, _name, _function(_name))
device.add = SimpleNamespace(
    at=_on_device(np.add.at),
    reduceat=_on_device(np.add.reduceat, "reduceat", SURFACE["reduceat"]),
)
device.lib = SimpleNamespace(stride_tricks=SimpleNamespace(
    as_strided=_on_device(np.lib.stride_tricks.as_strided)))  # fmt: skip


# ---- the kind -----------------------------------------------------------------------------------


class _HostKernels:
    """`_cpu` for arrays of the device; packed weights and numbers pass as they are."""

    def __getattr__(self, name):
        return _on_device(getattr(_cpu, name))


class DoubleKind(DeviceKind):
    """Arrays of the double, with the kernels of a module that is built for the emulation."""

    def __init__(self, compiled):
        super().__init__(compiled, device)

    def to_host(self, array):
        host = array.get()
        self.synchronize()
        return host

    def from_host(self, array, index):
        return device.array(array, order="C")

    def view(self, array):
        return array if isinstance(array, DeviceArray) else DeviceArray(array.inner._hidden)

    def device_of(self, array):
        return Device("cuda", 0)

    def view_of(self, memory, place, like):
        """What `like` is on the host, in memory of the device from byte `place` on."""
        bytes_behind = memory._hidden
        hidden = np.ndarray(like.shape, like.dtype, bytes_behind, place, like.strides)
        hidden.flags.writeable = like.flags.writeable
        return DeviceArray(hidden)

    def synchronize(self):
        error = self.compiled.take_error(0)
        if error is not None:
            raise_reported(error)


class HostKind(DoubleKind):
    """Arrays of the double with the kernels of `_cpu`, which check what they are given at once."""

    floats = (np.dtype(np.float32), BFLOAT16, np.dtype(np.float64))
    defers = False

    def __init__(self):
        super().__init__(_HostKernels())

    def synchronize(self):
        pass


def set_library(compiled):
    """Give kernels of the emulation their memory, as `kernels._cupy.connect` does with CuPy's."""
    compiled.set_library(
        empty=lambda shape, dtype, _: device.empty(shape, NAMED[dtype]),
        address=lambda array: array._hidden.ctypes.data,
        stream=lambda _: 0,
        raise_error=raise_reported,
    )


HOST = HostKind()

_backend.register_kind(DeviceArray, HOST)


@contextlib.contextmanager
def cuda_is(kind):
    """Inside, "cuda" and arrays of the double mean this kind."""
    before = _backend._of_devices["cuda"], _backend._kinds[DeviceArray]
    _backend._of_devices["cuda"] = lambda: kind
    _backend.register_kind(DeviceArray, kind)
    try:
        yield kind
    finally:
        _backend._of_devices["cuda"], _backend._kinds[DeviceArray] = before


def on_device(batch):
    """The arrays of a batch on the device."""
    return {name: DeviceArray(np.array(x)) for name, x in batch.items()}
