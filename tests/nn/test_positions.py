"""Positions: learned tables with an offset, and computed ones that nobody saves."""

import ml_dtypes
import numpy as np
import pytest

from plainformer.nn import LearnedPositions, SinusoidalPositions
from plainformer.tensor import Tensor
from tests.differences import check_gradients


def like(dtype):
    """A Tensor of a dtype."""
    return Tensor(np.zeros(1, dtype))


def test_learned_positions_start_behind_the_offset(rng):
    positions = LearnedPositions(3, 4, offset=2).to("float64")
    assert positions.weight.shape == (5, 4)
    positions.weight.writable()[...] = rng.standard_normal((5, 4))
    places = np.array([0, 2, 0], np.int32)
    y = positions(places, like(np.float64))
    np.testing.assert_array_equal(y.data, positions.weight.data[[2, 4, 2]])
    check_gradients(lambda: positions(places, like(np.float64)), [positions.weight], rng)
    assert not positions.weight.grad[:2].any()


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float64])
def test_computed_positions_are_rounded_once(dtype):
    positions = SinusoidalPositions(50, 6)
    assert not positions.state_dict()
    exact = positions(np.array([3, 49]), like(np.float64)).data
    assert exact[1, 0] == np.sin(49.0)
    assert exact[1, 1] == np.cos(49.0)
    y = positions(np.array([3, 49]), like(dtype))
    assert y.dtype == dtype
    assert not y.requires_grad
    np.testing.assert_array_equal(y.data, exact.astype(dtype))
