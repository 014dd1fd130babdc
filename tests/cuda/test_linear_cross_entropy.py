"""Linear + cross entropy on CUDA, emulated: chunks of rows, labels, both kinds of products."""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import PlainformerError
from tests import emulated, reference
from tests.accuracy import assert_2x
from tests.kernels.test_linear_cross_entropy import make


@pytest.fixture(params=[80, 90])
def capability(request):
    with emulated.emulated(capability=request.param):
        yield request.param


def on_device(x, w, t, b, **options):
    arrays = [array if array is None else emulated.to_device(array) for array in (x, w, t, b)]
    result = kernels.fused_linear_cross_entropy(*arrays, **options)
    return host(result)


def host(result):
    if isinstance(result, tuple):
        return tuple(map(host, result))
    return None if result is None else kernels.asnumpy(result)


# The last two are products that TMA can address, where there is wgmma.
@pytest.mark.parametrize(
    ("N", "V", "C"), [(1, 1, 1), (5, 17, 3), (70, 65, 33), (20, 136, 16), (70, 333, 40)]
)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("with_bias", [False, True])
def test_loss_and_gradients(capability, dtype, rng, N, V, C, smoothing, with_bias):
    x, w, t, b = make(rng, dtype, N, V, C)
    b = b if with_bias else None
    loss, count, grads = on_device(
        x, w, t, b, label_smoothing=smoothing, return_count=True, return_grads=True
    )
    assert count == (t != -100).sum()
    expected = b if with_bias else np.zeros(V, dtype)
    ours = (loss, *(grads if with_bias else grads[:2]), *([] if with_bias else [None]))
    options = {"smoothing": smoothing, "reduction": "mean"}
    assert_2x(ours, reference.linear_cross_entropy, x, w, t, expected, factor=3, **options)
    assert on_device(x, w, t, b, label_smoothing=smoothing).tobytes() == loss.tobytes()


def test_targets_that_are_smooth_alone(capability, dtype, rng):
    """At the label too p - 1 / V is what is left."""
    x, w, t, b = make(rng, dtype, 3, 4099, 8)
    x, w, b = ((0.03 * a).astype(dtype) for a in (x, w, b))
    _, grads = on_device(x, w, t, b, label_smoothing=1.0, return_grads=True)
    options = {"smoothing": 1.0, "reduction": "mean"}
    assert_2x((None, *grads), reference.linear_cross_entropy, x, w, t, b, factor=3, **options)


def test_chunks_of_rows_add_up(capability, dtype, rng):
    """The emulated device has 4 multiprocessors: 128 rows of 16411 logits are a chunk."""
    x, w, t, b = make(rng, dtype, 130, 16411, 16)
    loss, grads = on_device(x, w, t, b, return_grads=True)
    options = {"smoothing": 0.0, "reduction": "mean"}
    assert_2x((loss, *grads), reference.linear_cross_entropy, x, w, t, b, factor=3, **options)
    again = on_device(x, w, t, b, return_grads=True)
    assert [g.tobytes() for g in again[1]] == [g.tobytes() for g in grads]


def test_nothing_of_an_ignored_row_is_used(capability, dtype, rng):
    x, w, t, b = make(rng, dtype, 9, 20, 5)
    loss = on_device(x, w, t, b)
    x[1] = np.nan
    after, (dx, _, db) = on_device(x, w, t, b, return_grads=True)
    assert after == loss
    assert (dx[1] == 0).all()
    assert np.isfinite(db).all()


def test_infinite_logits(capability, dtype, rng):
    x, w, t, b = make(rng, dtype, 4, 70, 16)
    t[:] = 3
    b[69] = np.inf  # of another class: its probability is 1
    b[5] = -np.inf  # a class that cannot be
    losses = on_device(x, w, t, b, reduction="sum")
    assert losses == np.inf
    b[69] = 0
    loss, (_, _, db) = on_device(x, w, t, b, return_grads=True)
    assert np.isfinite(loss)
    assert db[5] == 0
    w[:] = np.nan
    assert np.isnan(on_device(x, w, t, b))


@pytest.mark.parametrize("wrong", [-1, 17, 2**40])
def test_a_label_that_is_no_class_is_reported(capability, rng, wrong):
    x, w, t, b = make(rng, np.dtype(np.float32), 5, 17, 3)
    good, t[4] = t.copy(), wrong
    with pytest.raises(PlainformerError, match=rf"target.*{wrong}"):
        on_device(x, w, t, b, return_grads=True)
    on_device(x, w, good, b)
