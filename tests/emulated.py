"""The CUDA kernels' host emulation: built when it is first asked for.

`module()` is `_cuda_emulated`, made by CMake and the host's compiler from the files of `_cuda`, and
kept in a cache by the hash of its sources.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.device import DeviceArray, DoubleKind, cuda_is, device, set_library

ROOT = Path(__file__).parent.parent
SOURCES = ("CMakeLists.txt", "cmake", "csrc")


def source_hash() -> str:
    """A name for the state of everything that the module is made of, Python and compiler too."""
    digest = hashlib.sha256(f"{sys.version} {sysconfig.get_config_var('CXX')}".encode())
    for name in SOURCES:
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "cpu" not in file.relative_to(ROOT).parts[:2]:
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where built modules lie: `PLAINFORMER_EMULATION_CACHE`, else in the user's cache."""
    chosen = os.environ.get("PLAINFORMER_EMULATION_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "plainformer/emulation"


def build(folder: Path, *options: str) -> Path:
    """The module, built into `folder` unless it is there; with CMake's options."""
    built = folder / f"_cuda_emulated{sysconfig.get_config_var('EXT_SUFFIX')}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run of the tests may be building the same
        if not built.exists():
            _build(folder, options)
    return built


def _build(folder: Path, options: tuple[str, ...]) -> None:
    import pybind11

    configure = [
        "cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja",
        "-DPLAINFORMER_CUDA_EMULATED=ON", f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", *options,
    ]  # fmt: skip
    # CMake and ninja of the environment that runs the tests: a machine need not have its own.
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"PATH": tools}
    if shutil.which("ccache"):  # most files are those of the last build, in another folder
        configure.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        environment |= {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"}
    for command in (configure, ["cmake", "--build", str(folder), "-j2"]):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-8000:]}{done.stderr[-8000:]}")


def load(path: Path):
    """The compiled module at `path`."""
    spec = importlib.util.spec_from_file_location("_cuda_emulated", path)
    compiled = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compiled)
    return compiled


@functools.cache
def module():
    """`_cuda_emulated`, with the memory of `tests.device` behind it."""
    given = os.environ.get("PLAINFORMER_CUDA_EMULATED")  # one that was built by hand
    compiled = load(Path(given) if given else build(cache_folder() / source_hash()))
    set_library(compiled)
    return compiled


def to_device(array) -> DeviceArray:
    """A NumPy array copied to the emulated device."""
    return device.array(array, order="C")


def empty(shape, dtype) -> DeviceArray:
    """An array of the device whose elements are NaN, as what nobody wrote should look."""
    return device.empty(shape, dtype)


@contextlib.contextmanager
def emulated(capability: int = 90, order: str | None = None, poison: int | None = None):
    """Within it, arrays of the device are computed on by the emulated CUDA kernels.

    The order of threads and the poison of shared memory are `EMU_ORDER`'s and `EMU_POISON`'s
    unless they are given: csrc/cuda/emulation/control.h.
    """
    compiled = module()
    compiled.set_capability(capability)
    compiled.set_order(order or os.environ.get("EMU_ORDER", "fifo"))
    compiled.set_poison(int(os.environ.get("EMU_POISON", "0xff"), 0) if poison is None else poison)
    with cuda_is(DoubleKind(compiled)):
        yield compiled
