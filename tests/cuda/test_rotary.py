"""Rotary position embedding on the emulated device."""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import PlainformerError
from tests import reference
from tests.accuracy import assert_2x
from tests.emulated import emulated, to_device
from tests.kernels.test_rotary import SHAPES, tables

# More heads than a thread has, in chunks of 16 bytes and as single elements.
MORE = [((3, 5), 9, 64, 32), ((2, 7), 6, 48, 48), ((300,), 1, 16, 16)]


def make(rng, dtype, rows, H, D, R):
    x = rng.standard_normal((*rows, H, D)).astype(dtype)
    return x, rng.integers(0, 50, rows), *tables(R)


def call(name, *arrays, **options):
    arrays = (to_device(a) if isinstance(a, np.ndarray) else a for a in arrays)
    return kernels.asnumpy(getattr(kernels, name)(*arrays, **options))


@pytest.mark.parametrize("shape", SHAPES + MORE, ids=str)
@pytest.mark.parametrize("interleaved", [False, True])
def test_forward_and_backward(dtype, rng, shape, interleaved):
    arrays = make(rng, dtype, *shape)
    for name in ("rotary_embedding", "rotary_embedding_backward"):
        with emulated():
            y = call(name, *arrays, interleaved=interleaved)
        assert_2x(y, getattr(reference, name), *arrays, interleaved=interleaved)


def test_the_two_layouts_turn_alike(rng, dtype):
    x, positions, cos, sin = make(rng, dtype, (9,), 3, 32, 32)
    pairs = np.ascontiguousarray(x.reshape(9, 3, 2, 16).swapaxes(2, 3)).reshape(9, 3, 32)
    with emulated():
        halves = call("rotary_embedding", x, positions, cos, sin)
        neighbours = call("rotary_embedding", pairs, positions, cos, sin, interleaved=True)
    same = np.ascontiguousarray(neighbours.reshape(9, 3, 16, 2).swapaxes(2, 3)).reshape(9, 3, 32)
    assert halves.tobytes() == same.tobytes()


def test_strided_rows_and_heads(rng, dtype):
    """Views as attention layers make them: of a fused projection, and with heads first."""
    x = rng.standard_normal((2, 6, 3, 4, 16)).astype(dtype)
    _, positions, cos, sin = make(rng, dtype, (2, 6), 4, 16, 16)
    with emulated():
        fused = to_device(x)
        heads_first = to_device(np.ascontiguousarray(x[:, :, 1].swapaxes(1, 2)))
        expected = call("rotary_embedding", np.ascontiguousarray(x[:, :, 1]), positions, cos, sin)
        for view in (fused[:, :, 1], heads_first.transpose(0, 2, 1, 3)):
            y = call("rotary_embedding", view, positions, cos, sin)
            assert y.tobytes() == expected.tobytes()
        odd = to_device(np.pad(x[:, :, 1], ((0, 0), (0, 0), (0, 0), (1, 0))))[..., 1:]
        assert call("rotary_embedding", odd, positions, cos, sin).tobytes() == expected.tobytes()


@pytest.mark.parametrize("wrong", [-1, 50, 2**40])
def test_a_position_without_an_angle_is_reported(rng, wrong):
    x, positions, cos, sin = make(rng, np.dtype("f4"), (7,), 2, 16, 16)
    positions[3] = wrong
    with emulated():
        with pytest.raises(PlainformerError, match=rf"position.*{wrong}"):
            call("rotary_embedding", x, positions, cos, sin)
        positions[3] = 0
        call("rotary_embedding", x, positions, cos, sin)
