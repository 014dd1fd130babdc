"""Sums over rows: every row of every column is counted once, from cache and from memory.

Numbers are whole and small, so that a sum is exact in any order.
"""

import numpy as np
import pytest

from plainformer import _cpu, kernels

pytestmark = pytest.mark.cpu("how rows are walked is the CPU kernels' own")

# One row to four side by side and some left, one block of 64 rows or several; columns that fill no
# register, one strip of 1024 or several.
SHAPES = [(1, 5), (3, 17), (4, 64), (66, 100), (131, 1024), (259, 2500), (0, 7)]
LAST_CACHES = [1, 1 << 62]


@pytest.fixture(params=LAST_CACHES, ids=["from memory", "from cache"])
def last_cache(request):
    _cpu.set_last_cache(request.param)
    yield
    _cpu.set_last_cache(0)


def whole_numbers(rng, dtype, *shape):
    return rng.integers(-2, 3, shape).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", [None, "relu"])
def test_a_bias_gradient_counts_every_row(level, dtype, rng, last_cache, shape, activation):
    M, N = shape
    grad, bias = whole_numbers(rng, dtype, M, N + 3)[:, 1:-2], np.zeros(N, dtype)
    x, weight = np.zeros((M, 1), dtype), np.zeros((N, 1), dtype)
    z = whole_numbers(rng, dtype, M, N) if activation else None
    through = np.where(z > 0, grad, 0) if activation else grad
    expected = through.astype(np.float64).sum(0).astype(dtype)
    ours = kernels.linear_backward(
        grad, x, weight, bias, z, activation=activation, needs=(False, False, True)
    )
    assert ours[2].tobytes() == (expected + dtype.type(0)).tobytes()


@pytest.mark.parametrize(("N", "V"), [(5, 30), (40, 30), (700, 3), (300, 30), (0, 3)])
@pytest.mark.parametrize("C", [3, 70, 1500])
def test_an_embedding_gradient_counts_every_row(level, dtype, rng, last_cache, N, V, C):
    grad, ids = whole_numbers(rng, dtype, N, C), rng.integers(0, V, N)
    before = whole_numbers(rng, np.float64 if dtype == np.float64 else np.float32, V, C)
    expected = np.zeros((V, C))
    np.add.at(expected, ids, grad.astype(np.float64))
    ours = kernels.embedding_backward(grad, ids, V)
    assert ours.tobytes() == (expected + 0.0).astype(dtype).tobytes()
    added = before.copy()
    kernels.embedding_backward(grad, ids, V, out=added, accumulate=True)
    np.testing.assert_array_equal(added, before + expected)


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_a_norm_gradient_counts_every_row(level, dtype, rng, last_cache, rows):
    """With mean 0 and deviation 1 the gradient of weight is the sum of x grad."""
    C = 1100
    grad, x = whole_numbers(rng, dtype, rows, C), whole_numbers(rng, dtype, rows, C)
    acc = np.float64 if dtype == np.float64 else np.float32
    mean, rstd = np.zeros(rows, acc), np.ones(rows, acc)
    weight = np.ones(C, dtype)
    _, dweight = kernels.rms_norm_backward(grad, x, weight, rstd)
    expected = (grad.astype(np.float64) * x.astype(np.float64)).sum(0)
    assert dweight.tobytes() == (expected + 0.0).astype(dtype).tobytes()
    dbias = kernels.layer_norm_backward(grad, x, weight, mean, rstd, weight)[2]
    expected = grad.astype(np.float64).sum(0)
    assert dbias.tobytes() == (expected + 0.0).astype(dtype).tobytes()
