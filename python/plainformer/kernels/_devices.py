"""Devices, and what is known of a kind of arrays: whose they are, and how they move."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import ml_dtypes
import numpy as np

from ..errors import ConfigError, DeviceError, shown

bfloat16 = np.dtype(ml_dtypes.bfloat16)
float16 = np.dtype(np.float16)
float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)

_WORD = re.compile(r"(cpu|cuda)(?::(\d{1,4}))?")
AUTO = "auto"


@dataclass(frozen=True)
class Device:
    """Where an array lives, made by `as_device`: its type, "cpu" or "cuda", and which of these.

    `str(device)` is "cpu" or "cuda:1", as in PyTorch.
    """

    type: str
    index: int = 0

    def __str__(self) -> str:
        return self.type if self.type == "cpu" else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"Device({shown(str(self))})"


CPU = Device("cpu")


class Kind:
    """A kind of arrays.

    compiled : the module of their kernels, None where this build has none for them
    module : their array module, NumPy or CuPy
    """

    name = "NumPy"
    type = "cpu"
    defers = False  # whether ids and lengths are checked by the kernels, which tell later
    floats: ClassVar[tuple[np.dtype, ...]] = (float32, bfloat16, float64)

    def __init__(self, compiled: Any, module: Any):
        self.compiled, self.module = compiled, module

    def kernels(self, name: str) -> Any:
        """The module of the kernels, for the argument `name`."""
        return self.compiled

    def to_host(self, array: Any) -> np.ndarray:
        """The array as one of NumPy's."""
        return np.asarray(array)

    def from_host(self, array: np.ndarray, index: int) -> Any:
        """A copy of an array of NumPy's on the device of this number."""
        return array

    def device_of(self, array: Any) -> Device:
        """Where an array lives."""
        return CPU

    def current(self) -> int:
        """The number of the device that computes where none is said."""
        return 0

    def kept_bytes(self) -> int:
        """Bytes of memory taken for arrays, in use or kept for the next ones."""
        return 0

    def describe(self, index: int) -> str:
        """A device's name."""
        return self.type

    def count(self) -> int:
        """How many devices of this kind there are."""
        return 1

    def native(self, name: str, array: Any) -> Any:
        """The array as its array module has it: another library's is viewed."""
        return array

    def synchronize(self) -> None:
        """Wait for what was asked of the devices, and raise what it found wrong."""


class DeviceKind(Kind):
    """A kind of arrays on GPUs, whose kernels begin when they are called and end later."""

    name = "CuPy"
    type = "cuda"
    defers = True
    floats = (float32, bfloat16, float16)


@dataclass(frozen=True)
class Wanted:
    """What a user said of a device: its type, and its number, None for the current one."""

    type: str
    index: int | None


def read_device(device: Any) -> Wanted | None:
    """A device as it was written; None for what is no such word or object.

    "cpu", "cuda", "cuda:1", "auto", a Device, PyTorch's and CuPy's own, or a number as in
    transformers' pipelines: -1 is the CPU, others are GPUs.
    """
    if isinstance(device, Device):
        return Wanted(device.type, device.index)
    is_number = isinstance(device, (int, np.integer)) and not isinstance(device, bool)
    if is_number and -1 <= device < 10_000:
        return Wanted("cpu", 0) if device == -1 else Wanted("cuda", int(device))
    root = type(device).__module__.partition(".")[0]
    if root == "cupy" and hasattr(device, "id"):
        return Wanted("cuda", int(device.id))
    word = str(device) if root == "torch" else device
    if word == AUTO and isinstance(word, str):
        return Wanted(AUTO, None)
    found = _WORD.fullmatch(word) if isinstance(word, str) else None
    if found is None:
        return None
    return Wanted(found[1], None if found[2] is None else int(found[2]))


def check_device(device: Any, name: str = "device") -> Wanted:
    """As `read_device`; ConfigError for anything else. What is not there is not noticed."""
    wanted = read_device(device)
    if wanted is None or (wanted.type == "cpu" and wanted.index):
        raise ConfigError(f"{name}: got {shown(device)}, expected cpu, cuda, cuda:N or auto")
    return wanted


def device_at(kind: Kind, index: int | None) -> Device:
    """The device of a kind with this number, or the current one.

    Raises
    ------
    DeviceError : there are fewer
    """
    if kind.type == "cpu":
        return CPU
    if index is None:
        return Device(kind.type, kind.current())
    count = kind.count()
    if index >= count:
        last = f"{kind.type}:0" + (f" to {kind.type}:{count - 1}" if count > 1 else "")
        raise DeviceError(f"device: got {kind.type}:{index}, expected {last}")
    return Device(kind.type, index)
