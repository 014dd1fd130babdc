"""Matrix products on CUDA without wgmma, emulated: each kernel, its edges, and what only it has."""

import itertools

import ml_dtypes
import numpy as np
import pytest

from plainformer import kernels
from tests import emulated, reference
from tests.accuracy import assert_2x
from tests.kernels.test_gemm import make, make_linear, make_pair

HALVES = [np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)]
ACTIVATIONS = [None, "relu", "gelu", "gelu_tanh", "silu", "tanh"]

# (M, N, K): edges of the 64 x 64 tile and of a step of 32 (float32: 16), parts of K, an empty sum.
TILE_SHAPES = [(1, 1, 1), (7, 63, 65), (65, 129, 40), (128, 64, 32), (20, 30, 0), (17, 19, 1603)]
# At most 16 rows whose lines are whole vectors; the last is cut into parts of K.
ROW_SHAPES = [(1, 104, 96), (3, 8, 8), (5, 64, 520), (16, 136, 256), (2, 24, 32784)]


@pytest.fixture
def sm80():
    with emulated.emulated(capability=80) as module:
        module.reset_stats()
        yield module


def product(a, b, **options):
    return kernels.asnumpy(kernels.matmul(emulated.to_device(a), emulated.to_device(b), **options))


def check_product(rng, dtype, shape, **options):
    a, b = make_pair(rng, dtype, *shape, **options)
    y = product(a, b, **options)
    assert y.dtype == dtype
    assert_2x(y, reference.matmul, a, b, **options)


# --- the kernels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", TILE_SHAPES, ids=str)
def test_tiles(sm80, dtype, rng, shape):
    for transpose_a, transpose_b in itertools.product([False, True], repeat=2):
        check_product(rng, dtype, shape, transpose_a=transpose_a, transpose_b=transpose_b)
    assert sm80.stats()["matrix_replays"] == 0


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_large_tiles_of_a_tall_product(sm80, dtype, rng, transpose_a, transpose_b):
    shape = (130, 72, 2056)
    check_product(rng, dtype, shape, transpose_a=transpose_a, transpose_b=transpose_b)
    stats = sm80.stats()
    assert stats["matrix_phases"] > 0
    assert stats["matrix_replays"] == 0
    assert stats["launches"] == 2, "the parts of K are added by a launch of their own"


def test_large_tiles_of_float32(sm80, rng):
    check_product(rng, np.dtype(np.float32), (130, 68, 2052), transpose_a=True)
    assert sm80.stats()["launches"] == 2


@pytest.mark.parametrize("shape", ROW_SHAPES, ids=str)
@pytest.mark.parametrize("transpose_b", [False, True])
def test_few_rows(sm80, dtype, rng, shape, transpose_b):
    check_product(rng, dtype, shape, transpose_b=transpose_b)
    stats = sm80.stats()
    assert stats["matrix_phases"] == 0, "no tile went through shared memory"
    assert stats["launches"] == (1 if shape[2] < 9000 else 2)


# --- what all of them do with their sums ---------------------------------------------------------


@pytest.mark.parametrize("rows", [3, 70])
@pytest.mark.parametrize("columns", [65, 72])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bias_activation_and_preactivation(sm80, dtype, rng, rows, columns, activation):
    x, weight, bias = make_linear(rng, dtype, rows, columns, 40)
    arrays = [emulated.to_device(array) for array in (x, weight, bias)]
    y, z = kernels.linear(*arrays, activation=activation, return_preactivation=True)
    y, z = kernels.asnumpy(y), kernels.asnumpy(z)
    assert_2x((y, z), reference.linear, x, weight, bias, activation=activation)
    grad_output = rng.standard_normal(y.shape).astype(dtype)
    arrays = grad_output, x, weight, bias, z
    gradients = kernels.linear_backward(*map(emulated.to_device, arrays), activation=activation)
    gradients = tuple(map(kernels.asnumpy, gradients))
    assert_2x(gradients, reference.linear_backward, *arrays, factor=3.0, activation=activation)


