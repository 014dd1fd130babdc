"""Activations, elementwise and gated, forward and backward."""

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plainformer as pf
from plainformer import _cpu, kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from plainformer.kernels import _arrays
from tests import reference
from tests.accuracy import assert_2x, representable
from tests.kernels.sizes import beyond_cache

# 17: tails; 20001: more than one task
SHAPES = [(0,), (), (1,), (3, 17), (2, 5, 64), (3, 20001)]

PLAIN = {
    "relu": (kernels.relu, kernels.relu_backward, {}),
    "gelu": (kernels.gelu, kernels.gelu_backward, {}),
    "gelu_tanh": (kernels.gelu, kernels.gelu_backward, {"approximate": "tanh"}),
    "silu": (kernels.silu, kernels.silu_backward, {}),
    "tanh": (kernels.tanh, kernels.tanh_backward, {}),
}
GATED = {
    "geglu": (kernels.geglu, kernels.geglu_backward, {}),
    "geglu_tanh": (kernels.geglu, kernels.geglu_backward, {"approximate": "tanh"}),
    "swiglu": (kernels.swiglu, kernels.swiglu_backward, {}),
}
REFERENCE = {
    "relu": (reference.relu, reference.relu_backward),
    "gelu": (reference.gelu, reference.gelu_backward),
    "gelu_tanh": (reference.gelu, reference.gelu_backward),
    "silu": (reference.silu, reference.silu_backward),
    "tanh": (reference.tanh, reference.tanh_backward),
    "geglu": (reference.geglu, reference.geglu_backward),
    "geglu_tanh": (reference.geglu, reference.geglu_backward),
    "swiglu": (reference.swiglu, reference.swiglu_backward),
}


def draw(rng, dtype, shape, scale=1.0):
    return np.asarray(rng.standard_normal(shape) * scale).astype(dtype)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_forward(backend, dtype, rng, name, shape, scale):
    forward, _, options = PLAIN[name]
    x = draw(rng, dtype, shape, scale)
    assert_2x(forward(backend(x), **options), REFERENCE[name][0], x, **options)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_backward(backend, dtype, rng, name, shape, scale):
    _, backward, options = PLAIN[name]
    dy, x = draw(rng, dtype, shape), draw(rng, dtype, shape, scale)
    dx = backward(backend(dy), backend(x), **options)
    assert_2x(dx, REFERENCE[name][1], dy, x, factor=3, **options)


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("shape", [(0, 4), (1,), (3, 17), (2, 5, 64), (3, 20001)], ids=str)
def test_gated(backend, dtype, rng, name, shape):
    forward, backward, options = GATED[name]
    dy, gate, up = (draw(rng, dtype, shape) for _ in range(3))
    y = forward(backend(gate), backend(up), **options)
    assert_2x(y, REFERENCE[name][0], gate, up, **options)
    grads = backward(backend(dy), backend(gate), backend(up), **options)
    assert_2x(grads, REFERENCE[name][1], dy, gate, up, factor=3, **options)


def differences(f, arrays, h=1e-6):
    """Elementwise central differences of f for each of its arrays."""
    for i in range(len(arrays)):
        shifted = [[a + sign * h * (j == i) for j, a in enumerate(arrays)] for sign in (1, -1)]
        yield (f(*shifted[0]) - f(*shifted[1])) / (2 * h)


@pytest.mark.parametrize("name", PLAIN | GATED)
def test_float64_gradients_agree_with_differences(rng, name):
    forward, backward, options = (PLAIN | GATED)[name]
    arrays = [rng.standard_normal(50) * 2 for _ in range(2 if name in GATED else 1)]
    dy = rng.standard_normal(50)
    grads = backward(dy, *arrays, **options)
    grads = grads if name in GATED else (grads,)
    for grad, slope in zip(grads, differences(lambda *a: forward(*a, **options), arrays)):
        np.testing.assert_allclose(grad, dy * slope, rtol=1e-6, atol=1e-7)


