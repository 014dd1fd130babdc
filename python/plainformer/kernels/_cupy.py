"""CuPy's arrays and the kernels that compute on them; both are imported when first asked for."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import numpy as np

from ..errors import DeviceError, DTypeError, ShapeError, short
from ._devices import Device, DeviceKind, bfloat16, float16, float32

OLDEST = (14, 0)
"""The first CuPy whose bfloat16 computes and crosses DLPack (docs/cuda.md says what needs it)."""

INSTALL = 'pip install "plainformer[cuda13]"'
BUILD = (
    "pip install --force-reinstall --no-deps --no-cache-dir --no-binary plainformer plainformer "
    "-C cmake.define.PLAINFORMER_CUDA=ON"
)
"""Over what is installed, which pip would leave alone, as it would take a wheel built before."""
_lock = threading.Lock()


class CupyKind(DeviceKind):
    """CuPy's arrays; any other library's with DLPack are viewed as such.

    missing : why there are no kernels for them, where there are none
    """

    def __init__(self, cupy: Any):
        compiled, self.missing = _compiled()
        super().__init__(compiled, cupy)
        if compiled is not None:
            connect(compiled, cupy)

    def kernels(self, name: str) -> Any:
        """The module of the kernels.

        Raises
        ------
        DeviceError : this build has none; says how to get them
        """
        if self.compiled is None:
            raise DeviceError(
                f"{name}: got a CuPy array, but {self.missing}; "
                "or copy the array to the host with cupy.asnumpy"
            )
        return self.compiled

    def to_host(self, array: Any) -> np.ndarray:
        """A copy on the host, after all that was asked of its stream before.

        Raises
        ------
        ShapeError : a kernel met a wrong id, label or length
        """
        with array.device:
            host = array.get()
        self._raise_found(array.device.id)
        return host

    def from_host(self, array: np.ndarray, index: int) -> Any:
        """A copy on GPU `index`."""
        with self.module.cuda.Device(index):
            return self.module.array(array, order="C")

    def view(self, array: Any) -> Any:
        """An array of another library, on a GPU, as CuPy's: the same memory."""
        return self.module.from_dlpack(array)

    def device_of(self, array: Any) -> Device:
        """The GPU of an array."""
        return Device(self.type, array.device.id)

    def current(self) -> int:
        """CuPy's current device."""
        return self.module.cuda.Device().id

    def kept_bytes(self) -> int:
        """What CuPy's pool has taken of the current GPU."""
        return self.module.get_default_memory_pool().total_bytes()

    def describe(self, index: int) -> str:
        """A GPU's name and memory."""
        name, memory = self.compiled.describe_device(index)
        return f"{name}, {memory / 2**30:.0f} GiB"

    def count(self) -> int:
        """How many GPUs the driver shows."""
        return self.module.cuda.runtime.getDeviceCount()

    def synchronize(self) -> None:
        """Wait for CuPy's current stream.

        Raises
        ------
        ShapeError : a kernel met a wrong id, label or length
        """
        self.module.cuda.get_current_stream().synchronize()
        for device in range(self.count()):
            self._raise_found(device)

    def _raise_found(self, device: int) -> None:
        error = None if self.compiled is None else self.compiled.take_error(device)
        if error is not None:
            raise_reported(error)


class ForeignKind(DeviceKind):
    """Arrays of other libraries on a GPU, such as PyTorch's: viewed as CuPy's, which results are.

    of : the kind that they are viewed as
    """

    def __init__(self, of: Any):
        super().__init__(of.compiled, of.module)
        self.of = of

    def kernels(self, name: str) -> Any:
        """The kernels, for such arrays and for CuPy's beside them."""
        return _ForeignKernels(self, self.of.kernels(name))

    def native(self, name: str, array: Any) -> Any:
        """CuPy's view of the array.

        Raises
        ------
        DTypeError : it lends no memory, as PyTorch's with a gradient
        """
        if not is_foreign(array):
            return array
        try:
            return self.of.view(array)
        except Exception as error:
            raise DTypeError(f"{name}: lends no memory ({short(error)}); detach it") from None

    def to_host(self, array: Any) -> np.ndarray:
        """A copy on the host."""
        return self.of.to_host(self.native("x", array))

    def device_of(self, array: Any) -> Device:
        """The GPU of an array."""
        return Device(self.type, int(array.__dlpack_device__()[1]))

    def synchronize(self) -> None:
        """CuPy's kind waits."""


