"""Dropout: the mask against a Philox in NumPy, at every level, shape and thread count."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plainformer as pf
from plainformer import _cpu, kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from plainformer.kernels._attention import Arrays, Options
from tests import reference
from tests.accuracy import assert_2x
from tests.kernels.sizes import beyond_cache

SHAPES = [(0, 8), (), (1,), (5,), (3, 17), (2, 3, 64), (2, 129), (40, 768), (3, 20001)]
SEED, OFFSET = 2**63 + 12345, 2**32 - 2


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_matches_the_reference(backend, dtype, rng, shape, p):
    x = np.asarray(rng.standard_normal(shape)).astype(dtype)
    y = kernels.dropout(backend(x), p, SEED, OFFSET)
    assert_2x(y, reference.dropout, x, p, SEED, OFFSET, factor=1)
    assert ((y == 0) == (reference.dropout(x.astype(np.float64), p, SEED, OFFSET) == 0)).all()


def test_backward_uses_the_same_mask(backend, dtype, rng):
    dy = rng.standard_normal((7, 100)).astype(dtype)
    dx = kernels.dropout_backward(backend(dy), 0.3, SEED, OFFSET)
    assert dx.tobytes() == kernels.dropout(dy, 0.3, SEED, OFFSET).tobytes()


def test_scale_is_that_of_the_rounded_probability():
    p = 1e-5  # rounds to 1 / 65536
    y = kernels.dropout(np.ones((100, 4096)), p, 1, 0)
    assert set(np.unique(y)) == {0.0, 65536 / 65535}
    assert (kernels.dropout(np.ones((100, 4096)), 1e-6, 1, 0) == 1).all()  # rounds to 0


def test_share_of_dropped_elements_is_p(backend):
    y = kernels.dropout(backend(np.ones((1000, 1000), np.float32)), 0.1, 3, 0)
    assert abs((y == 0).mean() - 0.1) < 5 * np.sqrt(0.09 / 1e6)
    assert abs(y.mean() - 1) < 5 * np.sqrt(0.1 / 0.9 / 1e6)


def test_seed_and_offset_change_the_mask(backend):
    x = np.ones((4, 256), np.float32)
    masks = {
        kernels.dropout(x, 0.5, s, o).tobytes() for s, o in [(0, 0), (1, 0), (2**32, 0), (0, 1)]
    }
    assert len(masks) == 4


def test_dropped_nan_and_inf_become_zero(backend, dtype):
    x = np.full((2, 64), np.nan).astype(dtype)
    y = kernels.dropout(x, 0.5, 1, 0).astype(np.float32)
    mask, _ = reference.dropout_mask(2, 64, 0.5, 1, 0)
    assert (y[~mask] == 0).all()
    assert np.isnan(y[mask]).all()


def test_strides_change_no_byte(backend, dtype, rng):
    x = rng.standard_normal((6, 34)).astype(dtype)
    x.flags.writeable = False
    for view in (x[::2], x[::-1], x[:, ::2], x.T, x[:, 3:20], np.broadcast_to(x[0], (4, 34))):
        expected = kernels.dropout(view.copy(), 0.3, SEED, 0)
        assert kernels.dropout(view, 0.3, SEED, 0).tobytes() == expected.tobytes()


@pytest.mark.cpu("larger than the CPU's caches")
def test_outputs_larger_than_the_cache_have_the_same_bytes(backend, dtype):
    """Such outputs are written past the caches, from odd addresses on: 777 numbers a row."""
    x = np.ones((100, 777), dtype)
    tall = np.tile(x, (beyond_cache(x), 1))
    y = kernels.dropout(tall, 0.3, SEED, 0)
    for begin in (0, 1000):
        mask, scale = reference.dropout_mask(begin + 50, 777, 0.3, SEED, 0)
        expected = np.where(mask, scale, 0).astype(dtype)
        assert y[begin : begin + 50].tobytes() == expected[begin:].tobytes()


@pytest.mark.cpu("threads")
def test_threads_change_no_byte(backend, dtype, rng):
    x = rng.standard_normal((900, 77)).astype(dtype)
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            results.add(kernels.dropout(x, 0.3, SEED, 0).tobytes())
    assert len(results) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 9), max_size=2),
    st.integers(1, 300),
    st.floats(0, 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
)
def test_any_arguments(leading, width, p, seed, offset):
    x = np.ones((*leading, width), np.float32)
    assert_2x(kernels.dropout(x, p, seed, offset), reference.dropout, x, p, seed, offset, factor=1)


BAD_CALLS = {
    "p: got 1.5, expected a number from 0": lambda x: kernels.dropout(x, 1.5, 0, 0),
    "p: got nan, expected a number": lambda x: kernels.dropout(x, float("nan"), 0, 0),
    "p: got '0.1', expected a number": lambda x: kernels.dropout(x, "0.1", 0, 0),
    "seed: got -1, expected at least 0": lambda x: kernels.dropout(x, 0.1, -1, 0),
    "seed: got 18446744073709551616, expected at most 2^64 - 1": lambda x: kernels.dropout(
        x, 0.1, 2**64, 0
    ),
    "offset: got 4294967296, expected at most 2^32 - 1": lambda x: kernels.dropout(
        x, 0.1, 0, 2**32
    ),
    "offset: got 0.5, expected a whole number": lambda x: kernels.dropout(x, 0.1, 0, 0.5),
    "x: got dtype int16": lambda x: kernels.dropout(x.astype(np.int16), 0.1, 0, 0),
    "grad_output: got builtins.int, expected a NumPy array": lambda x: kernels.dropout_backward(
        1, 0.1, 0, 0
    ),
}


@pytest.mark.parametrize("message", BAD_CALLS)
@pytest.mark.usefixtures("backend")
def test_bad_arguments_are_named(message):
    with pytest.raises((ShapeError, DTypeError, ConfigError)) as caught:
        BAD_CALLS[message](np.ones((2, 8), np.float32))
    assert message in str(caught.value)


@pytest.mark.parametrize("p", [float("nan"), float("inf"), -1.0, 1.0000001, 1e300])
def test_bindings_take_probabilities_only(p):
    """Whoever calls them past the wrappers: no other number has a threshold."""
    x = np.ones((1, 2, 3, 4), np.float32)
    options = Options(0, False, 3, 3, 1.0, 0.0, -1, -1, False, p, 1, 0)
    arrays = Arrays(x, x, x, None, None, None, None)
    assert _cpu.dropout(x, p, 1, 0) is None
    assert _cpu.attention(*arrays, options, None, False) is None
    assert _cpu.attention(*arrays, options._replace(dropout_p=1.0), None, False) is not None


def test_bfloat16_scale_is_rounded_once(backend):
    x = np.full((4, 64), 3.0, ml_dtypes.bfloat16)
    y = kernels.dropout(x, 0.1, 1, 0)
    kept = 3.0 * 65536 / (65536 - 6554)
    assert set(np.unique(y.astype(np.float32))) == {0.0, float(ml_dtypes.bfloat16(kept))}