def test_tanh_saturates(backend, dtype):
    """Far out it is 1 or -1 with slope 0; zero, denormals, NaN stay."""
    x = representable([1e30, 130, np.inf, -1e30, -130, -np.inf, 0, 1e-40, np.nan], dtype)
    y = kernels.tanh(backend(x)).astype(np.float64)
    np.testing.assert_array_equal(y[:7], [1, 1, 1, -1, -1, -1, 0])
    assert 0 <= y[7] <= 1e-40 * 1.01
    assert np.isnan(y[8])
    dx = kernels.tanh_backward(np.ones_like(x), backend(x)).astype(np.float64)
    np.testing.assert_allclose(dx[:6], 0, atol=1e-30)
    np.testing.assert_array_equal(dx[6:8], 1)
    assert np.isnan(dx[8])


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "tanh"])
def test_extremes(backend, dtype, name):
    """Far out the functions are 0 or x and their slopes 0 or 1; zero, denormals, NaN stay."""
    forward, backward, options = PLAIN[name]
    x = representable([1e30, 1e4, 130, -130, -1e4, -1e30, 0, 1e-40, np.inf, np.nan], dtype)
    y = forward(backend(x), **options).astype(np.float64)
    np.testing.assert_array_equal(y[:3], x[:3].astype(np.float64))
    np.testing.assert_allclose(y[3:7], 0, atol=1e-30)
    assert 0 <= y[7] <= 1e-40
    assert y[8] == np.inf
    assert np.isnan(y[9])
    dx = backward(np.ones_like(x), backend(x), **options).astype(np.float64)
    np.testing.assert_array_equal(dx[:3], 1)
    np.testing.assert_allclose(dx[3:6], 0, atol=1e-30)
    assert dx[8] == 1


@pytest.mark.parametrize("name", PLAIN)
def test_levels_agree(rng, name):
    forward, backward, options = PLAIN[name]
    x, dy = draw(rng, np.float32, 4001, 3), draw(rng, np.float32, 4001)
    results = {}
    before = _cpu.current_level()
    for level in _cpu.available_levels():
        _cpu.set_level(level)
        results[level] = np.stack([forward(x, **options), backward(dy, x, **options)])
    _cpu.set_level(before)
    fused = [r.tobytes() for level, r in results.items() if level != "generic"]
    assert len(set(fused)) <= 1
    best = results[_cpu.available_levels()[-1]]
    # The generic level has no fused multiply-add. Where 1 + erf or s + x s' cancel, the error is
    # a rounding of the terms, not of the small result.
    terms = np.spacing(np.maximum(np.abs(best), np.maximum(np.abs(x), 1)))
    assert (np.abs(results["generic"] - best) <= 4 * terms).all()


@pytest.mark.parametrize("name", PLAIN)
def test_strides_change_no_byte(backend, dtype, rng, name):
    forward, backward, options = PLAIN[name]
    x = draw(rng, dtype, (6, 34))
    x.flags.writeable = False
    for view in (x[::2], x[::-1], x[:, ::2], x.T, np.broadcast_to(x[0], (4, 34))):
        assert forward(view, **options).tobytes() == forward(view.copy(), **options).tobytes()
        expected = backward(view.copy(), view.copy(), **options)
        assert backward(view, view, **options).tobytes() == expected.tobytes()


def test_halves_of_one_projection_are_read_in_place(backend, dtype, rng):
    both = draw(rng, dtype, (3, 7, 2, 40))
    gate, up = both[:, :, 0], both[:, :, 1]
    before = _arrays.copies
    y = kernels.swiglu(gate, up)
    grads = kernels.swiglu_backward(gate, gate, up)
    assert _arrays.copies == before
    assert y.tobytes() == kernels.swiglu(gate.copy(), up.copy()).tobytes()
    expected = kernels.swiglu_backward(gate.copy(), gate.copy(), up.copy())
    assert [g.tobytes() for g in grads] == [g.tobytes() for g in expected]


@pytest.mark.cpu("threads")
@pytest.mark.parametrize("name", PLAIN | GATED)
def test_threads_change_no_byte(backend, dtype, rng, name):
    forward, backward, options = (PLAIN | GATED)[name]
    arrays = [draw(rng, dtype, (70, 1001)) for _ in range(2 if name in GATED else 1)]
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            y = forward(*arrays, **options)
            grads = backward(y, *arrays, **options)
            grads = grads if name in GATED else (grads,)
            results.add(b"".join(a.tobytes() for a in (y, *grads)))
    assert len(results) == 1


