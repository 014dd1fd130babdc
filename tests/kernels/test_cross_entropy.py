"""Cross entropy, forward and backward."""

import ml_dtypes
import numpy as np
import pytest

import plainformer as pf
from plainformer import errors, kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x

SHAPES = [(1, 1), (3, 2), (5, 17), (64, 65), (7, 1023), (2, 50257)]


def make(rng, dtype, shape, scale=1.0):
    N, V = shape
    x = (scale * rng.standard_normal(shape)).astype(dtype)
    return x, rng.integers(0, V, N)


def accumulator(dtype):
    return np.float64 if dtype == np.float64 else np.float32


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [1.0, 5.0, 1e4])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradient(backend, dtype, rng, shape, scale, smoothing):
    x, t = make(rng, dtype, shape, scale)
    t[::3] = -100 if shape[0] > 2 else t[::3]
    loss, lse = kernels.cross_entropy(x, t, label_smoothing=smoothing, return_lse=True)
    assert loss.shape == ()
    assert_2x(loss, reference.cross_entropy, x, t, smoothing=smoothing)
    dx = kernels.cross_entropy_backward(2.0, x, t, lse, label_smoothing=smoothing)
    assert dx.dtype == dtype
    two = np.asarray(2.0, dtype)
    assert_2x(dx, reference.cross_entropy_backward, two, x, t, smoothing=smoothing, factor=3)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_class_weights_and_reductions(backend, dtype, rng, reduction):
    x, t = make(rng, dtype, (33, 21))
    t[5] = 7
    t[[2, 30]] = 4
    w = rng.random(21).astype(accumulator(dtype))
    options = {"ignore_index": 4, "reduction": reduction}
    loss, count, lse = kernels.cross_entropy(
        x, t.astype(np.int32), w, label_smoothing=0.2, return_count=True, return_lse=True, **options
    )
    assert_2x(loss, reference.cross_entropy, x, t, w, smoothing=0.2, **options)
    np.testing.assert_allclose(count, w[t[t != 4]].sum(), rtol=1e-6)
    dy = rng.standard_normal(33 if reduction == "none" else ()).astype(accumulator(dtype))
    dx = kernels.cross_entropy_backward(dy, x, t, lse, w, label_smoothing=0.2, **options)
    assert_2x(
        dx,
        reference.cross_entropy_backward,
        dy,
        x,
        t,
        w,
        smoothing=0.2,
        factor=3,
        dtype=dtype,
        **options,
    )


def test_gradient_matches_central_differences(rng):
    x, t = make(rng, np.float64, (4, 9))
    w = rng.random(9)
    _, lse = kernels.cross_entropy(x, t, w, label_smoothing=0.1, return_lse=True)
    dx = kernels.cross_entropy_backward(1.0, x, t, lse, w, label_smoothing=0.1)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        above, below = (
            kernels.cross_entropy(x + s, t, w, label_smoothing=0.1) for s in (step, -step)
        )
        assert abs((above - below) / 2e-6 - dx[i]) < 1e-7


def test_nothing_of_an_ignored_row_is_used(backend, dtype, rng):
    x, t = make(rng, dtype, (6, 10))
    t[2] = -100
    clean, lse = kernels.cross_entropy(x, t, return_lse=True)
    dx = kernels.cross_entropy_backward(1.0, x, t, lse)
    x[2] = np.nan
    assert kernels.cross_entropy(x, t) == clean
    assert kernels.cross_entropy_backward(1.0, x, t, lse).tobytes() == dx.tobytes()
    assert (dx[2] == 0).all()


def test_all_ignored_is_zero_with_one_warning(backend, dtype, rng, monkeypatch):
    monkeypatch.setattr(errors, "_warned", set())
    x, t = make(rng, dtype, (3, 5))
    t[:] = -100
    with pytest.warns(errors.PlainformerWarning, match="every label is ignored"):
        loss, lse = kernels.cross_entropy(x, t, return_lse=True)
    assert loss == 0
    assert (kernels.cross_entropy_backward(1.0, x, t, lse) == 0).all()


def test_infinite_logits(backend, dtype):
    x = np.array([[-np.inf, 0.0, 1.0], [-np.inf, -np.inf, 2.0]], dtype)
    t = np.array([1, 2])
    loss, lse = kernels.cross_entropy(x, t, return_lse=True)
    np.testing.assert_allclose(loss, np.log1p(np.e) / 2, rtol=1e-5)
    dx = kernels.cross_entropy_backward(1.0, x, t, lse).astype(np.float64)
    assert np.isfinite(dx).all()
    assert (dx[:, 0] == 0).all()


def test_a_not_finite_logit_is_not_hidden(backend, dtype, rng):
    x, t = make(rng, dtype, (2, 40))
    x[1, 30] = np.nan
    assert np.isnan(kernels.cross_entropy(x, t))


def test_strided_logits_give_the_same_bytes(backend, dtype, rng):
    x, t = make(rng, dtype, (8, 60))
    view = x[::-2, ::3]
    target = t[:4] % 20
    loss, lse = kernels.cross_entropy(view, target, return_lse=True)
    same, same_lse = kernels.cross_entropy(view.copy(), target, return_lse=True)
    assert loss == same
    assert lse.tobytes() == same_lse.tobytes()
    assert (
        kernels.cross_entropy_backward(1.0, view, target, lse).tobytes()
        == kernels.cross_entropy_backward(1.0, view.copy(), target, lse).tobytes()
    )


@pytest.mark.cpu("threads")
def test_same_bytes_at_any_thread_count(backend, dtype, rng):
    x, t = make(rng, dtype, (200, 301))
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            loss, lse = kernels.cross_entropy(x, t, return_lse=True)
            dx = kernels.cross_entropy_backward(1.0, x, t, lse)
        results.add(loss.tobytes() + lse.tobytes() + dx.tobytes())
    assert len(results) == 1


def test_no_rows(backend, dtype, monkeypatch):
    monkeypatch.setattr(errors, "_warned", {"cross entropy: every label is ignored; the loss is 0"})
    x, t = np.zeros((0, 5), dtype), np.zeros(0, np.int64)
    loss, lse = kernels.cross_entropy(x, t, return_lse=True)
    assert loss == 0
    assert kernels.cross_entropy_backward(1.0, x, t, lse).shape == (0, 5)


def test_bad_arguments_are_named(backend):
    x, t = np.zeros((2, 3), np.float32), np.array([0, 3])
    with pytest.raises(
        ShapeError, match=r"target: got 3 at \(1,\), expected 0 to 2 or ignore_index -100"
    ):
        kernels.cross_entropy(x, t)
    with pytest.raises(ShapeError, match=r"target: got shape \(1,\), expected \(2,\)"):
        kernels.cross_entropy(x, t[:1])
    with pytest.raises(ShapeError, match=r"input: got shape \(1, 2, 3\), expected \(N, V\)"):
        kernels.cross_entropy(x[None], t)
    with pytest.raises(DTypeError, match="weight: got dtype bfloat16, expected float32"):
        kernels.cross_entropy(x, t % 3, np.ones(3, ml_dtypes.bfloat16))
    with pytest.raises(ConfigError, match="reduction: got 'median', expected one of"):
        kernels.cross_entropy(x, t % 3, reduction="median")
    with pytest.raises(ConfigError, match=r"label_smoothing: got 1\.5, expected a number from 0"):
        kernels.cross_entropy(x, t % 3, label_smoothing=1.5)
    with pytest.raises(ShapeError, match=r"lse: got shape \(3,\), expected \(2,\)"):
        kernels.cross_entropy_backward(1.0, x, t % 3, np.zeros(3, np.float32))
