"""Scaled dot product attention, backward: accuracy, finite differences, masks, memory, errors."""

import numpy as np
import pytest

import plainformer as pf
from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x
from tests.differences import numeric_gradient
from tests.guarded import guarded
from tests.kernels.test_attention import MASKS, keep_factors, make, make_mask

# As in the forward, with blocks of 96 queries and 192 keys crossed in both directions.
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1),
    (2, 3, 3, 7, 7, 5, 5),
    (1, 2, 2, 65, 65, 64, 64),
    (2, 2, 2, 23, 50, 17, 32),
    (1, 4, 2, 97, 193, 64, 48),
    (1, 2, 1, 200, 400, 33, 20),
    (1, 1, 1, 395, 195, 12, 130),
    (1, 1, 1, 13, 57, 256, 256),
    (0, 2, 2, 4, 4, 8, 8),
    (2, 2, 2, 0, 4, 8, 8),
    (2, 2, 2, 4, 0, 8, 8),
]
attention = kernels.scaled_dot_product_attention
attention_backward = kernels.scaled_dot_product_attention_backward


def gradients(dy, q, k, v, mask=None, *, out=None, mask_grad=False, **options):
    y, lse = attention(q, k, v, mask, **options, return_lse=True)
    return attention_backward(dy, q, k, v, y, lse, mask, **options, out=out, mask_grad=mask_grad)


def make_all(rng, dtype, shape):
    """grad_output, query, key, value."""
    B, H, _, Lq, _, _, Dv = shape
    return [rng.standard_normal((B, H, Lq, Dv)).astype(dtype), *make(rng, dtype, shape)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", MASKS)
def test_error_is_at_most_three_times_the_plain_formulas(backend, dtype, rng, shape, kind):
    arrays = make_all(rng, dtype, shape)
    mask, causal = make_mask(rng, dtype, kind, shape)
    mask_grad = kind in ("additive", "both")
    grads = gradients(*arrays, mask, is_causal=causal, enable_gqa=True, mask_grad=mask_grad)
    assert all(g.dtype == dtype for g in grads)
    assert_2x(
        grads, reference.attention_backward, *arrays, mask,
        causal=causal, mask_grad=mask_grad, factor=3,
    )  # fmt: skip


@pytest.mark.parametrize("kind", MASKS)
def test_gradients_are_the_slopes_of_the_forward(rng, kind):
    shape = (2, 4, 2, 9, 11, 5, 6)
    dy, *arrays = make_all(rng, np.float64, shape)
    mask, causal = make_mask(rng, np.float64, kind, shape)
    if mask is not None and mask.dtype != bool:
        mask[np.isinf(mask)] = -1e30  # a step away from it is hidden too
        arrays.append(mask)
    options = {"is_causal": causal, "enable_gqa": True, "dropout_p": 0.3, "seed": 5}
    fixed = (mask,) if len(arrays) == 3 else ()
    grads = gradients(dy, *arrays, *fixed, **options, mask_grad=len(arrays) == 4)

    def value():
        return float((attention(*arrays, *fixed, **options) * dy).sum())

    for array, grad in zip(arrays, grads):
        picks = rng.choice(array.size, 12, replace=False)
        want = numeric_gradient(value, array, picks)
        np.testing.assert_allclose(grad.reshape(-1)[picks], want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(1, 4, 2, 13, 530, 16, 16), (1, 2, 2, 100, 7, 16, 16)], ids=str)
def test_dropout_is_the_forward_s(backend, dtype, rng, shape):
    arrays = make_all(rng, dtype, shape)
    grads = gradients(*arrays, dropout_p=0.4, seed=99, offset=2, enable_gqa=True)
    keep = keep_factors(shape, 0.4, 99, 2)
    assert_2x(grads, reference.attention_backward, *arrays, keep=keep, factor=3)


