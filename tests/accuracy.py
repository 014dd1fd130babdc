"""The 2x rule: our error is at most twice that of the plain formulas in the same type.

A function of tests/reference.py computes in the dtype of its inputs and passes every array that
stands between two formulas (scores, probabilities, x_hat, the output) through its keyword `to`.
Run on float64 with `to` left out it is the truth; run on float32 with `to` rounding to the tested
type it is the plain implementation that ours must not be worse than by more than a factor.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

bfloat16 = np.dtype(ml_dtypes.bfloat16)


def representable(values, dtype):
    """The numbers in `dtype`; the test is left out where they end beyond it (float16 at 65504)."""
    with np.errstate(over="ignore"):
        rounded = np.asarray(values).astype(dtype)
    if not np.array_equal(np.isinf(rounded.astype(np.float64)), np.isinf(values)):
        pytest.skip(f"{dtype} does not reach so far")
    return rounded


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def convert(value, dtype):
    """Float arrays become `dtype`; masks, ids, numbers and None stay."""
    if isinstance(value, np.ndarray) and (value.dtype.kind == "f" or value.dtype == bfloat16):
        return value.astype(dtype)
    return value


def rounding(dtype):
    """What `to` is for the plain implementation: round to `dtype`, go on in float32 (float64)."""
    compute = np.float64 if dtype == np.float64 else np.float32
    return lambda a: np.asarray(a).astype(dtype).astype(compute)


def truth(function, *inputs, **options):
    """The reference in float64 on the values of `inputs`."""
    with np.errstate(all="ignore"):
        return as_tuple(function(*(convert(x, np.float64) for x in inputs), **options))


def plain(function, *inputs, dtype, **options):
    """The same formulas with arrays between them rounded to `dtype`."""
    compute = np.float64 if dtype == np.float64 else np.float32
    with np.errstate(all="ignore"):
        return as_tuple(
            function(*(convert(x, compute) for x in inputs), to=rounding(dtype), **options)
        )


def largest_error(actual, exact):
    """Largest absolute difference; where `exact` is not finite the two must be equal."""
    actual = np.asarray(actual).astype(np.float64)
    exact = np.asarray(exact, np.float64)
    assert actual.shape == exact.shape, f"shape {actual.shape}, expected {exact.shape}"
    if actual.size == 0:
        return 0.0
    finite = np.isfinite(exact)
    np.testing.assert_array_equal(actual[~finite], exact[~finite])
    assert np.isfinite(actual[finite]).all(), "NaN or inf where the reference has none"
    return float(np.abs(actual - exact)[finite].max(initial=0.0))


def assert_2x(actual, function, *inputs, factor=2.0, dtype=None, least_scale=0.0, **options):
    """Assert that each of `actual` errs by at most `factor` times the plain formulas' error.

    `inputs` are the very arrays (of the tested type) that were given to ours; `dtype` defaults to
    the first one's. Allowed beyond the factor: 1e-5 of the output's scale (1e-13 for float64).
    Gradients use factor=3. A None in `actual` skips that output. `least_scale` is for outputs that
    may be 0 but for rounding: the size of the terms that cancel in them.
    """
    dtype = np.dtype(dtype or next(x.dtype for x in inputs if isinstance(x, np.ndarray)))
    exact = truth(function, *inputs, **options)
    rough = plain(function, *inputs, dtype=dtype, **options)
    slack = 1e-13 if dtype == np.float64 else 1e-5
    actual = as_tuple(actual)
    assert len(actual) == len(exact)
    for i, (ours, want, other) in enumerate(zip(actual, exact, rough)):
        if ours is None:
            continue
        error = largest_error(ours, want)
        finite = np.isfinite(want)
        scale = float(np.abs(np.asarray(want)[finite]).max(initial=least_scale))
        both = finite & np.isfinite(other)
        plain_error = float(np.abs(np.asarray(other) - want)[both].max(initial=0.0))
        allowed = factor * plain_error + slack * scale
        assert error <= allowed, (
            f"output {i}: error {error:.3g} > {allowed:.3g} "
            f"({factor:g} x plain {plain_error:.3g} + {slack:g} x scale {scale:.3g})"
        )
