"""Linear + cross entropy: equal to the two apart, without their memory."""

import ml_dtypes
import numpy as np
import pytest

import plainformer as pf
from plainformer import errors, kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x

pytestmark = pytest.mark.amx

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


def test_one_class_costs_nothing(backend, dtype, rng):
    """Its probability is 1, however long the sum of its logit."""
    x, w, t, b = make(rng, dtype, 37, 1, 300)
    for smoothing in (0.0, 0.1):
        loss, (dx, dw, db) = kernels.fused_linear_cross_entropy(
            x, w, t, b, label_smoothing=smoothing, return_grads=True
        )
        assert loss == 0
        for grad in (dx, dw, db):
            assert (np.abs(grad.astype(np.float32)) <= 1e-7).all()


@pytest.mark.cpu("blocks of columns and parts of V are the CPU's")
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_several_groups_of_columns(backend, dtype, rng, smoothing):
    x, w, t, b = make(rng, dtype, 100, 2700, 768)  # 2560 columns of the weight are packed at once
    options = {"label_smoothing": smoothing}
    loss, grads = kernels.fused_linear_cross_entropy(x, w, t, b, return_grads=True, **options)
    assert_2x(
        (loss, *grads), reference.linear_cross_entropy, x, w, t, b, factor=3, smoothing=smoothing
    )
    for weight in (w, np.asfortranarray(w), kernels.pack_weight(w)):
        alone = kernels.fused_linear_cross_entropy(x, weight, t, b, **options)
        assert alone.tobytes() == loss.tobytes()


@pytest.mark.parametrize("N", [3, 120])
@pytest.mark.parametrize("C", [1, 40])
def test_packed_weight(backend, dtype, rng, N, C):
    x, w, t, b = make(rng, dtype, N, 333, C)
    loss = kernels.fused_linear_cross_entropy(x, w, t, b, label_smoothing=0.1)
    packed = kernels.pack_weight(w)
    same = kernels.fused_linear_cross_entropy(x, packed, t, b, label_smoothing=0.1)
    assert same.tobytes() == loss.tobytes()


@pytest.mark.cpu("a GPU's kernels read weights as they lie")
def test_packed_weight_where_it_does_not_serve(backend, rng):
    x, w, t, b = make(rng, np.float32, 3, 4, 5)
    packed = kernels.pack_weight(w)
    fused = kernels.fused_linear_cross_entropy
    with pytest.raises(DTypeError, match="weight: got a PackedWeight with return_grads"):
        fused(x, packed, t, b, return_grads=True)
    with pytest.raises(ShapeError, match=r"weight: got shape \(4, 5\), expected \(V, 4\)"):
        fused(x[:, :4], packed, t, b)
    with pytest.raises(DTypeError, match="weight: got dtype float32, expected bfloat16"):
        fused(x.astype(ml_dtypes.bfloat16), packed, t)


def test_infinite_biases_and_what_is_no_number(backend, rng):
    x, w, t, b = make(rng, np.float32, 6, 700, 4)
    t[:] = [0, 3, 698, 5, 699, 2]
    b[100:600] = -np.inf  # whole blocks of classes that cannot be
    loss, (dx, dw, db) = kernels.fused_linear_cross_entropy(x, w, t, b, return_grads=True)
    few = np.r_[0:100, 600:700]
    names = np.searchsorted(few, t)
    expected = kernels.fused_linear_cross_entropy(x, w[few], names, b[few])
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert all((g[100:600] == 0).all() for g in (dw, db))
    assert np.isfinite(dx).all()
    w[100:600] = np.nan  # nor may a block of them be lost between others
    assert np.isnan(kernels.fused_linear_cross_entropy(x, w, t))


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


@pytest.mark.cpu("no features")
def test_without_features_every_class_is_as_likely(backend, dtype):
    x, weight, target = np.zeros((2, 3, 0), dtype), np.zeros((7, 0), dtype), np.zeros((2, 3), int)
    loss, (dx, dw, _) = kernels.fused_linear_cross_entropy(x, weight, target, return_grads=True)
    packed = kernels.fused_linear_cross_entropy(x, kernels.pack_weight(weight), target)
    assert float(loss) == pytest.approx(np.log(7), rel=1e-6)
    assert float(packed) == float(loss)
    assert dx.shape == x.shape
    assert dw.shape == weight.shape


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
    packed = kernels.pack_weight(w)
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            loss, grads = kernels.fused_linear_cross_entropy(x, w, t, b, return_grads=True)
            for weight in (w, packed):
                alone = kernels.fused_linear_cross_entropy(x, weight, t, b)
                assert alone.tobytes() == loss.tobytes()
        results.add((loss.tobytes(), *(g.tobytes() for g in grads)))
    assert len(results) == 1


@pytest.mark.cpu("the CPU's allocator counts")
@pytest.mark.parametrize(("grads", "most"), [(False, 16 << 20), (True, 48 << 20)])
def test_logits_are_never_whole(backend, grads, most):
    N, V, C = 1024, 50257, 16
    x, w = np.zeros((N, C), np.float32), np.zeros((V, C), np.float32)
    t = np.zeros(N, np.int64)
    pf.runtime.reset_peak_memory()
    before = pf.runtime.memory_stats()["live_bytes"]
    kernels.fused_linear_cross_entropy(x, w, t, return_grads=grads)
    peak = pf.runtime.memory_stats()["peak_bytes"] - before
    assert peak < most  # whole logits would be 206 MB


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