@pytest.mark.parametrize("axes", ["1111", "B111", "1H11", "11Q1", "111K", "B1QK", "HQK", "K", ""])
def test_gradient_of_a_mask_is_summed_where_it_is_broadcast(backend, dtype, rng, axes):
    shape = (2, 4, 2, 101, 203, 8, 8)
    arrays = make_all(rng, dtype, shape)
    sizes = {"B": 2, "H": 4, "Q": 101, "K": 203, "1": 1}
    mask = rng.standard_normal(tuple(sizes[a] for a in axes)).astype(dtype)
    grads = gradients(*arrays, mask, is_causal=True, enable_gqa=True, mask_grad=True)
    assert grads[3].shape == mask.shape
    want = reference.attention_backward(
        *(a.astype(np.float64) for a in (*arrays, mask)), causal=True, mask_grad=True
    )[3]
    # sums of up to 160,000 terms of about 1e-2, each rounded to the type
    eps = {"float64": 1e-12, "float32": 1e-4, "bfloat16": 1e-1, "float16": 1e-2}[dtype.name]
    np.testing.assert_allclose(grads[3].astype(float), want, rtol=eps, atol=3 * eps)


def test_rows_that_see_nothing_have_no_gradient(backend, dtype, rng):
    dy, q, k, v = make_all(rng, dtype, (1, 2, 2, 20, 30, 16, 16))
    seen = rng.random((20, 30)) < 0.5
    seen[4] = seen[17] = False
    seen[:, 9] = False
    dy[:, :, 4], q[:, :, 17] = np.nan, np.inf
    dq, dk, dv = gradients(dy, q, k, v, seen)
    assert (dq[:, :, [4, 17]] == 0).all()
    assert (dk[:, :, 9] == 0).all()
    assert (dv[:, :, 9] == 0).all()
    assert all(np.isfinite(g.astype(float)).all() for g in (dq, dk, dv))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["bool", "additive"])
def test_what_is_hidden_changes_no_byte(backend, dtype, rng, poison, kind):
    dy, q, k, v = make_all(rng, dtype, (1, 4, 2, 100, 90, 24, 24))
    mask = np.ones((1, 90), bool)
    mask[0, 40:60] = False
    if kind == "additive":
        mask = np.where(mask, 0, -np.inf).astype(dtype)
    clean = gradients(dy, q, k, v, mask, enable_gqa=True)
    k[:, :, 40:60], v[:, :, 40:60] = poison, poison
    dirty = gradients(dy, q, k, v, mask, enable_gqa=True)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(clean, dirty))


def test_later_rows_change_no_byte_of_later_keys(backend, dtype, rng):
    """Causal: a bad row reaches the keys it sees, not those after it."""
    dy, q, k, v = make_all(rng, dtype, (1, 1, 1, 60, 60, 16, 16))
    clean = gradients(dy, q, k, v, is_causal=True)
    dy[0, 0, 20] = np.nan
    dirty = gradients(dy, q, k, v, is_causal=True)
    for a, b in zip(clean[1:], dirty[1:]):
        assert a[0, 0, 21:].tobytes() == b[0, 0, 21:].tobytes()
        assert np.isnan(b[0, 0, :21].astype(float)).all()


def test_gradients_are_written_into_one_packed_array(backend, dtype, rng):
    B, L, H, D = 2, 75, 3, 24
    qkv, dqkv = rng.standard_normal((2, B, L, 3, H, D)).astype(dtype)
    dy = rng.standard_normal((B, L, H, D)).astype(dtype)
    views, out = (tuple(x[:, :, i] for i in range(3)) for x in (qkv, dqkv))
    before = kernels._arrays.copies
    grads = gradients(dy, *views, is_causal=True, layout="blhd", out=out)
    assert kernels._arrays.copies == before
    assert all(g is o for g, o in zip(grads, out))
    want = gradients(*(x.swapaxes(1, 2).copy() for x in (dy, *views)), is_causal=True)
    assert all(g.swapaxes(1, 2).tobytes() == w.tobytes() for g, w in zip(grads, want))


