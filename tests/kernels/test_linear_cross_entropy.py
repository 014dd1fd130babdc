"""Linear + cross entropy: equal to the two apart, without their memory."""

import ml_dtypes
import numpy as np
import pytest

import plainformer as pf
from plainformer import errors, kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x

# (rows, classes, width): one, odd, tiles and a bit
CASES = [(1, 1, 1), (5, 17, 3), (70, 65, 33), (130, 301, 8)]


def make(rng, dtype, N, V, C):
    x = rng.standard_normal((N, C)).astype(dtype)
    w = (rng.standard_normal((V, C)) / np.sqrt(C)).astype(dtype)
    b = rng.standard_normal(V).astype(dtype)
    t = rng.integers(0, V, N)
    t[1::4] = -100
    return x, w, t, b


@pytest.mark.parametrize(("N", "V", "C"), CASES, ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_and_gradients(backend, dtype, rng, N, V, C, smoothing, reduction):
    x, w, t, b = make(rng, dtype, N, V, C)
    options = {"smoothing": smoothing, "reduction": reduction}
    loss, count, grads = kernels.fused_linear_cross_entropy(
        x,
        w,
        t,
        b,
        label_smoothing=smoothing,
        reduction=reduction,
        return_count=True,
        return_grads=True,
    )
    assert count == (t != -100).sum()
    assert_2x((loss, *grads), reference.linear_cross_entropy, x, w, t, b, factor=3, **options)
    no_grads = kernels.fused_linear_cross_entropy(
        x, w, t, b, label_smoothing=smoothing, reduction=reduction
    )
    assert no_grads.tobytes() == loss.tobytes()


@pytest.mark.cpu("float64")
def test_shared_denominator_adds_up_to_the_whole_batch(backend, rng):
    x, w, t, _ = make(rng, np.float64, 40, 19, 7)
    count = (t != -100).sum()
    whole, (_, dw, none) = kernels.fused_linear_cross_entropy(x, w, t, return_grads=True)
    parts = [
        kernels.fused_linear_cross_entropy(x[i], w, t[i], num_items=count, return_grads=True)
        for i in (slice(0, 13), slice(13, 40))
    ]
    np.testing.assert_allclose(sum(p[0] for p in parts), whole, rtol=1e-12)
    np.testing.assert_allclose(sum(p[1][1] for p in parts), dw, rtol=1e-10, atol=1e-14)
    assert none is None


@pytest.mark.cpu("takes long in the emulation; tests/cuda has smaller ones")
def test_several_chunks_of_rows_add_up(backend, rng):
    x, w, t, b = make(rng, np.float32, 150, 65536, 3)  # 128 rows a chunk
    loss, (dx, dw, db) = kernels.fused_linear_cross_entropy(x, w, t, b, return_grads=True)
    parts = [
        kernels.fused_linear_cross_entropy(
            x[i], w, t[i], b, num_items=(t != -100).sum(), return_grads=True
        )
        for i in (slice(0, 60), slice(60, 150))
    ]
    np.testing.assert_allclose(parts[0][0] + parts[1][0], loss, rtol=1e-6)
    np.testing.assert_allclose(np.concatenate([p[1][0] for p in parts]), dx, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(parts[0][1][1] + parts[1][1][1], dw, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(parts[0][1][2] + parts[1][1][2], db, rtol=1e-4, atol=1e-8)


def test_leading_axes_and_strided_operands(backend, dtype, rng):
    x, w, t, b = make(rng, dtype, 24, 31, 12)
    expected = kernels.fused_linear_cross_entropy(x, w, t, b, return_grads=True)
    wide = np.zeros((2, 12, 24), dtype)
    wide[..., ::2] = x.reshape(2, 12, 12)
    loss, grads = kernels.fused_linear_cross_entropy(
        wide[..., ::2], np.asfortranarray(w), t.reshape(2, 12), b, return_grads=True
    )
    assert loss.tobytes() == expected[0].tobytes()
    assert grads[0].shape == (2, 12, 12)
    for ours, other in zip(grads, expected[1]):
        assert ours.tobytes() == other.tobytes()


def test_nothing_of_an_ignored_row_is_used(backend, dtype, rng):
    x, w, t, b = make(rng, dtype, 9, 20, 5)
    loss = kernels.fused_linear_cross_entropy(x, w, t, b)
    x[1] = np.nan
    after, (dx, _, db) = kernels.fused_linear_cross_entropy(x, w, t, b, return_grads=True)
    assert after == loss
    assert (dx[1] == 0).all()
    assert np.isfinite(db).all()


def test_all_ignored_is_zero_with_one_warning(backend, rng, monkeypatch):
    monkeypatch.setattr(errors, "_warned", set())
    x, w, t, b = make(rng, np.float32, 4, 6, 3)
    t[:] = -100
    with pytest.warns(errors.PlainformerWarning, match="every label is ignored"):
        loss, grads = kernels.fused_linear_cross_entropy(x, w, t, b, return_grads=True)
    assert loss == 0
    assert all((g == 0).all() for g in grads)


@pytest.mark.cpu("threads")
def test_same_bytes_at_any_thread_count(backend, dtype, rng):
    x, w, t, b = make(rng, dtype, 150, 1003, 20)
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            loss, grads = kernels.fused_linear_cross_entropy(x, w, t, b, return_grads=True)
        results.add((loss.tobytes(), *(g.tobytes() for g in grads)))
    assert len(results) == 1


@pytest.mark.cpu("the CPU's allocator counts")
def test_logits_are_never_whole(backend):
    N, V, C = 1024, 50257, 16
    x, w = np.zeros((N, C), np.float32), np.zeros((V, C), np.float32)
    t = np.zeros(N, np.int64)
    pf.runtime.reset_peak_memory()
    before = pf.runtime.memory_stats()["live_bytes"]
    kernels.fused_linear_cross_entropy(x, w, t)
    peak = pf.runtime.memory_stats()["peak_bytes"] - before
    assert peak < 64 << 20  # whole logits would be 206 MB


def test_bad_arguments_are_named(backend):
    x, w = np.zeros((2, 3), np.float32), np.zeros((4, 3), np.float32)
    t = np.zeros(2, np.int64)
    fused = kernels.fused_linear_cross_entropy
    with pytest.raises(ShapeError, match=r"weight: got shape \(4, 2\), expected \(V, 3\)"):
        fused(x, w[:, :2], t)
    with pytest.raises(ShapeError, match=r"target: got 4 at \(1,\), expected 0 to 3"):
        fused(x, w, np.array([0, 4]))
    with pytest.raises(ShapeError, match=r"bias: got shape \(3,\), expected \(4,\)"):
        fused(x, w, t, x[0])
    with pytest.raises(DTypeError, match="weight: got dtype bfloat16, expected float32 like"):
        fused(x, w.astype(ml_dtypes.bfloat16), t)
    with pytest.raises(ConfigError, match="reduction: got 'none', expected one of"):
        fused(x, w, t, reduction="none")
    with pytest.raises(ConfigError, match="num_items: got 0"):
        fused(x, w, t, num_items=0)
