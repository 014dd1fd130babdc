"""Threads and ISA level: what sets them, and what a wrong value says."""

from __future__ import annotations

import os
import platform

import pytest

from plainformer import _cpu, runtime
from plainformer.errors import ConfigError, DTypeError
from tests.processes import last_error_line, run_python

SHOW_THREADS = (
    "from plainformer import runtime\n"
    "info = runtime.threadpool_info()\n"
    "print(info['num_threads'], info['reason'], sep='; ')"
)
NO_VARIABLES = {"PLAINFORMER_NUM_THREADS": "", "OMP_NUM_THREADS": ""}


def show_threads(**environment):
    return run_python(SHOW_THREADS, **{**NO_VARIABLES, **environment})


# ---- number of threads -----------------------------------------------------------------------


def test_num_threads_is_set_and_put_back():
    before = runtime.get_num_threads()
    with runtime.num_threads(3):
        assert runtime.get_num_threads() == 3
        with runtime.num_threads(7):
            assert runtime.get_num_threads() == 7
        assert runtime.get_num_threads() == 3
    assert runtime.get_num_threads() == before


def test_num_threads_is_put_back_after_an_error():
    before = runtime.get_num_threads()
    with pytest.raises(KeyError), runtime.num_threads(before + 1):
        raise KeyError
    assert runtime.get_num_threads() == before


@pytest.mark.parametrize("count", [0, -1, 1025, 10**30])
def test_a_count_out_of_range_is_an_error(count):
    with pytest.raises(ConfigError, match=f"num_threads: got {count}, expected 1 to 1024"):
        runtime.set_num_threads(count)


@pytest.mark.parametrize("count", [2.0, "2", None])
def test_a_count_of_another_type_is_an_error(count):
    with pytest.raises(DTypeError, match=r"num_threads: got .*, expected a whole number"):
        runtime.set_num_threads(count)


def test_info_says_what_set_the_number():
    assert runtime.threadpool_info()["reason"] != "set_num_threads"
    with runtime.num_threads(9):
        info = runtime.threadpool_info()
    assert (info["num_threads"], info["reason"]) == (9, "set_num_threads")


def test_affinity_bounds_the_default():
    processor = min(os.sched_getaffinity(0))
    bound = f"import os; os.sched_setaffinity(0, {{{processor}}})\n"
    got = run_python(bound + SHOW_THREADS, **NO_VARIABLES)
    assert got == "1; processors this process may run on"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"PLAINFORMER_NUM_THREADS": "1"}, "1; PLAINFORMER_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "1"}, "1; OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": " 1, 4"}, "1; OMP_NUM_THREADS"),
        (
            {"OMP_NUM_THREADS": "4", "PLAINFORMER_NUM_THREADS": " 1 "},
            "1; PLAINFORMER_NUM_THREADS",
        ),
    ],
    ids=str,
)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_variables_bound_the_default(variables, expected):
    assert show_threads(**variables) == expected


def test_variables_only_lower_the_default():
    assert show_threads(PLAINFORMER_NUM_THREADS="1000") == show_threads()


@pytest.mark.parametrize("text", ["abc", "0", "-2", "2.5", "2,1", "99999999999999999999"])
def test_a_wrong_number_in_our_variable_is_an_error(text):
    error = last_error_line(SHOW_THREADS, PLAINFORMER_NUM_THREADS=text)
    assert error == (
        f'plainformer.errors.ConfigError: PLAINFORMER_NUM_THREADS: got "{text}", expected a whole '
        "number >= 1; change or unset the environment variable"
    )


def test_a_wrong_number_in_openmps_variable_warns_and_is_passed_over():
    code = (
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    from plainformer import runtime\n"
        "print(runtime.get_num_threads(), *[w.message for w in caught])"
    )
    threads = show_threads().split(";")[0]
    got = run_python(code, **{**NO_VARIABLES, "OMP_NUM_THREADS": "many"})
    assert got == f"{threads} OMP_NUM_THREADS: got 'many', expected a whole number >= 1; ignored"


