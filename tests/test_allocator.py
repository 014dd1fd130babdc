"""The caching allocator: aligned, reused, bounded, counted; memory stays flat."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainformer import _cpu, kernels, runtime
from tests.processes import last_error_line, run_python

SIZES = [0, 1, 63, 64, 65, 4096, 1_000_003, 5_000_000]


def address(array):
    return array.__array_interface__["data"][0]


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.fixture(autouse=True)
def empty_cache():
    runtime.trim_memory()


@pytest.mark.parametrize("size", SIZES)
def test_blocks_are_aligned_and_whole(size):
    blocks = [_cpu.empty_bytes(size) for _ in range(5)]
    for i, block in enumerate(blocks):
        assert address(block) % 64 == 0
        block[...] = i
    assert all((block == i).all() for i, block in enumerate(blocks))


@pytest.mark.parametrize("size", SIZES)
def test_a_freed_block_is_used_again(size):
    first = _cpu.empty_bytes(size)
    where = address(first)
    del first
    hits = runtime.memory_stats()["hits"]
    assert address(_cpu.empty_bytes(size)) == where
    assert runtime.memory_stats()["hits"] == hits + 1


@settings(deadline=None)
@given(st.integers(0, 1 << 26))
def test_a_block_is_at_most_an_eighth_larger_than_asked(size):
    before = runtime.memory_stats()["live_bytes"]
    block = _cpu.empty_bytes(size)
    taken = runtime.memory_stats()["live_bytes"] - before
    assert block.size == size
    assert size <= taken <= max(64, size + 63, size * 9 / 8 + 64)


def test_counters_follow_what_happens():
    runtime.reset_peak_memory()
    before = runtime.memory_stats()
    block = _cpu.empty_bytes(1 << 20)
    during = runtime.memory_stats()
    del block
    after = runtime.memory_stats()
    assert during["live_bytes"] == before["live_bytes"] + (1 << 20)
    assert during["misses"] == before["misses"] + 1
    assert after["live_bytes"] == before["live_bytes"]
    assert after["cached_bytes"] == before["cached_bytes"] + (1 << 20)
    assert after["peak_bytes"] == during["live_bytes"]
    runtime.reset_peak_memory()
    assert runtime.memory_stats()["peak_bytes"] == before["live_bytes"]


def test_trim_gives_everything_back():
    del_me = [_cpu.empty_bytes(n) for n in SIZES]
    del del_me
    cached = runtime.memory_stats()["cached_bytes"]
    assert cached >= sum(SIZES)
    assert runtime.trim_memory() == cached
    assert runtime.memory_stats()["cached_bytes"] == 0
    assert runtime.trim_memory() == 0


def test_memory_is_flat_over_ten_thousand_calls_of_varied_sizes():
    rng = random.Random(0)

    def calls(n):
        for _ in range(n):
            a = np.ones(int(2 ** rng.uniform(0, 19)), np.float32)
            kernels.add(kernels.add(a, a), a)

    calls(5000)
    half_way, live = resident_bytes(), runtime.memory_stats()["live_bytes"]
    calls(5000)
    assert runtime.memory_stats()["live_bytes"] == live
    assert resident_bytes() - half_way < 8 << 20


def test_memory_is_flat_when_sizes_never_come_back():
    """Sizes that keep growing leave blocks nobody asks for again: the oldest must go."""
    cached = run_python(
        "from plainformer import _cpu\n"
        "for size in range(1000, 3_000_000, 1000): _cpu.empty_bytes(size)\n"
        "print(_cpu.memory_stats()['cached_bytes'])",
        PLAINFORMER_CACHE_LIMIT="10M",
    )
    assert 0 < int(cached) <= 10 << 20


@pytest.mark.parametrize("limit", [("0", 0), ("1M", 1 << 20), ("2G", 2 << 30), ("70000", 70000)])
def test_the_limit_is_what_the_variable_says(limit):
    text, expected = limit
    got = run_python(
        "from plainformer import _cpu\n"
        "big = [_cpu.empty_bytes(3_000_000), _cpu.empty_bytes(5000)]\n"
        "del big\n"
        "stats = _cpu.memory_stats()\n"
        "print(stats['limit_bytes'], stats['cached_bytes'] <= stats['limit_bytes'])",
        PLAINFORMER_CACHE_LIMIT=text,
    )
    assert got == f"{expected} True"


@pytest.mark.parametrize("text", ["much", "-1", "1X", "1.5G", "99999999999999999999", "9999999T"])
def test_a_wrong_limit_is_an_error(text):
    error = last_error_line(
        "from plainformer import _cpu; _cpu.empty_bytes(1)", PLAINFORMER_CACHE_LIMIT=text
    )
    assert error.startswith(
        f'plainformer.errors.ConfigError: PLAINFORMER_CACHE_LIMIT: got "{text}"'
    )


def test_poison_fills_fresh_and_reused_blocks_with_nan():
    got = run_python(
        "import numpy as np\n"
        "from plainformer import _cpu\n"
        "for size in (5, 4000, 4_000_000):\n"
        "    for _ in range(2):\n"
        "        block = _cpu.empty_bytes(size)\n"
        "        print((block == 255).all(), np.isnan(block[:size // 4 * 4].view('f4')).all())\n"
        "        block[:] = 0\n"
        "        del block",
        PLAINFORMER_POISON="1",
    )
    assert set(got.split()) == {"True"}


@pytest.mark.parametrize("size", [1 << 45, 1 << 62, (1 << 63) - 1])
def test_too_much_is_a_memory_error_that_names_the_size(size):
    with pytest.raises(MemoryError, match=f"cannot allocate {size} bytes"):
        _cpu.empty_bytes(size)


def test_threads_share_the_cache_and_no_block():
    def fill_and_check(seed):
        rng = random.Random(seed)
        kept = []
        for _ in range(300):
            block = _cpu.empty_bytes(rng.choice([64, 1000, 70_000, 3_000_000]))
            block[:] = seed
            kept.append(block)
            if len(kept) > 4 and not (kept.pop(rng.randrange(5)) == seed).all():
                return False
        return all((block == seed).all() for block in kept)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(fill_and_check, range(8)))


def test_arrays_may_outlive_the_module_at_exit():
    run_python(
        "import builtins, sys\n"
        "from plainformer import _cpu\n"
        "builtins.kept = [_cpu.empty_bytes(n) for n in (10, 10_000, 10_000_000)]\n"
        "sys.modules.pop('plainformer._cpu')"
    )
