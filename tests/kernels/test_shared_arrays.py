"""What other threads do to the arrays and lists of a call while it computes.

A kernel runs without the interpreter lock, so any thread may write to an id that was checked, or
drop an array from a list. Ids, labels, positions, lengths and starts are a call's own copies from
the check on, and arrays of lists are kept alive.
"""

import sys
import threading

import numpy as np
import pytest

from plainformer import kernels, runtime
from plainformer.errors import PlainformerError, ShapeError
from tests.processes import run_python

N, V = 20_000, 500


def during(call, change):
    """The result of `call`, and whether the `change` that another thread makes came in its middle.

    With so long an interval no thread is made to let go of the lock: the other one starts when the
    kernel lets go, and unless the machine is busy it is through before the kernel is.
    """
    gate, changed = threading.Lock(), threading.Event()
    gate.acquire()

    def run():
        with gate:
            change()
            changed.set()

    thread = threading.Thread(target=run)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        gate.release()
        result = call()
        in_time = changed.is_set()
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    return result, in_time


def until_in_time(attempt, tries=100):
    """Repeat `attempt` until its change came in the middle of its call; False if it never did, as
    on a machine whose processors are all taken."""
    return any(attempt() for _ in range(tries))


def make_cases(rng):
    """Calls of an array that names places, long enough to be disturbed, and that array."""

    def floats(*shape):
        return rng.standard_normal(shape, np.float32)

    weight, rows, logits = floats(V, 128), floats(N, 128), floats(N, V)
    labels = rng.integers(0, V, N)
    cos, sin = floats(V, 32), floats(V, 32)
    lse = kernels.cross_entropy(logits, labels, reduction="none", return_lse=True)[1]
    yield "embedding", labels, lambda ids: kernels.embedding(ids, weight)
    yield "embedding_backward", labels, lambda ids: kernels.embedding_backward(rows, ids, V)
    yield "cross_entropy", labels, lambda ids: kernels.cross_entropy(logits, ids)
    yield (
        "cross_entropy_backward",
        labels,
        lambda ids: kernels.cross_entropy_backward(np.ones(N, np.float32), logits, ids, lse,
                                                   reduction="none"),
    )  # fmt: skip
    few, small = rows[:2000], labels[:2000]
    yield (
        "fused_linear_cross_entropy",
        small,
        lambda ids: kernels.fused_linear_cross_entropy(few, weight, ids, return_grads=True)[1][0],
    )
    x = floats(N, 2, 64)
    yield "rotary_embedding", labels, lambda ids: kernels.rotary_embedding(x, ids, cos, sin)
    yield (
        "rotary_embedding_backward",
        labels,
        lambda ids: kernels.rotary_embedding_backward(x, ids, cos, sin),
    )
    qkv = floats(600, 3, 2, 64)
    starts = np.array([0, 150, 300, 450, 600], np.int32)
    yield (
        "flash_attn_varlen_func",
        starts,
        lambda ids: kernels.flash_attn_varlen_qkvpacked_func(qkv, ids, 600),
    )
    y, state = kernels.flash_attn_varlen_qkvpacked_func(qkv, starts, 600, return_lse=True)
    yield (
        "flash_attn_varlen_backward",
        starts,
        lambda ids: kernels.flash_attn_varlen_qkvpacked_backward(y, qkv, y, state, ids, 600),
    )
    q, cache = floats(8, 16, 4, 64), floats(8, 1000, 4, 64)
    lengths = np.full(8, 900, np.int32)
    yield (
        "flash_attn_with_kvcache",
        lengths,
        lambda ids: kernels.flash_attn_with_kvcache(q, cache, cache, cache_seqlens=ids),
    )


def test_a_call_computes_with_the_places_it_has_checked(rng):
    in_time = 0
    with runtime.num_threads(1):
        for name, places, call in make_cases(rng):
            expected = call(places).tobytes()

            def attempt(value, name=name, places=places, call=call, expected=expected):
                given = places.copy()
                try:
                    result, in_time = during(lambda: call(given), lambda: given.fill(value))
                except ShapeError:  # too early: the call has seen the change, and refused it
                    return False
                assert result.tobytes() == expected, f"{name} read an id again"
                return in_time

            for value in (-1, 1 << 30):
                in_time += until_in_time(lambda v=value: attempt(v))
    assert in_time, "no change ever came during a call"


