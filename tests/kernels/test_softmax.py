"""softmax and log_softmax, forward and backward, along any axis."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plainformer as pf
from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from plainformer.kernels import _arrays
from tests import reference
from tests.accuracy import assert_2x, representable, truth
from tests.kernels.sizes import beyond_cache

# (shape, axis): tails at every register width; 40000 is beyond what a row keeps in L2; an inner
# axis over 1, less than one, and several registers of columns.
CASES = [
    ((0, 8), -1),
    ((3, 0), 1),
    ((0, 8), 0),
    ((1,), 0),
    ((3, 1), 1),
    ((3, 17), -1),
    ((2, 5, 64), 2),
    ((7, 1023), 1),
    ((2, 40000), -1),
    ((5, 3), 0),
    ((2, 33, 70), 1),
    ((2, 3, 4, 129), -2),
    ((64, 257), 0),
    ((4, 7, 1), 1),
]
FORWARD = {"softmax": kernels.softmax, "log_softmax": kernels.log_softmax}
BACKWARD = {
    "softmax": kernels.softmax_backward,
    "log_softmax": kernels.log_softmax_backward,
}
REFERENCE = {
    "softmax": (reference.softmax, reference.softmax_backward),
    "log_softmax": (reference.log_softmax, reference.log_softmax_backward),
}


@pytest.fixture(params=FORWARD)
def name(request):
    return request.param


@pytest.mark.parametrize(("shape", "axis"), CASES, ids=str)
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_forward(backend, dtype, rng, name, shape, axis, scale):
    x = (rng.standard_normal(shape) * scale).astype(dtype)
    assert_2x(FORWARD[name](backend(x), axis), REFERENCE[name][0], x, axis=axis)


@pytest.mark.parametrize(("shape", "axis"), CASES, ids=str)
def test_backward(backend, dtype, rng, name, shape, axis):
    y = FORWARD[name](rng.standard_normal(shape).astype(dtype), axis)
    dy = rng.standard_normal(shape).astype(dtype)
    dx = BACKWARD[name](backend(dy), backend(y), axis)
    assert_2x(dx, REFERENCE[name][1], dy, y, axis=axis, factor=3)


@pytest.mark.parametrize("axis", [0, 1])
def test_float64_gradients_agree_with_differences(rng, name, axis):
    x, dy = rng.standard_normal((2, 4, 5))
    grad = BACKWARD[name](dy, FORWARD[name](x, axis), axis)
    h = 1e-6
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        difference = FORWARD[name](x + step, axis) - FORWARD[name](x - step, axis)
        assert abs((dy * difference).sum() / (2 * h) - grad[i]) < 1e-7


def test_dim_is_another_word_for_axis(backend, rng, name):
    x = rng.standard_normal((3, 4)).astype(np.float32)
    by_axis = FORWARD[name](x, 0)
    assert FORWARD[name](x, dim=0).tobytes() == by_axis.tobytes()
    assert FORWARD[name](x).tobytes() == FORWARD[name](x, axis=-1).tobytes()
    assert FORWARD[name](x, np.int64(-2)).tobytes() == by_axis.tobytes()
    grad = BACKWARD[name](x, by_axis, dim=0)
    assert grad.tobytes() == BACKWARD[name](x, by_axis, 0).tobytes()
    for axis in (-1, 0):
        with pytest.raises(ConfigError, match=f"axis, dim: got {axis} and 0, expected only one"):
            FORWARD[name](x, axis, dim=0)


def test_strides_change_no_byte(backend, dtype, rng, name):
    x = rng.standard_normal((6, 5, 34)).astype(dtype)
    x.flags.writeable = False
    for view in (x[::2], x[::-1, ::-1], x[..., ::2], x.T, np.broadcast_to(x[:1], (4, 5, 34))):
        for axis in range(3):
            y = FORWARD[name](view, axis)
            assert y.tobytes() == FORWARD[name](view.copy(), axis).tobytes()
            grad = BACKWARD[name](view, y, axis)
            assert grad.tobytes() == BACKWARD[name](view.copy(), y, axis).tobytes()


def test_an_inner_axis_is_not_copied(backend, rng, name):
    x = rng.standard_normal((3, 40, 50)).astype(np.float32)
    before = _arrays.copies
    FORWARD[name](x, 1)
    FORWARD[name](x[0, :, :20], -1)
    assert _arrays.copies == before


@pytest.mark.cpu("threads")
@pytest.mark.parametrize(("shape", "axis"), [((900, 77), 1), ((3, 50, 700), 1)], ids=str)
def test_threads_change_no_byte(backend, dtype, rng, name, shape, axis):
    x = rng.standard_normal(shape).astype(dtype)
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            y = FORWARD[name](x, axis)
            results.add(y.tobytes() + BACKWARD[name](x, y, axis).tobytes())
    assert len(results) == 1


def test_a_row_does_not_depend_on_its_batch(backend, dtype, rng, name):
    x = rng.standard_normal((50, 300)).astype(dtype)
    y = FORWARD[name](x)
    for n in (0, 23, 49):
        assert FORWARD[name](x[n]).tobytes() == y[n].tobytes()


@pytest.mark.cpu("larger than the CPU's caches")
def test_outputs_larger_than_the_cache_have_the_same_bytes(backend, dtype, rng, name):
    """Such outputs are written past the caches, from odd addresses on: 333 numbers a row."""
    x = rng.standard_normal((100, 333)).astype(dtype)
    tall = np.tile(x, (beyond_cache(x), 1))
    y = FORWARD[name](x)
    assert (FORWARD[name](tall).reshape(-1, *y.shape).view(np.uint8) == y.view(np.uint8)).all()
    dx = BACKWARD[name](x, x)
    tall_dx = BACKWARD[name](tall, tall).reshape(-1, *y.shape)
    assert (tall_dx.view(np.uint8) == dx.view(np.uint8)).all()


EXTREMES = {
    "1e4": [1e4, -1e4, 0.0, 9999.0],
    "largest floats": [3e38, -3e38, 1.0, 3e38],
    "masked entries": [-np.inf, 2.0, -np.inf, 1.0],
    "one entry": [-np.inf, 5.0, -np.inf, -np.inf],
    "denormals": [1e-40, -1e-40, 0.0, 1e-44],
    "constant": [7.7] * 4,
}


@pytest.mark.parametrize("row", EXTREMES.values(), ids=EXTREMES)
@pytest.mark.parametrize("axis", [0, 1])
def test_extremes(backend, dtype, name, row, axis):
    x = np.tile(representable(row, dtype), (3, 9))
    x = x if axis == 1 else np.ascontiguousarray(x.T)
    y = FORWARD[name](backend(x), axis)
    exact = truth(REFERENCE[name][0], x, axis=axis)[0]
    tolerance = 0.01 if dtype.itemsize == 2 else 1e-6
    finite = np.isfinite(exact) & (np.abs(exact) < 3e38)
    np.testing.assert_allclose(y.astype(np.float64)[finite], exact[finite], rtol=tolerance)
    assert not np.isnan(y.astype(np.float64)).any()


@pytest.mark.parametrize("axis", [0, 1])
def test_rows_without_a_finite_maximum_are_nan_as_in_numpy(backend, dtype, name, axis):
    x = np.zeros((4, 40)).astype(dtype)
    x[0] = -np.inf
    x[1, 3] = np.inf
    x[2, 5] = np.nan
    x = x if axis == 1 else np.ascontiguousarray(x.T)
    y = FORWARD[name](backend(x), axis).astype(np.float32)
    y = y if axis == 1 else y.T
    assert np.isnan(y[[0, 2]]).all()
    assert np.isnan(y[1, 3])
    assert np.isfinite(y[3]).all()


def test_out_receives_y(backend, dtype, rng, name):
    x = rng.standard_normal((4, 19)).astype(dtype)
    out = np.full_like(x, np.nan)
    assert FORWARD[name](x, out=out) is out
    assert out.tobytes() == FORWARD[name](x).tobytes()


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.data())
def test_any_shape(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    name = data.draw(st.sampled_from(sorted(FORWARD)))
    x = np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)
    assert_2x(FORWARD[name](x, axis), REFERENCE[name][0], x, axis=axis)


BAD_CALLS = {
    "axis: got 2, expected -2 to 1 for x": lambda x: kernels.softmax(x, 2),
    "axis: got -3, expected -2 to 1 for output": lambda x: kernels.softmax_backward(x, x, -3),
    "axis: got 1.0, expected a whole number": lambda x: kernels.log_softmax(x, 1.0),
    "x: got shape (), expected at least 1 axis": lambda x: kernels.softmax(x[0, 0, ...]),
    "x: got dtype int16": lambda x: kernels.softmax(x.astype(np.int16)),
    "x: got builtins.list, expected a NumPy array": lambda x: kernels.softmax([1.0]),
    "out: shares memory with x": lambda x: kernels.softmax(x, out=x),
    "grad_output: got shape (1, 3), expected (2, 3)": lambda x: kernels.softmax_backward(x[:1], x),
    "grad_output: got dtype bfloat16, expected float32 like output": (
        lambda x: kernels.log_softmax_backward(x.astype(ml_dtypes.bfloat16), x)
    ),
}


@pytest.mark.parametrize("message", BAD_CALLS)
@pytest.mark.usefixtures("backend")
def test_bad_arguments_are_named(message):
    with pytest.raises((ShapeError, DTypeError, ConfigError)) as caught:
        BAD_CALLS[message](np.zeros((2, 3), np.float32))
    assert message in str(caught.value)
