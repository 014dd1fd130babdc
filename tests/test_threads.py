"""The thread pool: every piece of work runs once, nobody waits for sleepers, forks are safe."""

from __future__ import annotations

import multiprocessing
import os
import platform
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from plainformer import _cpu, kernels, runtime
from tests.processes import run_python

ROOT = Path(__file__).parents[1]

# Python 3.12 and later warn about any fork of a process with threads; safety here is the point.
forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def threads_of_pieces(n, **options):
    """Numbers of the threads that ran n pieces of work, 0 being the caller."""
    return _cpu.trace_parallel_for(n, **options)[:, 0]


def large_sum():
    """A kernel call with many chunks, and what it must give."""
    a = np.arange(300_000, dtype=np.float32)
    return kernels.add(a, a), a + a


def kernels_work():
    got, expected = large_sum()
    return bool(np.array_equal(got, expected))


# ---- the loop --------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 7, 64])
@pytest.mark.parametrize("grain", [1, 3, 1000])
@pytest.mark.parametrize("n", [0, 1, 2, 17, 1001, 20_011])  # of 64 threads each claims many chunks
def test_every_piece_runs(n, grain, threads):
    with runtime.num_threads(threads):
        who = threads_of_pieces(n, grain=grain)
    assert who.shape == (n,)
    assert ((who >= 0) & (who < threads)).all()


def test_a_chunk_stays_on_one_thread():
    with runtime.num_threads(2):
        chunks = threads_of_pieces(60, grain=6, microseconds=20).reshape(10, 6)
    assert (chunks == chunks[:, :1]).all()


def test_seven_threads_run_seven_ways_on_any_machine():
    seen, deadline = set(), time.monotonic() + 30
    with runtime.num_threads(7):
        while seen != set(range(7)) and time.monotonic() < deadline:
            seen |= set(threads_of_pieces(70, microseconds=1000))
    assert seen == set(range(7))


def test_fewer_threads_than_before_are_obeyed():
    with runtime.num_threads(7):
        threads_of_pieces(70, microseconds=100)
    with runtime.num_threads(2):
        assert set(threads_of_pieces(40, microseconds=200)) <= {0, 1}


def ran_inline(who):
    """Whether each piece's nested loop stayed on the thread of its first round."""
    return bool((who == who[:, :1]).all())


@pytest.mark.parametrize("grain", [1, 8, 40], ids=["chunks", "few chunks", "one chunk"])
def test_nested_loops_run_inline(grain):
    with runtime.num_threads(4):
        assert ran_inline(_cpu.trace_parallel_for(40, grain, microseconds=50, inner=8))


def during(change, n, **options):
    """The threads of a loop during which another thread calls `change`."""
    with ThreadPoolExecutor(1) as pool:
        loop = pool.submit(_cpu.trace_parallel_for, n, **options)
        time.sleep(0.05)
        change()
        return loop.result()


def start_workers(threads):
    """As many workers as `threads` ask for."""
    with runtime.num_threads(threads):
        threads_of_pieces(2 * threads, microseconds=100)


def test_a_loop_keeps_the_one_thread_it_began_with():
    start_workers(4)
    with runtime.num_threads(1):
        who = during(lambda: runtime.set_num_threads(4), 30, microseconds=500, inner=20)
    assert (who == 0).all()


def test_a_loop_keeps_the_threads_it_began_with():
    start_workers(7)
    with runtime.num_threads(2):
        who = during(lambda: runtime.set_num_threads(7), 300, microseconds=1000)
    assert len(set(who[:, 0])) <= 2


def test_an_error_in_a_chunk_reaches_the_caller_and_the_pool_lives_on():
    with runtime.num_threads(3):
        for fail_at in range(30):
            with pytest.raises(MemoryError, match="cannot allocate"):
                threads_of_pieces(30, microseconds=20, fail_at=fail_at)
    assert kernels_work()


# ---- many callers ----------------------------------------------------------------------------


def test_eight_python_threads_compute_at_once():
    with runtime.num_threads(3), ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: kernels_work(), range(200)))


def test_more_callers_than_slots_still_compute():
    with runtime.num_threads(2), ThreadPoolExecutor(80) as pool:
        jobs = pool.map(lambda _: threads_of_pieces(8, microseconds=500).min(), range(160))
        assert min(jobs) >= 0


def test_a_caller_does_not_wait_for_a_busy_pool():
    with runtime.num_threads(2):
        long_call = threading.Thread(target=lambda: threads_of_pieces(4, microseconds=500_000))
        long_call.start()
        time.sleep(0.1)  # now the caller and the only worker are inside pieces of half a second
        begin = time.monotonic()
        threads_of_pieces(4, microseconds=10)
        assert time.monotonic() - begin < 0.3
        long_call.join()


