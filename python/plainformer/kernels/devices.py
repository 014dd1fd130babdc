"""Where arrays live: devices that are there, and copies from one to another."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DeviceError
from ._backend import kind_at, kind_of, kinds, moved
from ._devices import AUTO, CPU, Device, check_device, device_at


def as_device(device: Any) -> Device:
    """A device that is there.

    Parameters
    ----------
    device : "cpu", "cuda" (the current GPU), "cuda:1", "auto" (a GPU where one can be used, else
        the CPU), a Device, PyTorch's or CuPy's own, or a number: -1 the CPU, others GPUs

    Raises
    ------
    ConfigError : none of these
    DeviceError : CuPy, this package's CUDA kernels, the driver or the GPU is missing; says which
    """
    wanted = check_device(device)
    if wanted.type == AUTO:
        return as_device("cuda") if is_available("cuda") else CPU
    return device_at(kind_at(wanted.type), wanted.index)


def is_available(device: Any) -> bool:
    """Whether a device can be used: it is there, and so is all that it needs."""
    try:
        as_device(device)
    except DeviceError:
        return False
    return True


def describe_gpus() -> tuple[list[str], str]:
    """The names of the GPUs that can be used, and why there are none where there are none."""
    try:
        kind = kind_at("cuda")
    except DeviceError as error:
        return [], str(error).removeprefix("device: got cuda, but ")
    return [kind.describe(i) for i in range(kind.count())], ""


# TFLOP/s of dense products, NVIDIA's data sheets: float32 without tensor cores, as ours is, and
# bfloat16 with them.
_PEAKS = {"A100": (19.5, 312.0), "H100": (67.0, 989.0), "H200": (67.0, 989.0)}


def peak_flops(like: Any, dtype: str) -> float | None:
    """What the GPU of an array does at most, FLOP a second; None for one that is not known."""
    kind = kind_of("like", like)
    name = kind.describe(kind.device_of(like).index)
    found = next((peaks for word, peaks in _PEAKS.items() if word in name), None)
    return None if found is None else 1e12 * found[dtype == "bfloat16"]


def kept_bytes(like: Any) -> int:
    """Bytes that the pool of an array's GPU has taken so far, in use or not."""
    return kind_of("like", like).kept_bytes()


def device_of(x: Any) -> Device:
    """Where an array lives.

    Parameters
    ----------
    x : array of any kind

    Raises
    ------
    DTypeError : x is no array of a known kind
    """
    return CPU if type(x) is np.ndarray else kind_of("x", x).device_of(x)


def to_device(x: Any, device: Any) -> Any:
    """`x` on a device: itself where it is there, else a copy.

    Parameters
    ----------
    x : array of any kind
    device : as for `as_device`

    Raises
    ------
    DTypeError : x is no array of a known kind
    ConfigError, DeviceError : as for `as_device`
    """
    place, found = as_device(device), kind_of("x", x)
    if found.device_of(x) == place:
        return x
    return moved(x, found, kind_at(place.type), place)


def synchronize() -> None:
    """Wait until the kernels that were called have ended, on whatever device.

    Kernels on a GPU begin when they are called. What they find wrong with an id, a label or a
    length is raised here, or where an array is copied to the host.

    Raises
    ------
    ShapeError : naming the argument, the value, its place and what was expected
    """
    for kind in kinds():
        kind.synchronize()