@pytest.mark.parametrize("shape", SHAPES[:8], ids=str)
def test_no_byte_beyond_the_arrays_is_touched(backend, dtype, rng, shape):
    arrays = make_all(rng, dtype, shape)
    bias = rng.standard_normal((shape[3], shape[4])).astype(dtype)
    y, lse = attention(*arrays[1:], bias, enable_gqa=True, return_lse=True)
    want = attention_backward(*arrays, y, lse, bias, enable_gqa=True)
    out = tuple(guarded(np.empty(x.shape, dtype)) for x in arrays[1:])
    attention_backward(*map(guarded, (*arrays, y, lse, bias)), enable_gqa=True, out=out)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(out, want))


@pytest.mark.parametrize("shape", [(3, 8, 8, 100, 200, 32, 32), (1, 4, 2, 420, 700, 32, 32)])
def test_bytes_do_not_depend_on_threads(level, dtype, rng, shape):
    """Many heads, each a task; few heads, split in parts."""
    arrays = make_all(rng, dtype, shape)
    mask = rng.standard_normal((shape[3], shape[4])).astype(dtype)
    options = {"is_causal": True, "dropout_p": 0.1, "seed": 1, "enable_gqa": True}
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            grads = gradients(*arrays, mask, **options, mask_grad=True)
            results.add(b"".join(g.tobytes() for g in grads))
    assert len(results) == 1


def test_memory_is_linear_in_the_length(rng):
    arrays = make_all(rng, np.float32, (1, 1, 1, 8192, 8192, 64, 64))
    y, lse = attention(*arrays[1:], is_causal=True, return_lse=True)
    pf.runtime.reset_peak_memory()
    before = pf.runtime.memory_stats()["live_bytes"]
    grads = attention_backward(*arrays, y, lse, is_causal=True)
    extra = pf.runtime.memory_stats()["peak_bytes"] - before - sum(g.nbytes for g in grads)
    assert extra < 32 << 20


def test_bad_arguments_are_named(backend):
    x = np.zeros((1, 4, 3, 8), np.float32)
    lse = np.zeros((1, 4, 3), np.float32)
    mask = np.zeros((3, 3), np.float32)
    read_only = x.copy()
    read_only.flags.writeable = False
    cases = [
        ((x[..., :4], x, x, x, x, lse), {}, ShapeError, r"grad_output: got shape \(1, 4, 3, 4\)"),
        ((x, x, x, x, x[:, :2], lse), {}, ShapeError, r"output: got shape \(1, 2, 3, 8\)"),
        ((x, x, x, x, x, lse[0]), {}, ShapeError, r"lse: got shape \(4, 3\), expected \(1, 4, 3\)"),
        ((x, x, x, x, x, lse.astype(float)), {}, DTypeError, "lse: got dtype float64"),
        ((x.astype(float), x, x, x, x, lse), {}, DTypeError, "grad_output: got dtype float64"),
        ((x, x, x, x, x, lse), {"mask_grad": True}, ConfigError, "mask_grad: got True with"),
        ((x, x, x, x, x, lse, mask > 0), {"mask_grad": True}, ConfigError, "attn_mask a bool mask"),
        ((x, x, x, x, x, lse), {"out": (x, x.copy(), x.copy())}, ConfigError, r"out\[0\]: shares"),
        ((x, x, x, x, x, lse), {"out": (x.copy(), x.copy(), read_only)}, ConfigError,
         r"out\[2\]: got a read-only array"),
        ((x, x, x, x, x, lse), {"out": (x.copy(), x.copy())}, ShapeError, "out: got 2 arrays"),
        ((x, x, x, x, x, lse), {"dropout_p": 0.1}, ConfigError, "seed: got None"),
    ]  # fmt: skip
    for arguments, options, error, message in cases:
        with pytest.raises(error, match=message):
            attention_backward(*arguments, **options)