@pytest.mark.parametrize(
    ("shape_a", "shape_b"),
    [
        ((3, 5, 7), (3, 7, 4)),
        ((2, 1, 5, 8), (3, 8, 16)),
        ((2, 3, 66, 7), (1, 3, 7, 65)),
        ((5, 7), (2, 7, 4)),
        ((0, 5, 7), (7, 4)),
    ],
    ids=str,
)
def test_batches_and_what_is_broadcast(sm80, dtype, rng, shape_a, shape_b):
    a, b = make(rng, dtype, shape_a, shape_b)
    y = product(a, b)
    assert_2x(y, reference.matmul, a, b)
    grad_output = rng.standard_normal(y.shape).astype(dtype)
    arrays = map(emulated.to_device, (grad_output, a, b))
    gradients = tuple(map(kernels.asnumpy, kernels.matmul_backward(*arrays)))
    assert_2x(gradients, reference.matmul_backward, grad_output, a, b, factor=3.0)


@pytest.mark.slow  # 20 s: as many blocks
def test_more_matrices_than_a_grid_is_deep(sm80, rng):
    a, b = make(rng, ml_dtypes.bfloat16, (65538, 1, 8), (1, 8, 8))
    y = product(a, b)
    assert sm80.stats()["launches"] == 2
    assert_2x(y[-4:], reference.matmul, a[-4:], b)


# --- strides, determinism, order of execution -----------------------------------------------------


def layouts(array):
    """The same values on the device behind other strides: spread out, backwards, transposed."""
    rows, columns = array.shape
    spread = np.zeros((2 * rows, 2 * columns), array.dtype)
    spread[::2, ::2] = array
    yield emulated.to_device(spread)[::2, ::2]
    yield emulated.to_device(array[::-1])[::-1]
    yield emulated.to_device(array[:, ::-1])[:, ::-1]
    yield emulated.to_device(array.T).T
    for before, after in ((2, 3), (8, 16)):  # rows off their alignment, and on it
        wide = np.full((rows, before + columns + after), np.nan, array.dtype)
        wide[:, before:-after] = array
        yield emulated.to_device(wide)[:, before:-after]


@pytest.mark.parametrize("shape", [(17, 70, 40), (70, 65, 34), (20, 40, 1600)], ids=str)
def test_tiles_give_the_same_bytes_for_any_strides(sm80, dtype, rng, shape):
    a, b = make_pair(rng, dtype, *shape)
    expected = product(a, b).tobytes()
    plain_a, plain_b = emulated.to_device(a), emulated.to_device(b)
    for other in layouts(a):
        assert kernels.asnumpy(kernels.matmul(other, plain_b)).tobytes() == expected
    for other in layouts(b):
        assert kernels.asnumpy(kernels.matmul(plain_a, other)).tobytes() == expected


@pytest.mark.parametrize("order", ["fifo", "lifo", "0", "1", "2"])
@pytest.mark.parametrize("poison", [0xFF, 0x7E])
def test_order_and_poison_change_no_byte(rng, order, poison):
    a, b = make_pair(rng, ml_dtypes.bfloat16, 70, 66, 160)
    c, d = make_pair(rng, np.float32, 66, 70, 40)
    e, f = make_pair(rng, ml_dtypes.bfloat16, 3, 72, 600)
    with emulated.emulated(capability=80):
        expected = [product(*pair).tobytes() for pair in ((a, b), (c, d), (e, f))]
    with emulated.emulated(capability=80, order=order, poison=poison):
        ours = [product(*pair).tobytes() for pair in ((a, b), (c, d), (e, f))]
    assert ours == expected


def test_not_a_number_stays_in_its_row_and_column(sm80, dtype, rng):
    for shape in ((20, 70, 31), (12, 72, 40)):
        a, b = make_pair(rng, dtype, *shape)
        clean = product(a, b).astype(np.float64)
        a[3, 30], b[5, 68] = np.nan, np.inf
        y = product(a, b).astype(np.float64)
        assert np.isnan(y[3]).all()
        rest = np.arange(len(y)) != 3
        assert not np.isfinite(y[rest, 68]).any()
        np.testing.assert_array_equal(y[rest][:, :68], clean[rest][:, :68])
