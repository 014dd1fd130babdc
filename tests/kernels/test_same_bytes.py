"""Every kernel gives the same bytes on any number of threads, whoever else computes meanwhile.

Shapes, dtypes and options are drawn at random (calls.py); .ci/nightly draws hundreds.
"""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from plainformer import _cpu, kernels, runtime
from plainformer.errors import ConfigError
from tests.conftest import DTYPES, available_levels
from tests.kernels.calls import CALLS, drawn_call, packed_sequences
from tests.kernels.flash_cases import Packed, part

TYPES = [np.dtype(dtype) for dtype in DTYPES.values()]
LEVELS = available_levels()
THREADS = [1, 2, 3, 7]
# Labels are drawn too, sometimes none that counts.
pytestmark = pytest.mark.filterwarnings("ignore:cross entropy. every label is ignored")


def test_every_public_kernel_is_in_the_table():
    no_kernels = {"Int8Weight", "PackedWeight", "array_of", "asarray", "asnumpy", "xp"}
    assert set(CALLS) == set(kernels.__all__) - no_kernels


def bytes_of(call):
    return [array.tobytes() for array in call()]


@pytest.fixture
def any_level():
    """The test may change the level."""
    before = _cpu.current_level()
    yield
    _cpu.set_level(before)


def check_threads(name, seed):
    """One draw, at one level, on each number of threads."""
    level = LEVELS[seed % len(LEVELS)]
    _cpu.set_level(level)
    call, dtype = drawn_call(name, seed, TYPES)
    results = []
    for threads in THREADS:
        with runtime.num_threads(threads):
            results.append(bytes_of(call))
    assert all(r == results[0] for r in results), f"{name}, draw {seed}, {dtype}, {level}"


def draws_of(name, attention, others):
    return attention if "attn" in name or "attention" in name else others


@pytest.mark.parametrize("name", sorted(CALLS))
def test_same_bytes_on_any_number_of_threads(name, any_level):
    for seed in range(draws_of(name, 24, 8)):
        check_threads(name, seed)


@pytest.fixture
def any_last_cache():
    """The test may change what kernels take the size of the last cache for."""
    yield
    _cpu.set_last_cache(0)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_same_bytes_on_a_machine_with_any_last_cache(name, any_level, any_last_cache):
    """Past the caches or not is how outputs are stored, never what."""
    for seed in range(draws_of(name, 2, 4 * len(LEVELS))):
        _cpu.set_level(LEVELS[seed % len(LEVELS)])
        call, dtype = drawn_call(name, seed, TYPES)
        results = []
        for last in (1, 1 << 62):
            _cpu.set_last_cache(last)
            results.append(bytes_of(call))
        assert results[0] == results[1], f"{name}, draw {seed}, {dtype}, {_cpu.current_level()}"


def test_the_size_of_the_last_cache_is_not_negative():
    with pytest.raises(ConfigError, match="bytes: got -1, expected a size, or 0"):
        _cpu.set_last_cache(-1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", sorted(CALLS))
def test_same_bytes_on_any_number_of_threads_hundreds_of_times(name, any_level):
    for seed in range(100, 100 + draws_of(name, 800, 300)):
        check_threads(name, seed)


# ---- packed sequences ---------------------------------------------------------------------------


def attend(packed, at, options):
    """Output, log-sum-exp and gradients of one sequence alone."""
    rows, keys = at
    q, grad = packed.q[None, rows], packed.grad[None, rows]
    k, v = packed.k[None, keys], packed.v[None, keys]
    y, lse = kernels.flash_attn_func(q, k, v, **options, return_lse=True)
    return [y, lse[0], *kernels.flash_attn_backward(grad, q, k, v, y, lse, **options)]


def check_packed(seed):
    level = LEVELS[seed % len(LEVELS)]
    _cpu.set_level(level)
    rng = np.random.default_rng(seed)
    dtype = TYPES[rng.integers(len(TYPES))]
    packed, options = packed_sequences(rng, dtype)
    with runtime.num_threads(1):
        alone = [
            attend(packed, packed.sequence(b), part(options, b, lengths))
            for b, lengths in enumerate(packed.lengths)
        ]
    for threads in THREADS[1:]:
        with runtime.num_threads(threads):
            y, lse = packed.forward(**options, return_lse=True)
            dq, dk, dv = packed.backward(**options)
        for b, want in enumerate(alone):
            rows, keys = packed.sequence(b)
            got = [y[rows], lse[:, rows], dq[rows], dk[keys], dv[keys]]
            same = [a.tobytes() == b.tobytes() for a, b in zip(got, want, strict=True)]
            assert all(same), (seed, dtype, level, threads, packed.lengths.tolist(), same)


def test_packed_sequences_are_the_sequences_alone(any_level):
    for seed in range(1000, 1050):
        check_packed(seed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_packed_sequences_are_the_sequences_alone_hundreds_of_times(any_level):
    for seed in range(2000, 2800):
        check_packed(seed)


# Few heads of one long sequence, cut in parts, and short ones for which one task is left: where
# its parts once shared their buffers.
@pytest.mark.parametrize(
    ("heads", "lengths"), [(8, (900, 300)), (2, (400, 200)), (2, (300, 200, 200))]
)
def test_short_sequences_beside_a_long_one(dtype, rng, heads, lengths):
    packed = Packed(rng, dtype, ([(n, n) for n in lengths], heads, 1, 64, 64))
    with runtime.num_threads(1):
        want = bytes_of(packed.backward)
    with runtime.num_threads(2):
        assert all(bytes_of(packed.backward) == want for _ in range(3))


# ---- many callers -------------------------------------------------------------------------------


def check_concurrently(calls, callers, seconds):
    """Callers draw from the same calls while the number of threads changes under them."""
    with runtime.num_threads(1):
        want = [bytes_of(call) for call in calls]
    end = time.monotonic() + seconds
    stop = threading.Event()

    def compute(seed):
        rng = np.random.default_rng(seed)
        while time.monotonic() < end and not stop.is_set():
            i = rng.integers(len(calls))
            if bytes_of(calls[i]) != want[i]:
                stop.set()
                return i
        return None

    with runtime.num_threads(2), ThreadPoolExecutor(callers) as pool:
        jobs = [pool.submit(compute, seed) for seed in range(callers)]
        for threads in itertools.cycle([1, 7, 2, 3]):
            runtime.set_num_threads(threads)
            time.sleep(0.001)
            if all(job.done() for job in jobs):
                break
        return {i for job in jobs if (i := job.result()) is not None}


def test_same_bytes_with_other_callers_and_changes_of_threads():
    names = sorted(CALLS)
    calls = [drawn_call(name, seed, TYPES)[0] for name in names for seed in range(2)]
    assert not {names[i // 2] for i in check_concurrently(calls, callers=8, seconds=4)}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("callers", [4, 100])
def test_same_bytes_with_many_other_callers(callers, level):
    names = sorted(CALLS)
    calls = [drawn_call(name, seed, TYPES)[0] for name in names for seed in range(10, 14)]
    assert not {names[i // 4] for i in check_concurrently(calls, callers, seconds=30)}
