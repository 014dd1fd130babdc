"""Layer norm and RMS norm on the emulated device: every team of threads that may have a row."""

import ml_dtypes
import numpy as np
import pytest

from plainformer import kernels
from tests import reference
from tests.accuracy import assert_2x, truth
from tests.cuda.calls import DTYPES
from tests.emulated import emulated, to_device

# Single elements: a lane, lanes and warps of a block; 16 bytes: lanes, the same at once, teams that
# share a block of the backward; odd counts of rows leave teams without one.
SHAPES = [(1, 1), (3, 17), (5, 1023), (37, 8), (9, 72), (5, 768), (3, 2304)]
# A block that reads its row again, by elements and by 16 bytes; on sm_90 the latter is a cluster's.
LONG = [(2, 8193), (3, 20008)]


def make(rng, dtype, shape, mean=0.0, scale=1.0):
    """x, dy, grad_residual, weight, bias."""
    arrays = [rng.standard_normal(s) for s in [shape] * 3 + [shape[-1]] * 2]
    arrays[0] = arrays[0] * scale + mean
    return [a.astype(dtype) for a in arrays]


def layer_norm(x, weight, bias, **options):
    arrays = (to_device(a) if isinstance(a, np.ndarray) else a for a in (weight, bias))
    outputs = kernels.layer_norm(to_device(x), x.shape[-1], *arrays, return_stats=True, **options)
    return [kernels.asnumpy(y) for y in outputs]


def layer_norm_backward(dy, x, weight, bias, mean, rstd, grad_residual=None):
    dy, x, weight, mean, rstd, bias = map(to_device, (dy, x, weight, mean, rstd, bias))
    added = None if grad_residual is None else to_device(grad_residual)
    grads = kernels.layer_norm_backward(dy, x, weight, mean, rstd, bias, grad_residual=added)
    return tuple(kernels.asnumpy(g) for g in grads)


def dropped(x, drop):
    return reference.dropout(x.astype(np.float32), *drop.values()).astype(x.dtype)


def first(function):
    return lambda *a, **o: function(*a, **o)[0]