# ---- the process -----------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux's /proc")
def test_import_starts_no_thread():
    count = run_python(
        "import os, numpy\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "import plainformer.kernels, plainformer.runtime\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    assert count == "0"


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux's /proc")
def test_workers_leave_signals_to_python():
    blocked = run_python(
        "import os, numpy\n"
        "from plainformer import _cpu\n"
        "before = set(os.listdir('/proc/self/task'))\n"
        "_cpu.set_num_threads(2)\n"
        "_cpu.trace_parallel_for(4, microseconds=100)\n"
        "(worker,) = set(os.listdir('/proc/self/task')) - before\n"
        "lines = open(f'/proc/self/task/{worker}/status').read().splitlines()\n"
        "mask = next(int(l.split()[1], 16) for l in lines if l.startswith('SigBlk'))\n"
        "print(mask >> 1 & 1)"  # bit 1: SIGINT, number 2
    )
    assert blocked == "1"


def test_a_refused_thread_leaves_the_work_to_the_caller():
    threads = run_python(
        "import resource, numpy, plainformer.runtime as runtime\n"
        "from plainformer import _cpu\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 4_000_000, -1))\n"  # no room for a stack
        "runtime.set_num_threads(4)\n"
        "print(_cpu.trace_parallel_for(50).max(), runtime.threadpool_info()['workers'])"
    )
    assert threads == "0 0"


# Daemon threads inside kernels while the interpreter ends, one a kernel or on one of ours; each has
# begun. Python before 3.14 ends a thread that then asks for the interpreter by unwinding it.
DAEMONS = """
import sys, threading, time
sys.path.insert(0, {root!r})
import numpy as np
from plainformer import _cpu
from tests.kernels.calls import CALLS, drawn_call
calls = {calls}
begun = threading.Barrier(len(calls) + 1)
def loop(call):
    begun.wait()
    while True:
        call()
for call in calls:
    threading.Thread(target=loop, args=(call,), daemon=True).start()
begun.wait()
time.sleep(0.1)
"""
KERNEL_CALLS = "[drawn_call(name, 1, [np.dtype('float32')])[0] for name in CALLS]"
RUNTIME_CALLS = (
    "[lambda: _cpu.trace_parallel_for(50, microseconds=50), _cpu.trim_memory,"
    " lambda: _cpu.measure_peak('float32', 5), lambda: _cpu.measure_bandwidth('read', 5, 1 << 20)]"
)


@pytest.mark.parametrize("calls", [KERNEL_CALLS, RUNTIME_CALLS], ids=["kernels", "runtime"])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_interpreter_ends_while_daemon_threads_compute(calls, threads):
    code = DAEMONS.format(root=str(ROOT), calls=calls)
    for _ in range(2):
        run_python(code, PLAINFORMER_NUM_THREADS=str(threads))


def test_every_binding_lets_the_interpreter_go_in_the_one_safe_way():
    sources = (ROOT / "csrc").rglob("*.[ch]*")
    assert not [path for path in sources if "gil_scoped" in path.read_text()]


def child_exit_code(deadline=20.0):
    """Fork; the child computes and leaves with os._exit; -1 if it hangs."""
    child = os.fork()
    if child == 0:
        os._exit(0 if kernels_work() and threads_of_pieces(20).min() >= 0 else 1)
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return -1


@forks
def test_a_hundred_forks_after_use():
    with runtime.num_threads(3):
        for _ in range(100):
            assert kernels_work()
            assert child_exit_code() == 0
            assert kernels_work()


@forks
def test_forks_while_other_threads_compute():
    stop = threading.Event()

    def compute():
        while not stop.is_set():
            assert kernels_work()

    with runtime.num_threads(3), ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(compute) for _ in range(3)]
        codes = [child_exit_code() for _ in range(20)]
        stop.set()
        for job in jobs:
            job.result()
    assert codes == [0] * 20


@forks
def test_a_child_keeps_the_number_of_threads():
    with runtime.num_threads(5):
        child = os.fork()
        if child == 0:
            os._exit(runtime.get_num_threads())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5


@forks
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(method):
    assert kernels_work()
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = [pool.apply_async(kernels_work) for _ in range(4)]
        assert [r.get(timeout=60) for r in results] == [True] * 4


# ---- programs of our own ---------------------------------------------------------------------


def build_program(folder, name, *flags):
    """tests/cpp/NAME.cpp with the runtime."""
    program = folder / name
    sources = [ROOT / f"tests/cpp/{name}.cpp", *(ROOT / "csrc/cpu/runtime").glob("*.cpp")]
    command = ["c++", "-std=c++17", "-O1", "-pthread", *flags, f"-I{ROOT / 'csrc/cpu'}"]
    subprocess.run([*command, *map(str, sources), "-o", str(program)], check=True)
    return program


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("parking", ["futex", "condition variable"])
def test_stress_without_data_races(tmp_path, parking):
    defines = [] if parking == "futex" else ["-DPLAINFORMER_NO_FUTEX"]
    program = build_program(tmp_path, "runtime_stress", "-g", "-fsanitize=thread", *defines)
    for threads, callers in [(2, 2), (4, 6), (3, 80)]:
        repeats = 20_000 // callers
        command = [program, str(threads), str(callers), str(repeats)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_no_memory_for_a_worker_leaves_the_work_to_the_caller(tmp_path):
    program = build_program(tmp_path, "refused_worker")
    result = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout.strip(), result.returncode) == ("100 0 100 3", 0), result.stderr


# ---- floating-point mode ---------------------------------------------------------------------

FLUSH_TO_ZERO = {"x86_64": 0x8040, "aarch64": 1 << 24}  # MXCSR: FTZ and DAZ; FPCR: FZ


@pytest.mark.skipif(platform.machine() not in FLUSH_TO_ZERO, reason="mode register not known")
@pytest.mark.parametrize("size", [100, 300_000], ids=["inline", "parallel"])
def test_flush_to_zero_of_another_library_changes_no_byte(size, level):
    smallest = np.full(size, np.float32(1e-45))
    expected = smallest + smallest
    before = _cpu.get_float_mode()
    flushing = before | FLUSH_TO_ZERO[platform.machine()]
    _cpu.set_float_mode(flushing)
    try:
        got = kernels.add(smallest, smallest)
        after = _cpu.get_float_mode()
    finally:
        _cpu.set_float_mode(before)
    assert got.tobytes() == expected.tobytes()
    assert after == flushing
