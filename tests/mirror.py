"""NumPy's arrays computed on a device: what lets the tests of `tests/kernels` run there unchanged.

`mirrored(kind)` puts a module in the place of `_cpu`. Its functions copy the arrays of a call to
the device, with their strides, their alignment and what they share, call the device's kernels, and
copy back what was written. So a test that gives NumPy's arrays to `kernels` tests whatever kernels
are behind it, and the wrappers' checks and words with them. A wrong id or length, which kernels of
a device report later, is reported as if it had been found at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import types

import numpy as np

from plainformer.kernels import _backend
from plainformer.kernels._devices import DeviceKind


class Block:
    """The bytes of one owner of memory that a call's arrays are views of, and their copy."""

    def __init__(self, root):
        self.start = self.low = self.high = root.__array_interface__["data"][0]
        self.arrays = []

    def add(self, array):
        low, high = np.lib.array_utils.byte_bounds(array)
        if not self.arrays:
            self.low, self.high = low, high
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.arrays.append(array)

    def bytes_on_host(self):
        kind = ctypes.c_ubyte * (self.high - self.low)
        return np.frombuffer(kind.from_address(self.low), np.uint8)

    def upload(self, kind):
        """Copy the bytes to where they are as aligned as on the host."""
        lead = (self.low - self.start) % 256
        self.before = self.bytes_on_host().copy()
        whole = np.zeros(lead + len(self.before), np.uint8)
        whole[lead:] = self.before
        self.copy, self.lead = kind.from_host(whole, 0), lead

    def view(self, array):
        """The array of the device that is what this one is on the host."""
        place = array.__array_interface__["data"][0] - self.low + self.lead
        return self.kind.view_of(self.copy, place, array)

    def download(self, kind):
        """Copy back what has changed; False where it may not."""
        after = kind.to_host(self.copy)[self.lead :]
        if after.tobytes() == self.before.tobytes():
            return True
        if not all(array.flags.writeable for array in self.arrays if self.changed(array, after)):
            return False
        self.bytes_on_host()[...] = after
        return True

    def changed(self, array, after):
        """Whether the device has other numbers where this array is."""
        place = array.__array_interface__["data"][0] - self.low
        now = np.ndarray(array.shape, array.dtype, after.copy(), place, array.strides)
        return array.size and now.tobytes() != array.tobytes()


def root_of(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def is_array(x):
    return isinstance(x, np.ndarray) and not isinstance(x, (np.ma.MaskedArray, np.matrix))


class Call:
    """The arrays of one call, here and there."""

    def __init__(self, kind, arguments):
        self.kind, self.blocks, self.pairs = kind, {}, []
        self._collect(arguments)
        for block in self.blocks.values():
            block.kind = kind
            block.upload(kind)

    def _collect(self, x):
        if is_array(x):
            root = root_of(x)
            self.blocks.setdefault(id(root), Block(root)).add(x)
        elif isinstance(x, (list, tuple)):
            for item in x:
                self._collect(item)

    def there(self, x):
        if is_array(x):
            twin = self.blocks[id(root_of(x))].view(x)
            self.pairs.append((twin, x))
            return twin
        if isinstance(x, (list, tuple)):
            items = [self.there(item) for item in x]
            return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
        return x

    def back(self, x):
        """Results as NumPy's; what was lent for one is itself again."""
        for twin, own in self.pairs:
            if x is twin:
                return own
        if isinstance(x, tuple):
            return tuple(self.back(item) for item in x)
        if isinstance(x, (bool, int, float, type(None))):
            return x
        return self.kind.to_host(x)


class MirrorModule:
    """A compiled module of a device for arrays of the host."""

    def __init__(self, kind):
        self._kind = kind

    def __getattr__(self, name):
        function = getattr(self._kind.compiled, name)

        def call(*arguments):
            mirrored = Call(self._kind, arguments)
            result = function(*mirrored.there(list(arguments)))
            error = self._kind.compiled.take_error(0)
            if result is None or error is not None:
                return None  # the wrapper looks at the numbers, and has the words
            if not all(block.download(self._kind) for block in mirrored.blocks.values()):
                return None  # something was written that may not be
            return mirrored.back(result)

        return call


@contextlib.contextmanager
def mirrored(kind):
    """Inside, arrays of NumPy's are computed on by the kernels of a device."""
    numpy_kind = _backend._NUMPY
    before = _backend._cpu, numpy_kind.compiled
    _backend._cpu = numpy_kind.compiled = MirrorModule(kind)
    numpy_kind.floats, numpy_kind.type = DeviceKind.floats, "cuda"
    try:
        yield kind
    finally:
        _backend._cpu, numpy_kind.compiled = before
        del numpy_kind.floats, numpy_kind.type


def is_mirrored():
    """Whether arrays of NumPy's are computed on a device."""
    return not isinstance(_backend._cpu, types.ModuleType)