def check_both_ways(x, dy, grad_residual, weight, bias):
    y, mean, rstd = layer_norm(x, weight, bias)
    assert_2x(y, first(reference.layer_norm), x, weight, bias)
    exact = truth(reference.layer_norm, x)
    np.testing.assert_allclose(rstd, exact[2], rtol=1e-5)
    grads = layer_norm_backward(dy, x, weight, bias, mean, rstd, grad_residual)
    assert_2x(grads, reference.layer_norm_backward, dy, x, weight, bias, grad_residual, factor=3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mean", [0.0, 1e3], ids=["centered", "shifted"])
def test_layer_norm_both_ways(dtype, rng, shape, mean):
    with emulated(80):
        check_both_ways(*make(rng, dtype, shape, mean))


@pytest.mark.parametrize("shape", LONG, ids=str)
@pytest.mark.parametrize("capability", [80, 90])
def test_long_rows(dtype, rng, shape, capability):
    with emulated(capability):
        check_both_ways(*make(rng, dtype, shape, 1e3))


@pytest.mark.parametrize("shape", [(3, 17), (5, 768), (3, 20008)], ids=str)
def test_rms_norm_both_ways(dtype, rng, shape):
    x, dy, grad_residual, weight, _ = make(rng, dtype, shape)
    on_device = [to_device(a) for a in (dy, x, weight)]
    with emulated():
        y, rstd = kernels.rms_norm(
            *on_device[1:2], shape[-1], on_device[2], 1e-5, return_stats=True
        )
        grads = kernels.rms_norm_backward(*on_device, rstd, grad_residual=to_device(grad_residual))
        y, *grads = map(kernels.asnumpy, (y, *grads))
    assert_2x(y, first(reference.rms_norm), x, weight)
    expected = reference.rms_norm_backward
    assert_2x(tuple(grads), expected, dy, x, weight, grad_residual, factor=3)


@pytest.mark.parametrize("shape", [(5, 33), (4, 768), (2, 20008)], ids=str)
def test_residual_is_added_first_and_returned(dtype, rng, shape):
    x, residual, _, weight, bias = make(rng, dtype, shape)
    with emulated(80):
        y, total, *_ = layer_norm(x, weight, bias, residual=to_device(residual))
        plain, *_ = layer_norm(total, weight, bias)
    assert total.tobytes() == (x.astype(np.float32) + residual).astype(dtype).tobytes()
    assert y.tobytes() == plain.tobytes()


@pytest.mark.parametrize("shape", [(4, 7), (37, 8), (5, 36), (3, 768), (2, 20008)], ids=str)
@pytest.mark.parametrize("capability", [80, 90])
def test_dropout_before_the_residual_has_the_cpus_mask(dtype, rng, shape, capability):
    x, residual, dy, weight, bias = make(rng, dtype, shape)
    drop = {"dropout_p": 0.3, "seed": 2**35 + 1, "offset": 5}
    x_left = dropped(x, drop)
    with emulated(capability):
        y, total, *stats = layer_norm(x, weight, bias, residual=to_device(residual), **drop)
        apart = layer_norm(x_left, weight, bias, residual=to_device(residual))
        stats_and_more = [to_device(a) for a in (*stats, bias)]
        arrays = [to_device(a) for a in (dy, total, weight)]
        added = to_device(residual)
        ds, *wanted = kernels.layer_norm_backward(*arrays, *stats_and_more, grad_residual=added)
        dx, *grads, dresidual = kernels.layer_norm_backward(
            *arrays, *stats_and_more, grad_residual=added, **drop
        )
        ds, dx, dresidual = map(kernels.asnumpy, (ds, dx, dresidual))
        grads, wanted = [[kernels.asnumpy(g).tobytes() for g in gs] for gs in (grads, wanted)]
    assert [a.tobytes() for a in (y, total, *stats)] == [a.tobytes() for a in apart]
    expected = dropped(ds, drop)
    assert dresidual.tobytes() == ds.tobytes()
    assert np.array_equal(dx, expected)
    assert grads == wanted


@pytest.mark.parametrize("shape", [(5, 33), (3, 768)], ids=str)
@pytest.mark.parametrize("dtype", list(DTYPES)[1:])
def test_weights_may_be_float32(dtype, rng, shape):
    x, dy, grad_residual, weight, bias = make(rng, DTYPES[dtype], shape)
    with emulated():
        check_both_ways(x, dy, grad_residual, weight.astype("f4"), bias.astype("f4"))


@pytest.mark.parametrize("width", [16, 33])
def test_rows_of_a_wider_array(dtype, rng, width):
    x, dy, _, weight, bias = make(rng, dtype, (6, width))
    wide = [np.full((6, width + 16), np.nan, dtype) for _ in range(2)]
    wide[0][:, 8 : width + 8], wide[1][:, 8 : width + 8] = x, dy
    with emulated():
        y, mean, rstd = layer_norm(x, weight, bias)
        packed = layer_norm_backward(dy, x, weight, bias, mean, rstd)
        x_view, dy_view = (to_device(a)[:, 8 : width + 8] for a in wide)
        weight, bias, mean, rstd = map(to_device, (weight, bias, mean, rstd))
        seen = kernels.asnumpy(kernels.layer_norm(x_view, width, weight, bias))
        grads = kernels.layer_norm_backward(dy_view, x_view, weight, mean, rstd, bias)
        grads = [kernels.asnumpy(g) for g in grads]
    assert seen.tobytes() == y.tobytes()
    assert [g.tobytes() for g in grads] == [g.tobytes() for g in packed]


@pytest.mark.parametrize("shape", [(37, 8), (3, 2304), (3, 20008)], ids=str)
def test_same_bytes_in_every_order(dtype, rng, shape):
    x, dy, grad_residual, weight, bias = make(rng, dtype, shape, 10.0)
    seen = set()
    for order, poison in [("fifo", 0xFF), ("lifo", 0x7E), ("1", 0x7E), ("2", 0xFF), ("3", 0x7E)]:
        with emulated(90, order, poison):
            outputs = layer_norm(x, weight, bias)
            grads = layer_norm_backward(dy, x, weight, bias, *outputs[1:], grad_residual)
            seen.add(b"".join(a.tobytes() for a in (*outputs, *grads)))
    assert len(seen) == 1


def test_no_rows_give_no_gradient(dtype):
    x, weight = np.zeros((0, 24), dtype), np.ones(24, dtype)
    with emulated():
        y, mean, rstd = layer_norm(x, weight, weight)
        grads = layer_norm_backward(x, x, weight, weight, mean, rstd)
    assert y.shape == (0, 24)
    assert all((g == 0).all() for g in grads)
    assert grads[1].shape == (24,)


def test_far_mean_with_a_small_deviation(rng):
    x, dy, _, weight, bias = make(rng, np.float32, (4, 4097), 1e4, 0.1)
    with emulated():
        y, *stats = layer_norm(x, weight, bias)
        grads = layer_norm_backward(dy, x, weight, bias, *stats)
    assert np.abs(y - truth(reference.layer_norm, x, weight, bias)[0]).max() < 1e-5
    for grad, want in zip(grads, truth(reference.layer_norm_backward, dy, x, weight, bias)):
        assert np.abs(grad - want).max() < 1e-5 * np.abs(want).max()


EXTREMES = {
    "constant": lambda rng: np.full((2, 40), 3.25),
    "zero": lambda rng: np.zeros((2, 37)),
    "one element": lambda rng: rng.standard_normal((5, 1)),
    "up to 1e30": lambda rng: rng.standard_normal((4, 37)) * 1e30,
    "rows of 1e30 among others": lambda rng: rng.standard_normal((4, 24)) * [[1e30], [1], [1], [1]],
    "denormal": lambda rng: rng.standard_normal((4, 37)) * 1e-40,
}


@pytest.mark.parametrize("make_x", EXTREMES.values(), ids=EXTREMES)
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_extremes_stay_finite_and_close(dtype, rng, make_x):
    x = make_x(rng).astype(dtype)
    tolerance = 0.02 if dtype != np.float32 else 1e-4
    with emulated():
        y, *stats = layer_norm(x, None, None)
        ones = np.ones(x.shape[-1], dtype)
        dx, *_ = layer_norm_backward(y, x, ones, ones, *stats)
    exact = truth(reference.layer_norm, x)[0]
    np.testing.assert_allclose(y.astype(np.float64), exact, atol=tolerance, rtol=tolerance)
    assert np.isfinite(dx.astype(np.float64)).all()


def test_nan_and_inf_stay_in_their_row(dtype, rng):
    x, _, _, weight, bias = make(rng, dtype, (5, 24))
    with emulated():
        clean, *_ = layer_norm(x, weight, bias)
        for bad in (np.nan, np.inf):
            x[1, 7] = bad
            y, *_ = layer_norm(x, weight, bias)
            assert np.isnan(y[1].astype(np.float32)).any()
            assert y[[0, 2, 3, 4]].tobytes() == clean[[0, 2, 3, 4]].tobytes()
