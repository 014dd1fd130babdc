"""Elementary functions of csrc/cpu/isa/math.h: a sample of all float32 inputs at every ISA level.

tests/cpp/elementary.cpp checks every input; see its head for how to run it.
"""

import math

import numpy as np
import pytest

from plainformer import _cpu
from tests.reference import sigmoid

# number of enum class Elementary, float64 reference, largest error in ulp with and without FMA
FUNCTIONS = {
    "exp": (0, np.exp, 0.9, 2.5),
    "exp2": (1, np.exp2, 2.2, 3.7),
    "log": (2, np.log, 0.9, 2.5),
    "sigmoid": (3, sigmoid, 2.5, 4.0),
    "tanh": (4, np.tanh, 1.5, 3.5),
    "erf": (5, np.vectorize(math.erf, otypes=[np.float64]), 1.2, 3.5),
}
# Odd, so that the sample meets every low bit pattern; erf in Python is slow.
STRIDES = {"erf": 65537}


def sample(name):
    return np.arange(0, 1 << 32, STRIDES.get(name, 4099), np.uint64).astype(np.uint32).view("f4")


def error_in_ulp(ours, exact):
    """|ours - exact| in units of the last place of float32 at exact, overflow counted as one."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    finite = np.isfinite(rounded) & np.isfinite(ours)
    same = (ours == rounded) | (np.isnan(ours) & np.isnan(rounded))
    largest = np.finfo(np.float32).max
    neighbors = (np.abs(ours) >= largest) & (np.abs(rounded) >= largest)
    ulp = np.abs(np.spacing(np.where(finite, rounded, 1))).astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.abs(ours.astype(np.float64) - exact) / ulp
    return np.where(finite, error, np.where(same, 0, np.where(neighbors, 1, np.inf)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_in_ulp(level, name):
    number, exact, fused, unfused = FUNCTIONS[name]
    x = sample(name)
    with np.errstate(all="ignore"):
        error = error_in_ulp(_cpu.elementary(x, number), exact(x.astype(np.float64)))
    worst = int(error.argmax())
    bound = unfused if level == "generic" else fused
    assert error[worst] <= bound, f"{name}({x[worst]!r}): {error[worst]:.3f} ulp > {bound}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(level, name):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[name][1](x.astype(np.float64)).astype(np.float32)
    y = _cpu.elementary(x, FUNCTIONS[name][0])
    np.testing.assert_array_equal(y, exact)


def test_exp2_or_zero_is_exp2_or_zero(level):
    x = sample("exp2_or_zero")
    x = np.append(x[~(x >= 127.5)], np.float32([np.nan, -np.inf, -126.6, -126.4]))
    with np.errstate(all="ignore"):
        exact = np.where(x < -126.5, 0, np.exp2(x.astype(np.float64)))
        error = error_in_ulp(_cpu.elementary(x, 6), exact)
    worst = int(error.argmax())
    assert error[worst] <= FUNCTIONS["exp2"][3 if level == "generic" else 2], x[worst]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_levels_with_fused_multiply_add_agree_bit_for_bit(name):
    x = sample(name)[::7].copy()
    results = {}
    before = _cpu.current_level()
    for level in _cpu.available_levels():
        _cpu.set_level(level)
        results[level] = _cpu.elementary(x, FUNCTIONS[name][0])
    _cpu.set_level(before)
    fused = [y.tobytes() for level, y in results.items() if level != "generic"]
    assert len(set(fused)) <= 1
    best = results[_cpu.available_levels()[-1]]
    finite = np.isfinite(best) & np.isfinite(results["generic"])
    difference = np.abs(best[finite].astype(np.float64) - results["generic"][finite])
    assert (difference <= 4 * np.spacing(np.abs(best[finite]))).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_is_libm(level, name, rng):
    x = rng.standard_normal(1001) * 3
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[name][1](x)
    np.testing.assert_allclose(_cpu.elementary(x, FUNCTIONS[name][0]), exact, rtol=1e-14)