def test_a_change_before_the_call_is_seen_by_it(rng):
    weight = rng.standard_normal((9, 4), np.float32)
    for count in (3, 1000):  # ids that the call copies to its own stack, and to other memory
        for dtype in (np.int32, np.int64):
            ids = rng.integers(0, 9, count).astype(dtype)
            np.testing.assert_array_equal(kernels.embedding(ids, weight), weight[ids])


def test_ids_refused_after_their_check_are_an_error_that_says_so(rng, monkeypatch):
    """Whatever a thread does between Python's check and the kernel's own: never a None."""
    weight, ids = rng.standard_normal((9, 4), np.float32), np.arange(18).reshape(9, 2) % 9
    module = kernels.embedding.__globals__

    def spoiled(array):
        return np.full_like(np.ascontiguousarray(array), 9)

    monkeypatch.setitem(module, "contiguous", spoiled)
    with pytest.raises(PlainformerError, match="did another thread change one"):
        kernels.embedding(ids.T, weight)


LISTS = """
import gc
import numpy as np
from plainformer import _cpu, kernels, runtime
from tests.kernels.test_shared_arrays import during, until_in_time

def ones(dtype=np.float32, shape=1 << 18):
    return [np.ones(shape, dtype) for _ in range(16)]

def disturbed(call, *lists):
    def empty():
        for arrays in lists:
            arrays.clear()
        gc.collect()
    return during(lambda: call(*lists), empty)

def adamw():
    step = lambda p, g, m, v, w: kernels.adamw_step(p, g, m, v, step=1, lr=0.1, masters=w)
    return disturbed(step, *(ones() for _ in range(5)))[1]

def sgd():
    step = lambda p, g, m: kernels.sgd_step(p, g, m, lr=0.1, momentum=0.9)
    return disturbed(step, *(ones() for _ in range(3)))[1]

def norm():
    total, in_time = disturbed(_cpu.squared_norm, ones(shape=1 << 20))
    assert total == 16 << 20, total
    return in_time

def pack():
    packed, in_time = disturbed(_cpu.pack_weight, ones(shape=(512, 512)))
    assert packed.shape == (16 * 512, 512)
    assert (kernels.linear(np.ones((1, 512), np.float32), packed) == 512).all()
    return in_time

with runtime.num_threads(1):
    assert any([until_in_time(attempt) for attempt in (adamw, sgd, norm, pack)])
print("whole")
"""


def test_a_list_emptied_during_a_call_keeps_its_arrays():
    assert run_python(LISTS) == "whole"


HAMMER = """
import threading, time
import numpy as np
from plainformer import kernels
from plainformer.errors import PlainformerError
from tests.kernels.test_shared_arrays import make_cases

rng = np.random.default_rng(0)
for name, places, call in make_cases(rng):
    given, stop = places.copy(), threading.Event()

    def write():
        while not stop.is_set():
            given[-1] = 1 << 30
            given[...] = places
            given[len(given) // 2] = -1
            given[...] = places

    threads = [threading.Thread(target=write, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    good = bad = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            call(given)
            good += 1
        except PlainformerError:  # a bad id was seen, by the kernel or by the check
            bad += 1
    stop.set()
    for thread in threads:
        thread.join()
    print(name, good, bad)
"""


def hammer(seconds):
    code = HAMMER.replace("SECONDS", str(seconds))
    lines = run_python(code, timeout=60 + 20 * seconds).splitlines()
    assert len(lines) == 10
    assert sum(int(line.split()[1]) for line in lines) > 0


def test_threads_that_write_ids_end_no_process():
    hammer(0.1)


@pytest.mark.slow
def test_threads_that_write_ids_for_long_end_no_process():
    hammer(10)
