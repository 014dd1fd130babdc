"""The backends of the kernel tests: the CPU at each ISA level, and the CUDA kernels.

A test with the fixture `backend` runs on all of them: its NumPy arrays are computed on by the
kernels of that backend (`tests/mirror.py`). One with `dtype` too runs with each float type that the
backend has. What is the CPU's alone is marked `cpu("why")`.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from plainformer import _cpu
from plainformer.kernels._backend import kind_at
from plainformer.kernels.devices import is_available
from tests.conftest import available_levels
from tests.emulated import emulated
from tests.mirror import mirrored

TYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float64": np.float64,
         "float16": np.float16}  # fmt: skip
OF_CPU = ("float32", "bfloat16", "float64")
OF_CUDA = ("float32", "bfloat16", "float16")


def backends(marks):
    """Their names, in order; AMX's kernels with their instructions' twins where a test asks."""
    levels = [*available_levels(), *(["amx_emulated"] if "amx" in marks else [])]
    found = [f"cpu-{level}" for level in levels] + ["cuda-emulated"]
    return [*found, "cuda"] if is_available("cuda") else found


def pytest_generate_tests(metafunc):
    """Each backend with each of its types."""
    names, function = metafunc.fixturenames, metafunc.function
    has_dtype = "dtype" in names and "dtype" not in parametrized(metafunc)
    if "backend" not in names:
        if "level" in names and "level" not in parametrized(metafunc):
            metafunc.parametrize("level", available_levels(), indirect=True)
        if has_dtype:
            metafunc.parametrize("dtype", OF_CPU, indirect=True)
        return
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    is_cpus = "cpu" in marks or "level" in names
    chosen = [b for b in backends(marks) if not (is_cpus and b.startswith("cuda"))]
    assert chosen, function
    if not has_dtype:
        metafunc.parametrize("backend", chosen, indirect=True)
        return
    pairs = [(b, t) for b in chosen for t in types_of(b)]
    metafunc.parametrize(("backend", "dtype"), pairs, indirect=True, ids=map("-".join, pairs))


def types_of(name):
    """The float types that a backend has kernels of its own for."""
    if name == "cpu-amx_emulated":
        return ("bfloat16",)
    return OF_CUDA if name.startswith("cuda") else OF_CPU


def parametrized(metafunc):
    """The arguments that the test's own decorators give."""
    marks = metafunc.definition.iter_markers("parametrize")
    found: set[str] = set()
    for mark in marks:
        names = mark.args[0]
        found |= {n.strip() for n in (names.split(",") if isinstance(names, str) else names)}
    return found


@pytest.fixture
def level(request):
    """The ISA level of the kernels that the test runs with."""
    if "backend" in request.fixturenames:
        request.getfixturevalue("backend")
        yield _cpu.current_level()
        return
    before = _cpu.current_level()
    _cpu.set_level(request.param)
    yield request.param
    _cpu.set_level(before)


@pytest.fixture
def dtype(request):
    return np.dtype(TYPES[request.param])


@pytest.fixture
def backend(request):
    """Turns a NumPy array into one that the tested backend computes on: the array itself."""
    if request.param.startswith("cpu-"):
        before = _cpu.current_level()
        _cpu.set_level(request.param.removeprefix("cpu-"))
        yield lambda array: array
        _cpu.set_level(before)
        return
    with emulated() as compiled, mirrored(kind_at("cuda")):
        compiled.reset_stats()
        yield lambda array: array
