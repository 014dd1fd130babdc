"""Cross entropy on the emulated device."""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import PlainformerError
from tests import reference
from tests.accuracy import assert_2x
from tests.emulated import emulated, to_device

# Lanes of a warp, a block, rows that a block reads in several turns; odd and whole chunks.
SHAPES = [(1, 1), (3, 2), (5, 17), (40, 65), (3, 1024), (7, 1023), (2, 20257)]


def on_device(*arrays):
    return [to_device(a) if isinstance(a, np.ndarray) else a for a in arrays]


def forward(x, t, w=None, **options):
    """loss and count, on the host, and lse."""
    loss, count, lse = kernels.cross_entropy(
        *on_device(x, t, w), return_count=True, return_lse=True, **options
    )
    return kernels.asnumpy(loss), kernels.asnumpy(count), lse


def backward(dy, x, t, lse, w=None, **options):
    dy, x, t, w = on_device(dy, x, t, w)
    return kernels.asnumpy(kernels.cross_entropy_backward(dy, x, t, lse, w, **options))


def make(rng, dtype, shape, scale=3.0):
    x = (scale * rng.standard_normal(shape)).astype(dtype)
    return x, rng.integers(0, shape[1], shape[0])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradient(dtype, rng, shape, smoothing):
    x, t = make(rng, dtype, shape)
    t[::3] = -100 if shape[0] > 2 else t[::3]
    with emulated():
        loss, _, lse = forward(x, t, label_smoothing=smoothing)
        dx = backward(2.0, x, t, lse, label_smoothing=smoothing)
    assert_2x(loss, reference.cross_entropy, x, t, smoothing=smoothing)
    two = np.asarray(2.0, dtype)
    assert_2x(dx, reference.cross_entropy_backward, two, x, t, smoothing=smoothing, factor=3)


def test_targets_that_are_smooth_alone(dtype, rng):
    """At the label too p - 1 / V is what is left."""
    x, t = make(rng, dtype, (9, 4099), 0.1)
    with emulated():
        _, _, lse = forward(x, t)
        dx = backward(1.0, x, t, lse, label_smoothing=1.0, reduction="sum")
    one, options = np.asarray(1.0, dtype), {"smoothing": 1.0, "reduction": "sum"}
    assert_2x(dx, reference.cross_entropy_backward, one, x, t, factor=3, **options)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_large_logits_with_smoothing(dtype, rng, scale):
    x, t = make(rng, dtype, (6, 300), scale)
    x = np.clip(x.astype(np.float32) + scale, -6e4, 6e4).astype(dtype)
    with emulated():
        loss, _, lse = forward(x, t, label_smoothing=0.1, reduction="none")
        dx = backward(1.0, x, t, lse, label_smoothing=0.1, reduction="sum")
    options = {"smoothing": 0.1, "reduction": "none"}
    assert_2x(loss, reference.cross_entropy, x, t, **options)
    one, options["reduction"] = np.asarray(1.0, dtype), "sum"
    assert_2x(dx, reference.cross_entropy_backward, one, x, t, factor=3, **options)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("V", [21, 1040])
def test_class_weights_and_reductions(dtype, rng, reduction, V):
    x, t = make(rng, dtype, (33, V))
    t[5] = 7
    t[[2, 30]] = 4
    w = rng.random(V).astype(np.float32)
    options = {"ignore_index": 4, "reduction": reduction}
    dy = rng.standard_normal(33 if reduction == "none" else ()).astype(np.float32)
    with emulated():
        loss, count, lse = forward(x, t.astype(np.int32), w, label_smoothing=0.2, **options)
        dx = backward(dy, x, t, lse, w, label_smoothing=0.2, **options)
    assert_2x(loss, reference.cross_entropy, x, t, w, smoothing=0.2, **options)
    np.testing.assert_allclose(count, w[t[t != 4]].sum(), rtol=1e-6)
    grad = reference.cross_entropy_backward
    assert_2x(dx, grad, dy, x, t, w, smoothing=0.2, factor=3, dtype=dtype, **options)


def test_nothing_of_an_ignored_row_is_used(dtype, rng):
    x, t = make(rng, dtype, (6, 43))
    t[2] = -100
    with emulated():
        clean, _, lse = forward(x, t)
        dx = backward(1.0, x, t, lse)
        x[2] = np.nan
        again, _, lse = forward(x, t)
        assert again == clean
        assert backward(1.0, x, t, lse).tobytes() == dx.tobytes()
    assert (dx[2] == 0).all()


def test_infinite_logits(dtype):
    x = np.array([[-np.inf, 0.0, 1.0], [-np.inf, -np.inf, 2.0], [0.0, np.nan, 1.0]], dtype)
    t = np.array([1, 2, 0])
    with emulated():
        loss, _, lse = forward(x, t, reduction="none")
        dx = backward(1.0, x, t, lse, reduction="sum").astype(np.float64)
    np.testing.assert_allclose(loss[:2], [np.log1p(np.e), 0], rtol=1e-5)
    assert np.isnan(loss[2])
    assert np.isfinite(dx[:2]).all()
    assert (dx[:2, 0] == 0).all()


@pytest.mark.parametrize("V", [60, 20, 33])
def test_where_a_row_lies_changes_no_byte(dtype, rng, V):
    x, t = make(rng, dtype, (8, 2 * V))
    target = t[:4] % V
    with emulated():
        for view in (to_device(x)[::2, :V], to_device(x)[::2, 3 : V + 3]):
            same = np.ascontiguousarray(kernels.asnumpy(view))
            loss, _, lse = forward(view, target, label_smoothing=0.1)
            expected, _, same_lse = forward(same, target, label_smoothing=0.1)
            assert loss == expected
            assert kernels.asnumpy(lse).tobytes() == kernels.asnumpy(same_lse).tobytes()
            dx = backward(1.0, view, target, lse)
            assert dx.tobytes() == backward(1.0, same, target, lse).tobytes()


@pytest.mark.parametrize("wrong", [-1, 43, 2**40])
def test_a_label_that_is_no_class_is_reported(rng, wrong):
    x, t = make(rng, np.dtype("f4"), (6, 43))
    with emulated():
        _, _, lse = forward(x, t)
        good, t[4] = t.copy(), wrong
        with pytest.raises(PlainformerError, match=rf"target.*{wrong}"):
            forward(x, t)
        with pytest.raises(PlainformerError, match=rf"target.*{wrong}"):
            backward(1.0, x, t, lse)
        forward(x, good)


def test_the_order_of_threads_changes_no_byte(rng):
    x, t = make(rng, np.dtype("f4"), (5, 4099))
    results = set()
    for order in ("fifo", "lifo", "1", "2"):
        with emulated(order=order):
            loss, _, lse = forward(x, t, label_smoothing=0.1)
            results.add(loss.tobytes() + kernels.asnumpy(lse).tobytes())
    assert len(results) == 1