class _ForeignKernels:
    """Compiled functions whose arrays are viewed, and copied where their strides do not fit."""

    def __init__(self, kind: ForeignKind, compiled: Any):
        self._kind, self._compiled = kind, compiled

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._compiled, name)

        def call(*arguments: Any) -> Any:
            viewed = [self._viewed(x) for x in arguments]
            return function(*viewed)

        return call

    def _viewed(self, x: Any) -> Any:
        if isinstance(x, (list, tuple)):
            return type(x)([self._viewed(item) for item in x])
        return self._kind.native("array", x)


ON_GPU = (2, 13)  # kDLCUDA and kDLCUDAManaged of DLPack


def is_foreign(array: Any) -> bool:
    """Whether this is an array of another library than NumPy and CuPy, on a GPU."""
    where = getattr(type(array), "__dlpack_device__", None)
    if where is None or type(array).__module__.partition(".")[0] in ("numpy", "cupy"):
        return False
    return int(where(array)[0]) in ON_GPU


def connect(compiled: Any, cupy: Any) -> None:
    """Let kernels make their results with CuPy, whose pool keeps memory, and run on the stream
    that is current there."""
    runtime = cupy.cuda.runtime

    def empty(shape: Any, dtype: str, device: int) -> Any:
        if device == runtime.getDevice():
            return cupy.empty(shape, NAMED[dtype])
        with cupy.cuda.Device(device):
            return cupy.empty(shape, NAMED[dtype])

    compiled.set_library(
        empty=empty,
        address=lambda array: array.data.ptr,
        stream=lambda device: cupy.cuda.get_current_stream(device).ptr,
        raise_error=raise_reported,
    )


_MADE = (float32, bfloat16, float16, np.dtype(np.int64), np.dtype(np.uint8))
NAMED = {str(dtype): dtype for dtype in _MADE}
"""What kernels call the element types of the arrays that they ask for."""

_EXPECTED = {
    "cu_seqlens_q": "0, then no decrease up to the {limit} rows, no step beyond max_seqlen_q",
    "cu_seqlens_k": "0, then no decrease up to the {limit} rows, no step beyond max_seqlen_k",
    "cache_seqlens": "0 to {limit}, which the cache has room for",
}


def raise_reported(error: tuple[str, int, int, int]) -> None:
    """Raise what a kernel has found wrong: (argument, index, value, limit).

    Raises
    ------
    ShapeError
    """
    argument, index, value, limit = error
    expected = _EXPECTED.get(argument, "0 to {last}").format(limit=limit, last=limit - 1)
    raise ShapeError(
        f"{argument}: got {value} at flat index {index}, expected {expected}; a kernel on the GPU "
        "found it, called before this"
    )


def load_cupy() -> CupyKind:
    """The kind of CuPy's arrays, for one who asked for a GPU.

    Raises
    ------
    DeviceError : CuPy, the kernels, the driver or a GPU is not there; says what to do
    """
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        _, missing = _compiled()
        raise DeviceError(
            f"device: got cuda, but CuPy cannot be imported ({short(error)}); {INSTALL}"
            + (f"; also, {missing}" if missing else "")
        ) from None
    version = getattr(cupy, "__version__", "0")
    if _numbers(version) < OLDEST:
        raise DeviceError(
            f"device: got cuda, but CuPy is {version}, expected at least "
            f"{'.'.join(map(str, OLDEST))}, whose bfloat16 is needed; {INSTALL}"
        )
    kind = cupy_kind(cupy)
    if kind.compiled is None:
        raise DeviceError(f"device: got cuda, but {kind.missing}")
    try:
        count = kind.count()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(
            f"device: got cuda, but no GPU answers ({short(error)}); CUDA 13 needs NVIDIA's driver "
            "580 or newer, and nvidia-smi shows what is there; or ask for cpu"
        ) from None
    if not count:
        raise DeviceError("device: got cuda, but there is no GPU; or ask for cpu")
    return kind


def cupy_kind(cupy: Any) -> CupyKind:
    """The one kind of CuPy's arrays."""
    global _kind
    with _lock:
        if _kind is None or _kind.module is not cupy:
            _kind = CupyKind(cupy)
        return _kind


_kind: CupyKind | None = None


def _compiled() -> tuple[Any, str]:
    """The compiled module, or why there is none."""
    try:
        return importlib.import_module("plainformer._cuda"), ""
    except ModuleNotFoundError:
        return None, f"this build has only CPU kernels; build the others from source: {BUILD}"
    except ImportError as error:  # it is there, and a library that it needs is not
        return None, f"the CUDA kernels do not load ({short(error)})"


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version."""
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())
