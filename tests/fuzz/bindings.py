"""The table of compiled functions: `_cpu` called past the checks of `plainformer.kernels`.

Each case is a canonical call with up to three arguments, list items or options replaced by hostile
ones, or with one array given twice. It computes, or returns None, or raises what is clean. No
result holds a float that nobody wrote: in the child fresh memory is poisoned.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from plainformer import _cpu, kernels

CLEAN = (TypeError, ValueError, IndexError, OverflowError, MemoryError, RuntimeError)
LEFT_OUT = {  # no arguments, or names and numbers of the process; or they measure for long
    "Int8Weight", "MAX_THREADS", "PackedWeight", "available_levels", "cgroup_cpu_limit",
    "cgroup_memory_limit", "cpu_summary", "current_level", "empty_bytes", "get_float_mode",
    "get_num_threads", "measure_bandwidth", "measure_peak", "memory_stats", "pool_info",
    "reset_peak_memory",
    "set_level", "set_num_threads", "trace_parallel_for", "trim_memory",
}  # fmt: skip
BINDINGS = sorted(n for n in dir(_cpu) if not n.startswith("_") and n not in LEFT_OUT)
FLOATS = [np.dtype(np.float32), np.dtype(ml_dtypes.bfloat16), np.dtype(np.float64)]
HUGE = 1 << 40
NUMBERS = [
    0, 1, -1, 2, 3, 7, 99, 255, 1 << 16, 1 << 31, -(1 << 31), 1 << 32, 1 << 62, -(1 << 63),
    (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64, 1 << 200, 0.0, -0.0, 0.5, 1.5, -1.0, 1e308,
    float("nan"), float("inf"), float("-inf"), True, False,
]  # fmt: skip
OTHERS = [None, "", "x", b"x", (), [], {}, object(), [None], (1, 2), range(3), np.float32(1)]


def canonical(rng: np.random.Generator, dtype: np.dtype) -> dict[str, tuple[Any, ...]]:
    """Arguments that each function takes."""
    acc = np.float64 if dtype == np.float64 else np.float32

    def x(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    def a(*shape: int) -> np.ndarray:
        return np.abs(rng.standard_normal(shape)).astype(acc)

    def ids(*shape: int) -> np.ndarray:
        return rng.integers(0, 4, shape).astype(rng.choice([np.int32, np.int64]))

    def floats(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    def state(make: Any) -> list[np.ndarray]:
        return [make(5), make(2, 3)]

    q, k, v, new = x(2, 3, 4, 8), x(2, 3, 2, 8), x(2, 3, 2, 8), x(2, 1, 4, 8)
    blhd = (1, True, 0, 0, 0.3, 0.0, -1, -1, True, 0.0, 0, 0)
    packed = (2, True, 6, 6, 0.3, 0.0, -1, 0, True, 0.5, 3, 1)
    starts = np.array([0, 2, 6], np.int32)
    rows = [array.reshape(6, *array.shape[2:]) for array in (q, k, v)]
    z = x(4, 5)
    attention = {
        "attention": (q, k, v, x(2, 1, 3, 3), floats(4), None, None, blhd, x(2, 3, 4, 8), True),
        "attention_backward": (
            *(x(6, 4, 8), *rows, x(6, 4, 8), a(4, 6), None, None, starts, starts, packed),
            *(x(6, 4, 8), x(6, 2, 8), x(6, 2, 8), False),
        ),
        "cached_attention": (
            *(new, x(2, 9, 2, 8), x(2, 9, 2, 8), x(2, 1, 2, 8), x(2, 1, 2, 8)),
            *(np.array([2, 5], np.int32), x(2, 1, 1, 9), floats(2, 4), blhd),
        ),
    }
    return attention | {
        "accumulate": (a(4, 5), x(4, 5)),
        "activation": (x(4, 5), 2, x(4, 5)),
        "activation_backward": (x(4, 5), x(4, 5), 2),
        "adamw_step": (*(state(x), state(x), state(a), state(a), state(a)),
                       *(0.1, 0.9, 0.99, 1e-8, 0.01, 1.0, 0.1, 0.01)),
        "add": (x(4, 5), x(4, 5)),
        "cross_entropy": (x(6, 4), ids(6), a(4), -100, 0.1),
        "cross_entropy_backward": (a(6), x(6, 4), ids(6), a(6), a(4), -100, 0.1),
        "dropout": (x(4, 5), 0.3, 7, 1),
        "elementary": (x(4, 5), 2),
        "embedding": (ids(2, 3), x(4, 5)),
        "embedding_backward": (x(2, 3, 5), ids(2, 3), 4, x(4, 5), True),
        "gated_activation": (x(4, 5), x(4, 5), 2),
        "gated_activation_backward": (x(4, 5), x(4, 5), x(4, 5), 2),
        "is_distinct": (x(4, 5),),
        "linear": (x(4, 3), x(5, 3), x(5), 2, True),
        "linear_cross_entropy": (x(6, 3), x(4, 3), ids(6), x(4), -100, 0.1, 1.0, True),
        "linear_int8": (
            *(x(4, 8).astype(np.float32 if dtype == np.float64 else dtype), _int8(), None, 2),
            bool(rng.integers(2)),
        ),
        "linear_grad": (x(4, 5), x(4, 3), x(5, 3), x(5), z, 2, True),
        "linear_onto": (x(4, 5), x(4, 3), x(5, 3), x(5), 2, 0.5, 1, 0, True),
        "matmul": (x(2, 4, 3), x(3, 5), False, False, x(2, 4, 5), False),
        "matmul_of_rows": (x(2, 4, 3), x(2, 4, 5)),
        "norm": (x(4, 5), 5, x(5), x(5), 1e-5, x(4, 5), x(4, 5), True, False, 0.1, 3, 1),
        "norm_backward": (x(4, 5), x(4, 5), x(5), a(4), a(4), x(5), x(4, 5), 0.1, 3, 1),
        "pack_int8": (*kernels.quantize_weight(floats(5, 8), 4), 4),
        "pack_weight": ([x(5, 3), x(2, 3)],),
        "philox": (1, 2, 3, 4, 5),
        "rotary": (x(2, 3, 2, 8), ids(2, 3), floats(4, 3), floats(4, 3), True, False),
        "set_bfloat16_dtype": (np.dtype(ml_dtypes.bfloat16),),
        "set_core_caches": (1 << 15, 1 << 18),
        "set_float_mode": (_cpu.get_float_mode(),),
        "set_last_cache": (1 << 25,),
        "sgd_step": (state(x), state(x), state(a), state(a), 0.1, 0.9, 0.01, 1.0, True),
        "shares_memory": (x(4, 5), x(4, 5)),
        "softmax": (x(4, 5), 1, False, x(4, 5)),
        "softmax_backward": (x(4, 5), x(4, 5), 1, False),
        "squared_norm": (state(x),),
        "topk": (x(4, 5), 3),
    }  # fmt: skip


def hostile_array(rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    """An array that resembles one in all but a few respects."""
    kind = int(rng.integers(16))
    if kind == 0:
        return like.astype(rng.choice([np.float16, np.int8, np.uint64, np.complex64, object, bool]))
    if kind == 1:
        return like.astype(FLOATS[rng.integers(3)])
    if kind == 2:
        return like.astype(like.dtype.newbyteorder())
    if kind == 3:
        return like[..., :0]
    if kind == 4:
        return like[:0]
    if kind == 5:
        return like.reshape(like.shape + (1,) * int(rng.integers(1, 12)))
    if kind == 6:
        return like.reshape(-1)[:1].reshape(())
    if kind == 7:
        return like.T
    if kind == 8:
        return like[..., ::-1]
    if kind == 9:
        return np.repeat(like, 2, axis=-1)[..., ::2]
    if kind == 10:  # more than any memory holds, from next to none
        shape = [HUGE if rng.integers(2) else n for n in like.shape]
        shape[rng.integers(len(shape))] = 0
        return np.zeros([min(n, 1 << 56 // max(1, len(shape) - 1)) for n in shape], like.dtype)
    if kind == 11:
        frozen = like.copy()
        frozen.flags.writeable = False
        return frozen
    if kind == 12 and like.dtype != object:  # off its alignment
        block = np.zeros(like.nbytes + 1, np.uint8)[1:]
        return block.view(like.dtype).reshape(like.shape)
    if kind == 13:
        return np.broadcast_to(like[:1], (int(rng.choice([2, 3, 5])), *like.shape[1:]))
    if kind == 14:
        return np.concatenate([like, like])
    wild = rng.choice([-1, 4, 1 << 31, -(1 << 31), 100], like.shape)
    return wild.astype(like.dtype)


def hostile(rng: np.random.Generator, value: Any) -> Any:
    """Something else in the place of `value`."""
    if isinstance(value, tuple) and value and rng.integers(4):
        at = int(rng.integers(len(value)))
        return (*value[:at], hostile(rng, value[at]), *value[at + 1 :])[: int(rng.choice([99, at]))]
    if isinstance(value, list) and value and rng.integers(4):
        at = int(rng.integers(len(value)))
        changed = [*value[:at], hostile(rng, value[at]), *value[at + 1 :]]
        return [changed, changed * 2, changed[:at], (changed,)][rng.integers(4)]
    if isinstance(value, np.ndarray) and value.size and value.ndim and rng.integers(4):
        return hostile_array(rng, value)
    if isinstance(value, (bool, int, float)) and rng.integers(5):
        return NUMBERS[rng.integers(len(NUMBERS))]
    rest = [*OTHERS, *NUMBERS, _packed(rng), _int8(), np.zeros((2, 2), np.float32)]
    return rest[rng.integers(len(rest))]


def _int8() -> Any:
    values, scale = kernels.quantize_weight(np.ones((5, 8), np.float32), 4)
    return kernels.pack_int8(values, scale, 4)


def _packed(rng: np.random.Generator) -> Any:
    return kernels.pack_weight(np.ones((int(rng.choice([1, 5])), 3), FLOATS[rng.integers(3)]))


def give_twice(rng: np.random.Generator, arguments: list[Any]) -> None:
    """One of the arrays in the place of another, too."""
    arrays = [i for i, value in enumerate(arguments) if isinstance(value, np.ndarray)]
    if len(arrays) > 1:
        first, second = rng.choice(arrays, 2, replace=False)
        arguments[first] = arguments[second]


def arrays_of(value: Any) -> list[np.ndarray]:
    if isinstance(value, (tuple, list)):
        return [array for item in value for array in arrays_of(item)]
    return [value] if isinstance(value, np.ndarray) else []


def unwritten(result: Any) -> bool:
    """Whether a float of the result is one that PLAINFORMER_POISON=1 leaves in fresh memory."""
    for array in arrays_of(result):
        if array.dtype in FLOATS and array.size:
            bits = np.ascontiguousarray(array).view(f"u{array.itemsize}")
            if (bits == np.iinfo(bits.dtype).max).any():
                return True
    return False


def draw(rng: np.random.Generator, name: str) -> list[Any]:
    """Arguments of one case."""
    arguments = list(canonical(rng, FLOATS[rng.integers(3)])[name])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the casts here, not of what is tested
        for _ in range(int(rng.integers(0, 4))):
            at = int(rng.integers(len(arguments)))
            with contextlib.suppress(ValueError, TypeError, OverflowError):  # NumPy makes no such
                arguments[at] = hostile(rng, arguments[at])
    if rng.integers(6) == 0:
        give_twice(rng, arguments)
    return arguments


def run(name: str, arguments: list[Any]) -> None:
    mode = _cpu.get_float_mode()
    try:
        result = getattr(_cpu, name)(*arguments)
    except CLEAN:  # with pybind11's words, of any length, where a type does not fit
        return
    finally:
        _cpu.set_float_mode(mode)
        _cpu.set_core_caches(0, 0)
        _cpu.set_last_cache(0)
    assert not unwritten(result), "a result holds memory that nobody wrote"


def cases(name: str, folder: Path) -> Callable[[int], tuple[Callable[[], Any], tuple[Any, ...]]]:
    """What runs case i of a function, and which errors are clean."""

    def case(number: int) -> tuple[Callable[[], Any], tuple[Any, ...]]:
        arguments = draw(np.random.default_rng([number, *name.encode()]), name)
        return lambda: run(name, arguments), ()

    return case
