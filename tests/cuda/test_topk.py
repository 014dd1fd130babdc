"""The k largest of each row on the emulated device: the CPU's integers in every order."""

import numpy as np
import pytest

from plainformer import kernels
from tests.emulated import emulated, to_device

# (shape, k): none, one, all of an odd number, long rows, more than shared memory sorts.
CASES = [((0, 5), 2), ((3, 7), 0), ((1, 1), 1), ((4, 33), 33), ((3, 5000), 50), ((1, 4500), 4200)]


def topk(x, k):
    return [kernels.asnumpy(a) for a in kernels.topk(to_device(x), k)]


def check(x, k):
    values, indices = topk(x, k)
    wanted = np.argsort(-x.astype(np.float64), axis=-1, kind="stable")[..., :k]
    np.testing.assert_array_equal(indices, wanted)
    assert values.tobytes() == np.take_along_axis(x, wanted, -1).tobytes()


@pytest.mark.parametrize(("shape", "k"), CASES, ids=str)
def test_the_largest_in_order(dtype, rng, shape, k):
    with emulated():
        check(rng.standard_normal(shape).astype(dtype), k)


@pytest.mark.parametrize("k", [1, 7, 40])
def test_equal_values_rank_by_place(dtype, rng, k):
    with emulated():
        check(rng.integers(-2, 3, (3, 40)).astype(dtype), k)
        check(np.array([[0.0, -0.0] * 20], dtype), k)


def test_infinities_and_nan_have_their_places(dtype):
    inf, nan = np.inf, np.nan
    x = np.array([[nan, -inf, 3, inf, -nan, inf, -inf, 0], [nan] * 8, [-inf] * 8], dtype)
    with emulated():
        for k in (1, 3, 5, 8):
            check(x, k)


def test_same_bytes_in_every_order(dtype, rng):
    x = rng.standard_normal((2, 700)).astype(dtype)
    seen = set()
    for order, poison in (("fifo", 0xFF), ("lifo", 0x7E), ("1", 0x7E), ("2", 0xFF), ("3", 0)):
        with emulated(order=order, poison=poison):
            seen.add(b"".join(a.tobytes() for a in topk(x, 9)))
    assert len(seen) == 1