# ---- control groups: files as the kernel writes them -----------------------------------------


def write_files(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


V1 = "4:memory:/job\n3:cpu,cpuacct:/job\n0::/\n"
CPU_CASES = {
    "nothing at all": ({}, 0),
    "v2 unlimited": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"},
        0,
    ),
    "v2 two and a half rounds up": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"},
        3,
    ),
    "v2 tightest of the groups above": (
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/a/b/cpu.max": "800000 100000\n",
        },
        2,
    ),
    "v2 path of the host, limit at the root of the mount": (
        {"proc/self/cgroup": "0::/docker/0123\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"},
        4,
    ),
    "v1 quota": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "300000\n",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
        },
        3,
    ),
    "v1 mounted under the controller's own name": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        1,
    ),
    "v1 unlimited": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
        },
        0,
    ),
    "hybrid: v2 under unified": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/unified/cpu.max": "600000 100000\n",
        },
        6,
    ),
    "nonsense": ({"proc/self/cgroup": "what\n::\n", "sys/fs/cgroup/cpu.max": "x y\n"}, 0),
}


@pytest.mark.parametrize(("files", "expected"), CPU_CASES.values(), ids=CPU_CASES.keys())
def test_cpu_quota(tmp_path, files, expected):
    assert _cpu.cgroup_cpu_limit(write_files(tmp_path, files)) == expected


MEMORY_CASES = {
    "nothing at all": ({}, 0),
    "v2": (
        {
            "proc/self/cgroup": "0::/a\n",
            "sys/fs/cgroup/memory.max": "max\n",
            "sys/fs/cgroup/a/memory.max": "1073741824\n",
        },
        1 << 30,
    ),
    "v1": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "4096000\n",
        },
        4096000,
    ),
}


@pytest.mark.parametrize(("files", "expected"), MEMORY_CASES.values(), ids=MEMORY_CASES.keys())
def test_memory_limit(tmp_path, files, expected):
    assert _cpu.cgroup_memory_limit(write_files(tmp_path, files)) == expected


# ---- ISA level -------------------------------------------------------------------------------


def test_use_level_switches_and_puts_back():
    before = _cpu.current_level()
    with runtime.use_level("generic"):
        assert _cpu.current_level() == "generic"
    assert _cpu.current_level() == before


LEVELS = {
    "x86_64": "generic, avx2, avx512, avx512bf16, amx, amx_emulated",
    "aarch64": "generic, neon, neon_bf16, amx_emulated",
    "arm64": "generic, neon, neon_bf16, amx_emulated",
}.get(platform.machine(), "generic, amx_emulated")


@pytest.mark.parametrize("name", ["sse9", "", "neon" if "avx2" in LEVELS else "avx2"])
def test_an_unknown_level_is_an_error(name):
    with pytest.raises(ConfigError, match=f'got "{name}", expected one of {LEVELS}$'):  # noqa: SIM117
        with runtime.use_level(name):
            pass


def test_the_variable_forces_a_level_down():
    code = "from plainformer import _cpu; print(_cpu.current_level())"
    for level in _cpu.available_levels():
        assert run_python(code, PLAINFORMER_CPU_ISA=level) == level


def test_a_wrong_level_in_the_variable_is_an_error_at_first_use_not_at_import():
    code = (
        "import numpy as np, plainformer.runtime\n"
        "from plainformer import kernels\n"
        "x = np.ones(4, np.float32)\n"
        "kernels.add(x, x)"
    )
    error = last_error_line(code, PLAINFORMER_CPU_ISA="mmx")
    assert error.startswith("plainformer.errors.ConfigError: PLAINFORMER_CPU_ISA")
    assert f"expected one of {LEVELS}" in error


def test_features_justify_the_best_level():
    features = runtime.cpu_features()
    needed = {"avx2": "avx2", "avx512": "avx512f", "avx512bf16": "avx512_bf16",
              "amx": "amx_bf16", "neon": "asimd", "neon_bf16": "bf16"}  # fmt: skip
    for level in _cpu.available_levels():
        assert level == "generic" or needed[level] in features
