"""Layer norm and RMS norm, forward and backward."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plainformer as pf
from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x, representable, truth
from tests.kernels.sizes import beyond_cache

# 17, 1023, 4097: a tail at every register width; 768: none; 20001: more than a task.
SHAPES = [(0, 8), (1, 1), (3, 17), (2, 5, 64), (7, 1023), (40, 768), (2, 4097), (3, 20001)]
MEANS = {"centered": 0.0, "shifted": 1e3}
ACC = {"float32": np.float32, "bfloat16": np.float32, "float64": np.float64}  # of the CPU's types


def make(rng, dtype, shape, mean=0.0, scale=1.0):
    x, weight, bias = (rng.standard_normal(s) for s in (shape, shape[-1], shape[-1]))
    return [a.astype(dtype) for a in (x * scale + mean, weight, bias)]


def assert_norm(outputs, function, *inputs, **options):
    """The 2x rule for y; the statistics in terms of x, because a mean near 0 has no scale."""
    y, *stats = outputs
    _, *exact = truth(function, *inputs, **options)
    acc = ACC.get(inputs[0].dtype.name, np.float32)
    step = np.finfo(acc).eps
    scale = np.abs(inputs[0].astype(np.float64)).max(initial=0)
    for ours, wanted in zip(stats, exact, strict=True):
        assert ours.dtype == acc
        assert ours.shape == wanted.shape
    np.testing.assert_allclose(stats[-1], exact[-1], rtol=80 * step)  # rstd
    if len(stats) == 2:
        np.testing.assert_allclose(stats[0], exact[0], rtol=0, atol=4 * step * scale)  # mean
    assert_2x(y, lambda *a, **o: function(*a, **o)[0], *inputs, **options)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mean", MEANS.values(), ids=MEANS)
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_layer_norm_error_is_at_most_twice_the_plain_formulas(
    backend, dtype, rng, shape, mean, scale
):
    x, weight, bias = make(rng, dtype, shape, mean, scale)
    outputs = kernels.layer_norm(
        backend(x), shape[-1], backend(weight), backend(bias), return_stats=True
    )
    assert_norm(outputs, reference.layer_norm, x, weight, bias)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rms_norm_error_is_at_most_twice_the_plain_formulas(backend, dtype, rng, shape):
    x, weight, _ = make(rng, dtype, shape)
    outputs = kernels.rms_norm(backend(x), shape[-1], backend(weight), 1e-5, return_stats=True)
    assert_norm(outputs, reference.rms_norm, x, weight)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mean", MEANS.values(), ids=MEANS)
def test_layer_norm_gradients(backend, dtype, rng, shape, mean):
    x, weight, bias = make(rng, dtype, shape, mean)
    dy, grad_residual = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    _, *stats = kernels.layer_norm(x, shape[-1], weight, bias, return_stats=True)
    grads = kernels.layer_norm_backward(
        backend(dy), backend(x), weight, *stats, bias, grad_residual=grad_residual
    )
    assert_2x(grads, reference.layer_norm_backward, dy, x, weight, bias, grad_residual, factor=3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rms_norm_gradients(backend, dtype, rng, shape):
    x, weight, _ = make(rng, dtype, shape)
    dy, grad_residual = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    _, rstd = kernels.rms_norm(x, shape[-1], weight, 1e-5, return_stats=True)
    grads = kernels.rms_norm_backward(dy, x, weight, rstd, grad_residual=grad_residual)
    assert_2x(grads, reference.rms_norm_backward, dy, x, weight, grad_residual, factor=3)


def loss_gradient(f, arrays, dy, h=1e-6):
    """Central differences of sum(dy f(*arrays)) for each array."""
    grads = []
    for array in arrays:
        grad = np.empty_like(array)
        for i in np.ndindex(array.shape):
            before = array[i]
            array[i] = before + h
            above = (dy * f(*arrays)).sum()
            array[i] = before - h
            grad[i] = (above - (dy * f(*arrays)).sum()) / (2 * h)
            array[i] = before
        grads.append(grad)
    return grads


def test_float64_gradients_agree_with_differences(rng):
    x, weight, bias = make(rng, np.float64, (3, 7))
    dy = rng.standard_normal(x.shape)
    _, mean, rstd = kernels.layer_norm(x, 7, weight, bias, return_stats=True)
    grads = kernels.layer_norm_backward(dy, x, weight, mean, rstd, bias)
    expected = loss_gradient(lambda *a: kernels.layer_norm(a[0], 7, *a[1:]), [x, weight, bias], dy)
    for grad, want in zip(grads, expected):
        np.testing.assert_allclose(grad, want, rtol=1e-6, atol=1e-7)
    _, rstd = kernels.rms_norm(x, 7, weight, 1e-3, return_stats=True)
    grads = kernels.rms_norm_backward(dy, x, weight, rstd)
    expected = loss_gradient(lambda a, w: kernels.rms_norm(a, 7, w, 1e-3), [x, weight], dy)
    for grad, want in zip(grads, expected):
        np.testing.assert_allclose(grad, want, rtol=1e-6, atol=1e-7)


def test_residual_is_added_first_and_returned(backend, dtype, rng):
    x, weight, bias = make(rng, dtype, (6, 33))
    residual = rng.standard_normal((6, 33)).astype(dtype)
    added = kernels.add(x, residual)
    y, total, *stats = kernels.layer_norm(x, 33, weight, bias, residual=residual, return_stats=True)
    assert total.tobytes() == added.tobytes()
    assert_norm((y, *stats), reference.layer_norm, added, weight, bias)
    without_stats = kernels.layer_norm(x, 33, weight, bias, residual=residual)
    assert [a.tobytes() for a in without_stats] == [y.tobytes(), total.tobytes()]
    y, total, rstd = kernels.rms_norm(x, 33, weight, 1e-5, residual=residual, return_stats=True)
    assert total.tobytes() == added.tobytes()
    assert_norm((y, rstd), reference.rms_norm, added, weight)


@pytest.mark.parametrize("with_weight", [True, False])
@pytest.mark.parametrize("with_bias", [True, False])
def test_absent_weight_and_bias_are_one_and_zero(backend, dtype, rng, with_weight, with_bias):
    x, weight, bias = make(rng, dtype, (5, 21))
    dy = rng.standard_normal((5, 21)).astype(dtype)
    weight, bias = weight if with_weight else None, bias if with_bias else None
    y, *stats = kernels.layer_norm(x, 21, weight, bias, return_stats=True)
    assert_norm((y, *stats), reference.layer_norm, x, weight, bias)
    grads = kernels.layer_norm_backward(dy, x, weight, *stats, bias)
    assert [g is None for g in grads] == [False, not with_weight, not with_bias]
    exact = truth(reference.layer_norm_backward, dy, x, weight, bias)
    for grad, want in zip(grads, exact):
        if grad is not None:
            tolerance = 0.1 if dtype.itemsize == 2 else 1e-4
            np.testing.assert_allclose(grad.astype(np.float64), want, atol=tolerance)


def test_float32_weights_beside_bfloat16_x(backend, rng):
    x, weight, bias = make(rng, np.float32, (9, 40))
    x = x.astype(ml_dtypes.bfloat16)
    dy = rng.standard_normal(x.shape).astype(x.dtype)
    y, *stats = kernels.layer_norm(x, 40, weight, bias, return_stats=True)
    assert y.dtype == x.dtype
    assert_norm((y, *stats), reference.layer_norm, x, weight, bias)
    grads = kernels.layer_norm_backward(dy, x, weight, *stats, bias)
    assert [g.dtype for g in grads] == [x.dtype, np.float32, np.float32]
    assert_2x(grads, reference.layer_norm_backward, dy, x, weight, bias, factor=3)


def test_several_normalized_axes(backend, dtype, rng):
    x = rng.standard_normal((3, 4, 5)).astype(dtype)
    weight, bias = (rng.standard_normal((4, 5)).astype(dtype) for _ in range(2))
    outputs = kernels.layer_norm(x, (4, 5), weight, bias, return_stats=True)
    assert_norm(outputs, reference.layer_norm, x, weight, bias, axes=2)
    dy = rng.standard_normal(x.shape).astype(dtype)
    grads = kernels.layer_norm_backward(dy, x, weight, *outputs[1:], bias)
    assert_2x(grads, reference.layer_norm_backward, dy, x, weight, bias, axes=2, factor=3)
    listed = kernels.layer_norm(x, [np.int64(4), 5], weight, bias)
    assert listed.tobytes() == outputs[0].tobytes()


def views(a):
    """Views of equal values that are not contiguous, and one that may not be written."""
    wide = np.repeat(np.repeat(a, 2, axis=0), 3, axis=-1)
    yield wide[::2, ::3]
    yield a[::-1].copy()[::-1]
    yield np.asfortranarray(a)
    locked = a.copy()
    locked.flags.writeable = False
    yield locked


def test_strided_arrays_give_the_same_bytes(backend, dtype, rng):
    x, weight, bias = make(rng, dtype, (6, 33))
    dy = rng.standard_normal(x.shape).astype(dtype)
    y, *stats = kernels.layer_norm(x, 33, weight, bias, return_stats=True)
    grads = kernels.layer_norm_backward(dy, x, weight, *stats, bias, grad_residual=dy)
    for x_view, dy_view in zip(views(x), views(dy)):
        assert kernels.layer_norm(x_view, 33, weight, bias).tobytes() == y.tobytes()
        again = kernels.layer_norm_backward(
            dy_view, x_view, weight, *stats, bias, grad_residual=dy_view
        )
        assert [g.tobytes() for g in again] == [g.tobytes() for g in grads]
    one = np.broadcast_to(x[0], (4, 33))  # rows of step zero
    assert (kernels.layer_norm(one, 33, weight, bias) == y[0]).all()


@pytest.mark.cpu("threads")
@pytest.mark.parametrize("shape", [(700, 65), (64, 2048)], ids=str)
def test_threads_change_no_byte(backend, dtype, rng, shape):
    x, weight, bias = make(rng, dtype, shape)
    dy = rng.standard_normal(shape).astype(dtype)
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            y, *stats = kernels.layer_norm(x, shape[-1], weight, bias, return_stats=True)
            grads = kernels.layer_norm_backward(dy, x, weight, *stats, bias)
            results.add(b"".join(a.tobytes() for a in (y, *stats, *grads)))
    assert len(results) == 1


def test_a_row_does_not_depend_on_its_batch(backend, dtype, rng):
    x, weight, bias = make(rng, dtype, (64, 769))
    y = kernels.layer_norm(x, 769, weight, bias)
    for n in (0, 31, 63):
        assert kernels.layer_norm(x[n], 769, weight, bias).tobytes() == y[n].tobytes()


# 1, 3 and 7 columns use a part of a generator's call; 769 more calls than a register holds.
@pytest.mark.parametrize("shape", [(5, 1), (4, 3), (0, 8), (2, 3, 17), (9, 769)], ids=str)
@pytest.mark.parametrize("p", [1e-6, 0.3, 1.0])
def test_dropout_before_the_residual_is_that_of_the_kernel(backend, dtype, rng, shape, p):
    x, weight, bias = make(rng, dtype, shape)
    residual, dy, dsum = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
    drop = {"seed": 7, "offset": 3}
    dropped = kernels.dropout(x, p, **drop)
    apart = kernels.layer_norm(
        dropped, shape[-1], weight, bias, residual=residual, return_stats=True
    )
    fused = kernels.layer_norm(
        x, shape[-1], weight, bias, residual=residual, return_stats=True, dropout_p=p, **drop
    )
    assert [a.tobytes() for a in fused] == [a.tobytes() for a in apart]
    _, total, *stats = apart
    ds, *wanted = kernels.layer_norm_backward(dy, total, weight, *stats, bias, grad_residual=dsum)
    wanted = [kernels.dropout_backward(ds, p, **drop), *wanted, ds]
    grads = kernels.layer_norm_backward(
        dy, total, weight, *stats, bias, grad_residual=dsum, dropout_p=p, **drop
    )
    assert [a.tobytes() for a in grads] == [a.tobytes() for a in wanted]


def test_rms_norm_drops_like_layer_norm(backend, dtype, rng):
    x, weight, _ = make(rng, dtype, (6, 40))
    residual, dy = (rng.standard_normal(x.shape).astype(dtype) for _ in range(2))
    drop = {"seed": 2**40, "offset": 9}
    dropped = kernels.dropout(x, 0.2, **drop)
    options = {"residual": residual, "return_stats": True}
    apart = kernels.rms_norm(dropped, 40, weight, 1e-5, **options)
    fused = kernels.rms_norm(x, 40, weight, 1e-5, **options, dropout_p=0.2, **drop)
    assert [a.tobytes() for a in fused] == [a.tobytes() for a in apart]
    grads = kernels.rms_norm_backward(dy, apart[1], weight, apart[2], dropout_p=0.2, **drop)
    ds, dweight = kernels.rms_norm_backward(dy, apart[1], weight, apart[2])
    wanted = [kernels.dropout_backward(ds, 0.2, **drop), dweight, ds]
    assert [a.tobytes() for a in grads] == [a.tobytes() for a in wanted]


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_far_mean_with_a_small_deviation(backend, rng, shift):
    x, weight, bias = make(rng, np.float32, (8, 4097), shift, 0.1)
    y, *stats = kernels.layer_norm(x, 4097, weight, bias, return_stats=True)
    exact = truth(reference.layer_norm, x, weight, bias)[0]
    assert np.abs(y - exact).max() < 1e-5  # the plain formulas in float32 err by 1e-2 here
    dy = rng.standard_normal(x.shape).astype(np.float32)
    grads = kernels.layer_norm_backward(dy, x, weight, *stats, bias)
    exact = truth(reference.layer_norm_backward, dy, x, weight, bias)
    for grad, want in zip(grads, exact):
        assert np.abs(grad - want).max() < 1e-5 * np.abs(want).max()


@pytest.mark.cpu("larger than the CPU's caches")
def test_outputs_larger_than_the_cache_have_the_same_bytes(backend, dtype, rng):
    """Such outputs are written past the caches, from odd addresses on: 65 numbers a row."""
    x, weight, bias = make(rng, dtype, (500, 65))
    tall = np.tile(x, (beyond_cache(x), 1))
    y, *stats = kernels.layer_norm(x, 65, weight, bias, return_stats=True)
    tall_y, *tall_stats = kernels.layer_norm(tall, 65, weight, bias, return_stats=True)
    assert (tall_y.reshape(-1, *y.shape).view(np.uint8) == y.view(np.uint8)).all()
    dx, _, _ = kernels.layer_norm_backward(x, x, weight, *stats)
    tall_dx, _, _ = kernels.layer_norm_backward(tall, tall, weight, *tall_stats)
    assert (tall_dx.reshape(-1, *y.shape).view(np.uint8) == dx.view(np.uint8)).all()


EXTREMES = {
    "constant": lambda rng: np.full((2, 37), 3.3),
    "zero": lambda rng: np.zeros((2, 37)),
    "one element": lambda rng: rng.standard_normal((5, 1)),
    "rows of 1e30": lambda rng: np.full((2, 37), 1e30),
    "up to 1e30": lambda rng: rng.standard_normal((4, 37)) * 1e30,
    "denormal": lambda rng: rng.standard_normal((4, 37)) * 1e-40,
    "1e4": lambda rng: rng.standard_normal((4, 37)) * 1e4,
}


@pytest.mark.parametrize("make_x", EXTREMES.values(), ids=EXTREMES)
def test_extremes_stay_finite_and_close(backend, dtype, rng, make_x):
    x = representable(make_x(rng), dtype)
    tolerance = 0.02 if dtype.itemsize == 2 else 1e-4
    y, *stats = kernels.layer_norm(x, x.shape[-1], return_stats=True)
    exact = truth(reference.layer_norm, x)[0]
    if not np.ptp(x.astype(np.float64)):  # rounding of the mean of a constant row is all there is
        exact = np.zeros_like(exact)
    np.testing.assert_allclose(y.astype(np.float64), exact, atol=tolerance, rtol=tolerance)
    dx, _, _ = kernels.layer_norm_backward(y, x, None, *stats)
    assert np.isfinite(dx.astype(np.float64)).all()
    y = kernels.rms_norm(x, x.shape[-1], eps=1e-5)
    exact = truth(reference.rms_norm, x)[0]
    np.testing.assert_allclose(y.astype(np.float64), exact, atol=tolerance, rtol=tolerance)


def test_nan_and_inf_stay_in_their_row(backend, dtype, rng):
    x, weight, bias = make(rng, dtype, (3, 33))
    clean = kernels.layer_norm(x, 33, weight, bias)
    for bad in (np.nan, np.inf):
        x[1, 7] = bad
        y = kernels.layer_norm(x, 33, weight, bias)
        assert np.isnan(y[1].astype(np.float32)).any()
        assert y[[0, 2]].tobytes() == clean[[0, 2]].tobytes()


def test_rms_norm_default_eps_is_that_of_the_dtype(backend, dtype, rng):
    x = (rng.standard_normal((3, 16)) * 1e-3).astype(dtype)
    eps = float(ml_dtypes.finfo(dtype).eps)
    assert kernels.rms_norm(x, 16).tobytes() == kernels.rms_norm(x, 16, None, eps).tobytes()


def test_out_receives_y(backend, dtype, rng):
    x, weight, bias = make(rng, dtype, (4, 19))
    out = np.full_like(x, np.nan)
    assert kernels.layer_norm(x, 19, weight, bias, out=out) is out
    assert out.tobytes() == kernels.layer_norm(x, 19, weight, bias).tobytes()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 9), max_size=2), st.integers(1, 300), st.sampled_from(list(ACC.items()))
)
def test_any_shape(leading, width, types):
    rng = np.random.default_rng(width)
    x, weight, bias = make(rng, ml_dtypes.bfloat16 if types[0] == "bfloat16" else types[0],
                           (*leading, width))  # fmt: skip
    y, *stats = kernels.layer_norm(x, width, weight, bias, return_stats=True)
    assert_norm((y, *stats), reference.layer_norm, x, weight, bias)


BAD_CALLS = {
    "x: got shape (2, 8), expected one that ends in (7,)": lambda x, w: kernels.layer_norm(x, 7),
    "normalized_shape: got (), expected at least one axis": lambda x, w: kernels.layer_norm(x, ()),
    "normalized_shape: got -8, expected at least 0": lambda x, w: kernels.layer_norm(x, -8),
    "normalized_shape: got 8.0, expected a whole number": lambda x, w: kernels.layer_norm(x, 8.0),
    "weight: got shape (7,), expected (8,)": lambda x, w: kernels.layer_norm(x, 8, w[:7]),
    "bias: got shape (8, 1), expected (8,)": lambda x, w: kernels.layer_norm(x, 8, w, w[:, None]),
    "weight: got dtype bfloat16, expected float32 like x": lambda x, w: kernels.layer_norm(
        x, 8, w.astype(ml_dtypes.bfloat16)
    ),
    "bias: got dtype float32, expected bfloat16 like weight": lambda x, w: kernels.layer_norm(
        x.astype(ml_dtypes.bfloat16), 8, w.astype(ml_dtypes.bfloat16), w
    ),
    "residual: got shape (1, 8), expected (2, 8)": lambda x, w: kernels.layer_norm(
        x, 8, residual=x[:1]
    ),
    "residual: got dtype bfloat16, expected float32 like x": lambda x, w: kernels.layer_norm(
        x, 8, residual=x.astype(ml_dtypes.bfloat16)
    ),
    "eps: got -1.0, expected a number from 0": lambda x, w: kernels.layer_norm(x, 8, eps=-1.0),
    "eps: got nan, expected a number": lambda x, w: kernels.rms_norm(x, 8, eps=float("nan")),
    "dropout_p: got 0.5 without a residual, expected 0; apply `dropout` to x": lambda x, w: (
        kernels.layer_norm(x, 8, dropout_p=0.5, seed=1)
    ),
    "dropout_p: got 0.5 with normalized_shape (2, 8), expected 0": lambda x, w: kernels.rms_norm(
        x, (2, 8), residual=x, dropout_p=0.5, seed=1
    ),
    "seed: got None, expected a whole number": lambda x, w: kernels.layer_norm(
        x, 8, residual=x, dropout_p=0.5
    ),
    "dropout_p: got 0.5 with 2 normalized axes, expected 1": lambda x, w: kernels.rms_norm_backward(
        x, x, None, np.ones((), np.float32), dropout_p=0.5, seed=1
    ),
    "out: shares memory with x": lambda x, w: kernels.layer_norm(x, 8, out=x),
    "out: got shape (1, 8), expected (2, 8)": lambda x, w: kernels.layer_norm(
        x, 8, out=np.empty((1, 8), np.float32)
    ),
    "x: got builtins.list, expected a NumPy array": lambda x, w: kernels.rms_norm([1.0], 1),
    "x: got dtype int64, expected float32": lambda x, w: kernels.layer_norm(x.astype(int), 8),
    "grad_output: got shape (2, 7), expected (2, 8)": lambda x, w: kernels.layer_norm_backward(
        x[:, :7], x, w, x[:, 0], x[:, 0]
    ),
    "mean: got shape (1,), expected (2,)": lambda x, w: kernels.layer_norm_backward(
        x, x, w, x[:1, 0], x[:, 0]
    ),
    "rstd: got dtype float64, expected float32": lambda x, w: kernels.rms_norm_backward(
        x, x, w, x[:, 0].astype(float)
    ),
    "rstd: got shape (2, 8), expected fewer axes than x": lambda x, w: kernels.rms_norm_backward(
        x, x, w, x
    ),
    "grad_residual: got shape (1, 8), expected (2, 8)": lambda x, w: kernels.rms_norm_backward(
        x, x, w, x[:, 0], grad_residual=x[:1]
    ),
}


@pytest.mark.parametrize("message", BAD_CALLS)
@pytest.mark.usefixtures("backend")
def test_bad_arguments_are_named(message):
    x = np.zeros((2, 8), np.float32)
    with pytest.raises((ShapeError, DTypeError, ConfigError)) as caught:
        BAD_CALLS[message](x, x[0].copy())
    assert message in str(caught.value)
