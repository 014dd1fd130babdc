"""Threads, memory and processor of this process.

The kernels share one pool of threads and one cache of memory a process. Both look after
themselves; this module shows them and sets their bounds. Environment variables, read once on first
use:

PLAINFORMER_NUM_THREADS   most threads by default; OMP_NUM_THREADS counts where it is unset
PLAINFORMER_CPU_ISA       ISA level: generic, avx2, avx512, avx512bf16 or amx; on arm64
                          generic, neon or neon_bf16
PLAINFORMER_CACHE_LIMIT   bytes of freed memory kept for reuse, such as 0, 500M or 2G
PLAINFORMER_POISON        1 fills fresh memory with NaN, to find uses before a write
"""

from __future__ import annotations

import importlib.util
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, TypeVar

from . import _cpu
from .errors import ConfigError, DTypeError, shown, warn_once
from .kinds import as_index

T = TypeVar("T")
_peaks: dict[tuple[str, str, int], float] = {}

__all__ = [
    "available_levels", "available_memory", "compiled_file", "cpu_features", "cpu_summary",
    "current_level", "get_num_threads", "measure_bandwidth", "measure_peak", "memory_stats",
    "num_threads", "reset_peak_memory", "set_num_threads", "threadpool_info", "trim_memory",
    "use_level",
]  # fmt: skip


def set_num_threads(n: int) -> None:
    """Let every parallel loop of this process use `n` threads, the calling one included.

    `n` is taken as given: 7 on two processors really runs seven ways. The bytes of a result do not
    depend on it.

    Raises
    ------
    ConfigError : unless 1 <= n <= 1024
    DTypeError : if n is no whole number
    """
    count = as_index("num_threads", n)
    if not 1 <= count <= _cpu.MAX_THREADS:
        raise ConfigError(f"num_threads: got {count}, expected 1 to {_cpu.MAX_THREADS}")
    _cpu.set_num_threads(count)


def get_num_threads() -> int:
    """Threads a parallel loop may use, the calling one included.

    Until `set_num_threads` it is the least of the processors this process may run on, the CPU
    quota of its control group, and PLAINFORMER_NUM_THREADS or else OMP_NUM_THREADS.
    """
    return _cpu.get_num_threads()


class _ForProcess(Generic[T]):
    """A setting of the whole process, and the `with` blocks that change it, in order of entry.

    Threads may overlap in such blocks: each undoes its own, and after the last one the setting is
    what it was before the first.
    """

    def __init__(self, get: Callable[[], T], put: Callable[[T], None]):
        self._get, self._put = get, put
        self._before: list[list[T]] = []  # a cell a block: what to return to
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew_lock)

    @contextmanager
    def block(self, value: T) -> Iterator[None]:
        """Inside, the setting is `value`, until another block is entered."""
        with self._lock:
            cell = [self._get()]
            self._put(value)
            self._before.append(cell)
        try:
            yield
        finally:
            with self._lock:
                self._leave(cell)

    def _leave(self, cell: list[T]) -> None:
        place = next(i for i, other in enumerate(self._before) if other is cell)
        if place + 1 < len(self._before):
            self._before[place + 1][0] = cell[0]
        else:
            self._put(cell[0])
        del self._before[place]

    def _renew_lock(self) -> None:
        """In the child of a fork nobody is left to release it."""
        self._lock = threading.Lock()


_num_threads = _ForProcess(get_num_threads, set_num_threads)
_level = _ForProcess(_cpu.current_level, _cpu.set_level)


def num_threads(n: int) -> AbstractContextManager[None]:
    """Inside `with num_threads(n):` parallel loops of the whole process use `n` threads."""
    return _num_threads.block(n)


def threadpool_info() -> dict[str, Any]:
    """How many threads, and why that many.

    Returns
    -------
    dict with
        num_threads : int, threads a parallel loop may use
        reason : str, what set num_threads
        workers : int, threads started so far beside the callers'
        affinity : int, processors this process may run on
        cgroup_cpus : int or None, CPU quota of the control group in whole processors
    """
    info = _cpu.pool_info()
    is_default = info["num_threads"] == info["default_threads"]
    return {
        "num_threads": info["num_threads"],
        "reason": info["default_reason"] if is_default else "set_num_threads",
        "workers": info["workers"],
        "affinity": info["affinity"],
        "cgroup_cpus": info["cgroup_cpus"] or None,
    }