@pytest.mark.cpu("larger than the CPU's caches")
@pytest.mark.parametrize("name", PLAIN)
def test_outputs_larger_than_the_cache_have_the_same_bytes(backend, dtype, rng, name):
    """Such outputs are written past the caches, into `out` from an odd address on."""
    forward, backward, options = PLAIN[name]
    x = draw(rng, dtype, 10_007)
    tall = np.tile(x, beyond_cache(x))
    out = np.empty(tall.size + 1, dtype)[1:]
    y = forward(tall, out=out, **options).reshape(-1, x.size)
    assert (y.view(np.uint8) == forward(x, **options).view(np.uint8)).all()
    dx = backward(tall, tall, **options).reshape(-1, x.size)
    assert (dx.view(np.uint8) == backward(x, x, **options).view(np.uint8)).all()


def test_gelu_tail_keeps_its_digits(backend):
    """x Phi(x) below 0, where x (1 + erf(x / sqrt 2)) / 2 would cancel."""
    x = np.linspace(-3, 0, 10_001, dtype=np.float32)
    exact = x * np.vectorize(math.erfc)(-x.astype(np.float64) / math.sqrt(2)) / 2
    np.testing.assert_allclose(kernels.gelu(backend(x)), exact, rtol=5e-6)


@pytest.mark.parametrize("name", PLAIN)
def test_out_receives_y(backend, dtype, rng, name):
    forward, _, options = PLAIN[name]
    x = draw(rng, dtype, (4, 19))
    out = np.full_like(x, np.nan)
    assert forward(x, out=out, **options) is out
    assert out.tobytes() == forward(x, **options).tobytes()


@pytest.mark.parametrize("name", PLAIN)
def test_addresses_change_no_byte(backend, dtype, rng, name):
    """Kernels walk downward where output and input lie so that walking upward would stall."""
    forward, _, options = PLAIN[name]
    x = draw(rng, dtype, 3001)
    y = forward(x, **options)
    room = np.empty(3001 + 8192, dtype)
    for begin in range(0, 4096, 251):
        out = room[begin : begin + 3001]
        assert forward(x, out=out, **options).tobytes() == y.tobytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=4), st.sampled_from(sorted(PLAIN)))
def test_any_shape(shape, name):
    forward, _, options = PLAIN[name]
    x = draw(np.random.default_rng(len(shape)), ml_dtypes.bfloat16, shape)
    assert_2x(forward(x, **options), REFERENCE[name][0], x, **options)


BAD_CALLS = {
    "approximate: got 'erf', expected one of 'none', 'tanh'": lambda x: kernels.gelu(x, "erf"),
    "x: got dtype int64, expected float32": lambda x: kernels.relu(x.astype(int)),
    "x: got builtins.float, expected a NumPy array": lambda x: kernels.silu(1.0),
    "out: shares memory with x": lambda x: kernels.gelu(x, out=x),
    "out: got dtype float64, expected float32": lambda x: kernels.relu(x, out=x.astype(float)),
    "grad_output: got shape (1, 3), expected (2, 3)": lambda x: kernels.gelu_backward(x[:1], x),
    "grad_output: got dtype bfloat16, expected float32 like x": (
        lambda x: kernels.silu_backward(x.astype(ml_dtypes.bfloat16), x)
    ),
    "up: got shape (2, 2), expected (2, 3)": lambda x: kernels.swiglu(x, x[:, :2]),
    "up: got dtype bfloat16, expected float32 like gate": (
        lambda x: kernels.geglu(x, x.astype(ml_dtypes.bfloat16))
    ),
    "grad_output: got shape (2, 1), expected (2, 3)": (
        lambda x: kernels.geglu_backward(x[:, :1], x, x)
    ),
}


@pytest.mark.parametrize("message", BAD_CALLS)
@pytest.mark.usefixtures("backend")
def test_bad_arguments_are_named(message):
    with pytest.raises((ShapeError, DTypeError, ConfigError)) as caught:
        BAD_CALLS[message](np.zeros((2, 3), np.float32))
    assert message in str(caught.value)
