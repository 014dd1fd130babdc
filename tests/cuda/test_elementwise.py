"""Activations, sums and dropout on the emulated device: 16 bytes at a time and single elements."""

import numpy as np
import pytest

from plainformer import kernels
from tests import reference
from tests.accuracy import assert_2x
from tests.emulated import emulated, to_device

# Single elements, chunks of 16 bytes, more than one block of each.
SIZES = [0, 1, 17, 8, 2056, 2049, 8200]
ACTIVATIONS = {
    "relu": {},
    "gelu": {},
    "gelu_tanh": {"approximate": "tanh"},
    "silu": {},
    "tanh": {},
}
GATED = {"geglu": {}, "geglu_tanh": {"approximate": "tanh"}, "swiglu": {}}


def call(name, *arrays, **options):
    """A kernel's outputs, as NumPy's."""
    arrays = [to_device(a) if isinstance(a, np.ndarray) else a for a in arrays]
    result = getattr(kernels, name)(*arrays, **options)
    if isinstance(result, tuple):
        return tuple(kernels.asnumpy(y) for y in result)
    return kernels.asnumpy(result)


def make(rng, dtype, shape, count, scale=2.0):
    return [(scale * a).astype(dtype) for a in rng.standard_normal((count, *shape))]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_both_ways(dtype, rng, name, size):
    x, dy = make(rng, dtype, (size,), 2)
    options, name = ACTIVATIONS[name], name.removesuffix("_tanh")
    with emulated():
        y, dx = call(name, x, **options), call(f"{name}_backward", dy, x, **options)
    assert_2x(y, getattr(reference, name), x, **options)
    assert_2x(dx, getattr(reference, f"{name}_backward"), dy, x, factor=3, **options)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_extremes(dtype, name):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 60.0, -60.0, 1e-7], dtype)
    options, name = ACTIVATIONS[name], name.removesuffix("_tanh")
    with emulated():
        y, dx = call(name, x, **options), call(f"{name}_backward", np.ones_like(x), x, **options)
    host = getattr(kernels, name), getattr(kernels, f"{name}_backward")
    wide = x.astype(np.float32)
    expected = host[0](wide, **options), host[1](np.ones_like(wide), wide, **options)
    for ours, theirs in zip((y, dx), expected):
        np.testing.assert_allclose(ours.astype(np.float32), theirs, rtol=0.01, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (5, 3), (9, 72), (4, 2064), (3, 1001)], ids=str)
@pytest.mark.parametrize("name", GATED)
def test_gated_activations_both_ways(dtype, rng, name, shape):
    gate, up, dy = make(rng, dtype, shape, 3)
    options, name = GATED[name], name.removesuffix("_tanh")
    with emulated():
        y = call(name, gate, up, **options)
        grads = call(f"{name}_backward", dy, gate, up, **options)
    assert_2x(y, getattr(reference, name), gate, up, **options)
    assert_2x(grads, getattr(reference, f"{name}_backward"), dy, gate, up, factor=3, **options)


@pytest.mark.parametrize("width", [24, 17])
def test_gate_and_up_may_be_halves_of_one_array(dtype, rng, width):
    both, dy = make(rng, dtype, (5, 2 * width), 1)[0], make(rng, dtype, (5, width), 1)[0]
    halves = np.ascontiguousarray(both[:, :width]), np.ascontiguousarray(both[:, width:])
    with emulated():
        on_device = to_device(both)
        views = on_device[:, :width], on_device[:, width:]
        assert call("swiglu", *views).tobytes() == call("swiglu", *halves).tobytes()
        ours, theirs = call("swiglu_backward", dy, *views), call("swiglu_backward", dy, *halves)
    assert [g.tobytes() for g in ours] == [g.tobytes() for g in theirs]


@pytest.mark.parametrize("size", SIZES)
def test_add_is_rounded_once(dtype, rng, size):
    a, b = make(rng, dtype, (size,), 2)
    with emulated():
        y = call("add", a, b)
    assert y.tobytes() == (a.astype(np.float32) + b.astype(np.float32)).astype(dtype).tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_accumulate_adds_in_float32(dtype, rng, size):
    x, out = make(rng, dtype, (size,), 1)[0], make(rng, np.float32, (size,), 1)[0]
    with emulated():
        total = to_device(out)
        kernels.accumulate(total, to_device(x))
        assert kernels.asnumpy(total).tobytes() == (out + x.astype(np.float32)).tobytes()


@pytest.mark.parametrize("offset", [1, 3])
def test_arrays_that_begin_between_boundaries(dtype, rng, offset):
    x, dy = make(rng, dtype, (800,), 2)
    with emulated():
        views = [to_device(np.pad(a, (offset, 0)))[offset:] for a in (x, dy)]
        assert call("silu", views[0]).tobytes() == call("silu", x).tobytes()
        assert call("add", *views).tobytes() == call("add", x, dy).tobytes()
        ours, theirs = call("gelu_backward", *views), call("gelu_backward", x, dy)
    assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("shape", [(0, 4), (7,), (5, 8), (3, 17), (2, 3, 72), (4, 1100)], ids=str)
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_dropout_has_the_mask_of_the_cpu(dtype, rng, shape, p):
    x = rng.standard_normal(shape).astype(dtype) if 0 not in shape else np.zeros(shape, dtype)
    with emulated():
        y = call("dropout", x, p, 0x123456789ABC, 5)
    assert_2x(y, reference.dropout, x, p=p, seed=0x123456789ABC, offset=5)
    if dtype != np.float16:
        assert y.tobytes() == kernels.dropout(x, p, 0x123456789ABC, 5).tobytes()


def test_dropout_of_strided_rows(dtype, rng):
    x = make(rng, dtype, (6, 40), 1)[0]
    with emulated():
        for view in (to_device(x)[::2, 8:], to_device(x)[:, 3:]):
            same = np.ascontiguousarray(kernels.asnumpy(view))
            assert (
                call("dropout", view, 0.3, 9, 0).tobytes()
                == call("dropout", same, 0.3, 9, 0).tobytes()
            )