def memory_stats() -> dict[str, int]:
    """Counters of the allocator behind every output and workspace, in bytes and calls.

    Returns
    -------
    dict with live_bytes (in use), peak_bytes (most in use at once), cached_bytes (freed and kept
    for reuse), limit_bytes (most that is kept), hits and misses (served from the cache, or not)
    """
    return _cpu.memory_stats()


def reset_peak_memory() -> None:
    """Start a new `peak_bytes` of `memory_stats` from what is in use now."""
    _cpu.reset_peak_memory()


def trim_memory() -> int:
    """Give all cached memory back to the system; returns how many bytes that were."""
    return _cpu.trim_memory()


def available_memory() -> int | None:
    """Bytes that this process could still fill without swapping; None where the system says none.

    The least of what the machine has available, what the control group allows and what is left
    of the limit on the address space.
    """
    known = (_machine_memory(), _cgroup_memory(), _address_space())
    return min((size for size in known if size is not None), default=None)


def _machine_memory() -> int | None:
    found = re.search(r"MemAvailable: *(\d+) kB", _text_of("/proc/meminfo"))
    return int(found[1]) << 10 if found else None


def _cgroup_memory() -> int | None:
    root = "/sys/fs/cgroup/memory"
    limit, used = _text_of(f"{root}.max").strip(), _text_of(f"{root}.current").strip()
    return max(0, int(limit) - int(used)) if limit.isdigit() and used.isdigit() else None


def _address_space() -> int | None:
    try:
        import resource
    except ImportError:  # no such limit
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _text_of("/proc/self/statm").split()
    if limit == resource.RLIM_INFINITY or not pages:
        return None
    return max(0, limit - int(pages[0]) * resource.getpagesize())


def _text_of(path: str) -> str:
    """The contents of a file of the system; "" without it."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def measure_peak(
    dtype: Any = "float32", milliseconds: float = 50.0, *, again: bool = False
) -> float:
    """Multiply-add FLOP a second of all threads together, as a loop on registers reaches them.

    Measured once a process for each dtype, ISA level and number of threads, or `again`. `dtype` is
    float32, bfloat16, float64 or int8 (integer dot products; 0 where the level has no such
    instruction).

    Raises
    ------
    ConfigError : for another dtype
    """
    key = (str(dtype), _cpu.current_level(), get_num_threads())
    if again or key not in _peaks:
        _peaks[key] = 1e9 * _cpu.measure_peak(key[0], milliseconds)
    return _peaks[key]


def measure_bandwidth(kind: str, milliseconds: float = 200.0) -> float:
    """Bytes a second that all threads together read or write of arrays beyond the caches.

    `kind` is "read", "copy" or "stream", a copy that writes past the caches; a copy counts what it
    reads and what it writes.

    Raises
    ------
    ConfigError : for another kind
    """
    return 1e9 * _cpu.measure_bandwidth(kind, milliseconds)


def cpu_summary() -> dict[str, Any]:
    """The processor: its name, features, cache_bytes of three levels, memory_bytes."""
    return _cpu.cpu_summary()


def is_installed(package: str) -> bool:
    """Whether a package could be imported, which is not done."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # None in sys.modules, or put there without a spec
        return False


def cpu_features() -> tuple[str, ...]:
    """Instruction sets of this processor that the kernels can use, as Linux names them."""
    return tuple(cpu_summary()["features"])


def current_level() -> str:
    """The ISA level whose kernels are in use: PLAINFORMER_CPU_ISA's or the processor's best."""
    return _cpu.current_level()


def available_levels() -> list[str]:
    """The ISA levels that this processor and build have, the best one last."""
    return _cpu.available_levels()


def compiled_file() -> str:
    """The file of the compiled kernels."""
    return str(_cpu.__file__)


def use_level(name: str) -> AbstractContextManager[None]:
    """Inside `with use_level(name):` kernels of the whole process run at that ISA level.

    Raises
    ------
    ConfigError : for an unknown level, or one that this processor or build lacks
    """
    if not isinstance(name, str) or not name.isascii():
        raise DTypeError(f"level: got {shown(name)}, expected the name of a level")
    return _level.block(name)


def _warn_about_openmp_variable() -> None:
    """OMP_NUM_THREADS is not ours, so a value that is no thread count is passed over, aloud."""
    value = os.environ.get("OMP_NUM_THREADS", "").strip()
    if value and not re.fullmatch(r"0*[1-9][0-9]*([ ,].*)?", value):
        warn_once(f"OMP_NUM_THREADS: got {shown(value)}, expected a whole number >= 1; ignored")


_warn_about_openmp_variable()
