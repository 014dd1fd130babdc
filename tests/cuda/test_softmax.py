"""softmax and log_softmax on the emulated device: every team of threads that may have a row."""

import numpy as np
import pytest

from plainformer import kernels
from tests import reference
from tests.accuracy import assert_2x
from tests.emulated import emulated, to_device

# Lanes of a warp, whole chunks or not, one row too many for a block; warps of a block.
ROWS = [(1, 1), (5, 3), (37, 8), (9, 17), (5, 1023), (4, 1024), (3, 2309), (2, 4096)]
# Longer than a block's registers in both directions: read twice, or a cluster's on sm_90.
LONG = [(2, 33001), (1, 33024)]
# Along an axis before the last: by 16 bytes and by elements, with rows that stay in registers and
# rows that are read twice; a block of columns more than one.
COLUMNS = [(5, 3), (64, 33), (2, 300, 16), (2, 70, 72), (1, 4, 80)]
NAMES = ["softmax", "log_softmax"]


def both_ways(name, x, dy, axis=-1):
    """y and dx, as NumPy's."""
    forward, backward = getattr(kernels, name), getattr(kernels, f"{name}_backward")
    y = forward(to_device(x), axis)
    dx = backward(to_device(dy), y, axis)
    return kernels.asnumpy(y), kernels.asnumpy(dx)


def check(name, x, dy, axis=-1):
    y, dx = both_ways(name, x, dy, axis)
    assert_2x(y, getattr(reference, name), x, axis=axis)
    assert_2x(dx, getattr(reference, f"{name}_backward"), dy, y, axis=axis, factor=3)


def make(rng, dtype, shape, scale=3.0):
    x, dy = rng.standard_normal((2, *shape))
    return (scale * x).astype(dtype), dy.astype(dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_rows(dtype, rng, name, shape):
    with emulated():
        check(name, *make(rng, dtype, shape))


@pytest.mark.parametrize("shape", LONG, ids=str)
@pytest.mark.parametrize("capability", [80, 90])
def test_long_rows(dtype, rng, shape, capability):
    with emulated(capability):
        check("softmax", *make(rng, dtype, shape))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", COLUMNS, ids=str)
def test_columns(dtype, rng, name, shape):
    with emulated():
        check(name, *make(rng, dtype, shape), axis=-2)


def test_long_columns_are_read_twice(dtype, rng):
    with emulated():
        check("softmax", *make(rng, dtype, (600, 8)), axis=0)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 3, 5)], ids=str)
def test_empty_arrays(dtype, shape):
    with emulated():
        y, dx = both_ways("softmax", np.zeros(shape, dtype), np.zeros(shape, dtype), 1)
    assert y.shape == dx.shape == shape


@pytest.mark.parametrize("width", [9, 130, 1023, 4099])
def test_where_a_row_lies_changes_no_byte(dtype, rng, width):
    x, dy = make(rng, dtype, (7, width))
    wide = np.full((7, width + 5), np.nan, dtype)
    wide[:, 3 : width + 3] = x
    with emulated():
        y, dx = both_ways("softmax", x, dy)
        view = kernels.softmax(to_device(wide)[:, 3 : width + 3])
        assert kernels.asnumpy(view).tobytes() == y.tobytes()
        for n in (0, 3, 6):
            alone = both_ways("softmax", x[n : n + 1], dy[n : n + 1])
            assert alone[0].tobytes() == y[n].tobytes()
            assert alone[1].tobytes() == dx[n].tobytes()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_rows_without_a_finite_maximum_are_nan(dtype, name, axis):
    x = np.zeros((5, 300)).astype(dtype)
    x[0] = -np.inf
    x[1, 3] = np.inf
    x[2, 250] = np.nan
    x[4, :299] = -np.inf
    with emulated():
        given = np.ascontiguousarray(x if axis == 1 else x.T)
        y = kernels.asnumpy(getattr(kernels, name)(to_device(given), axis)).astype(np.float32)
    y = y if axis == 1 else y.T
    assert np.isnan(y[[0, 2]]).all()
    assert np.isnan(y[1, 3])
    assert np.isfinite(y[3]).all()
    assert y[4, 299] == (1 if name == "softmax" else 0)
    assert (y[4, :299] == (0 if name == "softmax" else -np.inf)).all()


def test_large_numbers(dtype):
    row = np.array([1e4, -1e4, 0.0, 9999.0])
    with emulated():
        check("softmax", np.tile(row, (3, 9)).astype(dtype), np.ones((3, 36), dtype))
        check("log_softmax", np.tile(row, (3, 9)).astype(dtype), np.ones((3, 36), dtype))


@pytest.mark.parametrize("shape", [(6, 517), (2, 2309), (2, 40, 24)], ids=str)
def test_the_order_of_threads_changes_no_byte(dtype, rng, shape):
    x, dy = make(rng, dtype, shape)
    axis, results = (-1 if len(shape) == 2 else 1), set()
    for order in ("fifo", "lifo", "1", "2"):
        with emulated(order=order):
            results.add(b"".join(a.tobytes() for a in both_ways("softmax", x, dy, axis)))
    assert len(results) == 1
