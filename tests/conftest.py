"""Fixtures of the kernel tests: each case runs at every ISA level of this machine and dtype."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from plainformer import _cpu

DTYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float64": np.float64}


def available_levels() -> list[str]:
    """Levels that are built and that this processor can run, worst first."""
    return _cpu.available_levels()


@pytest.fixture(params=available_levels())
def level(request):
    """Run the test with the kernels of one ISA level."""
    before = _cpu.current_level()
    _cpu.set_level(request.param)
    yield request.param
    _cpu.set_level(before)


@pytest.fixture
def backend(level):
    """Turns a NumPy array into one that the tested backend computes on (the CPU: itself)."""
    return lambda array: array


@pytest.fixture(params=DTYPES)
def dtype(request):
    return np.dtype(DTYPES[request.param])


@pytest.fixture
def rng():
    return np.random.default_rng(20240)
