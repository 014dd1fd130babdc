"""Scaled dot product attention, forward: accuracy, masks, layouts, determinism, errors.

The backward is in test_attention_backward.py.
"""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plainformer as pf
from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x, representable
from tests.guarded import guarded

# B, H, KV, Lq, Lk, D, Dv: single elements, primes, tiles of 6 rows and panels of 64 keys with one
# more or less, strips of 256 keys crossed, wide and unequal heads, groups, nothing at all.
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1),
    (2, 3, 3, 7, 7, 5, 5),
    (1, 2, 2, 65, 65, 64, 64),
    (2, 2, 2, 23, 50, 17, 32),
    (1, 2, 2, 50, 23, 32, 17),
    (1, 4, 2, 31, 300, 64, 48),
    (1, 3, 1, 5, 520, 33, 130),
    (1, 1, 1, 13, 257, 256, 256),
    (0, 2, 2, 4, 4, 8, 8),
    (2, 2, 2, 0, 4, 8, 8),
    (2, 2, 2, 4, 0, 8, 8),
]
MASKS = ["none", "causal", "bool", "additive", "both"]
attention = kernels.scaled_dot_product_attention


def make(rng, dtype, shape, factor=1.0):
    """query, key, value of B, H, KV, Lq, Lk, D, Dv."""
    B, H, KV, Lq, Lk, D, Dv = shape
    shapes = (B, H, Lq, D), (B, KV, Lk, D), (B, KV, Lk, Dv)
    return [(factor * rng.standard_normal(s)).astype(dtype) for s in shapes]


def make_mask(rng, dtype, kind, shape):
    """A mask and whether it is causal. Additive ones differ by head and row and hide a quarter."""
    B, H, _, Lq, Lk, *_ = shape
    if kind == "bool":
        return rng.random((B, 1, 1, Lk)) < 0.7, False
    if kind in ("additive", "both"):
        bias = rng.standard_normal((H, Lq, Lk)).astype(dtype)
        bias[rng.random(bias.shape) < 0.25] = -np.inf
        return bias, kind == "both"
    return None, kind == "causal"


def exact(q, k, v, mask=None, **options):
    """The reference in float64: y, lse."""
    wide = [None if a is None or a.dtype == bool else a.astype(np.float64) for a in (q, k, v, mask)]
    wide[3] = mask if mask is not None and mask.dtype == bool else wide[3]
    with np.errstate(all="ignore"):
        return reference.attention(*wide, **options)


def check(y, lse, q, k, v, mask=None, **options):
    """Assert the 2x rule for y and 1e-5 for lse."""

    def output(*arrays, to=reference.identity):
        return reference.attention(*arrays, **options, to=to)[0]

    assert_2x(y, output, q, k, v, mask)
    want = exact(q, k, v, mask, **options)[1]
    finite = np.isfinite(want)
    assert (lse[~finite] == want[~finite]).all()
    bound = 1e-5 * np.maximum(1, np.abs(want[finite]))
    assert (np.abs(lse[finite] - want[finite]) <= bound).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", MASKS)
def test_error_is_at_most_twice_the_plain_formulas(backend, dtype, rng, shape, kind):
    q, k, v = make(rng, dtype, shape)
    mask, causal = make_mask(rng, dtype, kind, shape)
    y, lse = attention(q, k, v, mask, is_causal=causal, enable_gqa=True, return_lse=True)
    assert y.dtype == dtype
    assert lse.dtype == (np.float64 if dtype == np.float64 else np.float32)
    check(y, lse, q, k, v, mask, causal=causal)


@pytest.mark.parametrize("scale", [0.7, -0.3, 0.0])
def test_scale_is_free(backend, dtype, rng, scale):
    q, k, v = make(rng, dtype, (1, 2, 2, 9, 70, 24, 24))
    y, lse = attention(q, k, v, scale=scale, return_lse=True)
    check(y, lse, q, k, v, scale=scale)


def test_large_scores_do_not_overflow(backend, dtype, rng):
    q, k, v = make(rng, dtype, (1, 2, 2, 20, 300, 64, 64), factor=30.0)
    y = attention(q, k, v, is_causal=True)
    assert np.isfinite(y.astype(np.float32)).all()
    q, k, v = make(rng, dtype, (1, 2, 2, 20, 300, 64, 64), factor=5.0)
    y, lse = attention(q, k, v, is_causal=True, return_lse=True)
    check(y, lse, q, k, v, causal=True)


def test_small_values_keep_their_digits(backend, dtype, rng):
    """The mean error too: errors hide in the small outputs of long rows."""
    q, k, v = make(rng, dtype, (1, 2, 2, 40, 900, 32, 32))
    y = attention(q, k, v).astype(np.float64)
    want = exact(q, k, v)[0]
    plain = reference.attention(
        *(a.astype(np.float32) for a in (q, k, v)),
        to=lambda a: a.astype(dtype).astype(np.float64 if dtype == np.float64 else np.float32),
    )[0]
    assert np.abs(y - want).mean() <= 2 * np.abs(plain - want).mean() + 1e-7


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*(st.integers(1, n) for n in (2, 3)), st.integers(0, 40), st.integers(0, 600)),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from(MASKS),
    st.sampled_from([np.float32, np.float64]),
)
def test_any_shape(sizes, widths, kind, dtype):
    B, KV, Lq, Lk = sizes
    shape = (B, 2 * KV, KV, Lq, Lk, *widths)
    rng = np.random.default_rng(7)
    q, k, v = make(rng, dtype, shape)
    mask, causal = make_mask(rng, dtype, kind, shape)
    y, lse = attention(q, k, v, mask, is_causal=causal, enable_gqa=True, return_lse=True)
    check(y, lse, q, k, v, mask, causal=causal)


# ---- masks --------------------------------------------------------------------------------------


def test_causal_is_top_left(backend, dtype):
    """Row i sees keys 0 .. i, whichever of Lq and Lk is larger (PyTorch's alignment)."""
    for Lq, Lk in ((2, 5), (5, 2)):
        q, k = np.zeros((1, 1, Lq, 1), dtype), np.zeros((1, 1, Lk, 1), dtype)
        weights = attention(q, k, np.eye(Lk, dtype=dtype)[None, None], is_causal=True)[0, 0]
        seen = np.tri(Lq, Lk)
        want = (seen / seen.sum(axis=1, keepdims=True)).astype(dtype)
        np.testing.assert_allclose(weights.astype(float), want.astype(float), rtol=1e-6)


@pytest.mark.parametrize("low", [-np.inf, -1e30, "lowest", -65504.0])
def test_very_low_values_hide_a_key_like_false(backend, dtype, rng, low):
    shape = (2, 2, 2, 9, 70, 16, 16)
    q, k, v = make(rng, dtype, shape)
    seen = rng.random((2, 1, 9, 70)) < 0.5
    seen[:, :, 3] = False
    low = ml_dtypes.finfo(dtype).min if low == "lowest" else representable(low, dtype)
    bias = np.where(seen, dtype.type(0), dtype.type(low))
    a = attention(q, k, v, seen, return_lse=True)
    b = attention(q, k, v, bias, return_lse=True)
    assert all(x.tobytes() == y.tobytes() for x, y in zip(a, b))
    assert (a[0][:, :, 3] == 0).all()
    assert (a[1][:, :, 3] == -np.inf).all()


@pytest.mark.parametrize("kind", ["bool", "additive"])
@pytest.mark.parametrize(
    "axes", ["1111", "B111", "1H11", "11Q1", "111K", "B11K", "BHQK", "QK", "K", ""]
)
def test_masks_broadcast_without_being_expanded(backend, dtype, rng, kind, axes):
    q, k, v = make(rng, dtype, (2, 3, 3, 11, 270, 8, 8))
    sizes = {"B": 2, "H": 3, "Q": 11, "K": 270, "1": 1}
    mask = rng.random(tuple(sizes[a] for a in axes)) < 0.7
    if kind == "additive":
        mask = (2.0 * mask).astype(dtype)
    whole = np.ascontiguousarray(np.broadcast_to(mask, (2, 3, 11, 270)))
    want = attention(q, k, v, whole)
    assert attention(q, k, v, np.asarray(mask)).tobytes() == want.tobytes()
    assert attention(q, k, v, np.broadcast_to(mask, whole.shape)).tobytes() == want.tobytes()
    assert attention(q, k, v, np.asfortranarray(whole)).tobytes() == want.tobytes()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["bool", "additive", "causal"])
def test_what_is_hidden_changes_no_byte(backend, dtype, rng, poison, kind):
    """Keys 40 to 59 are hidden from all rows (causal: from the first 40)."""
    q, k, v = make(rng, dtype, (1, 4, 2, 70, 90, 24, 24))
    mask = None if kind == "causal" else np.ones((1, 90), bool)
    if mask is not None:
        mask[0, 40:60] = False
    if kind == "additive":
        mask = np.where(mask, 0, -np.inf).astype(dtype)
    rows = slice(0, 40) if kind == "causal" else slice(None)
    options = {"is_causal": kind == "causal", "enable_gqa": True, "return_lse": True}
    clean = attention(q, k, v, mask, **options)
    k[:, :, 40:60], v[:, :, 40:60] = poison, poison
    dirty = attention(q, k, v, mask, **options)
    for a, b in zip(clean, dirty):
        assert a[:, :, rows].tobytes() == b[:, :, rows].tobytes()


def test_what_is_seen_shows(backend, dtype, rng):
    """NaN and infinite values reach the columns of the rows that see them, and only these."""
    q, k, v = make(rng, dtype, (1, 1, 1, 20, 20, 8, 70))
    clean = attention(q, k, v, is_causal=True)
    v[0, 0, 5, 3], v[0, 0, 7, 66] = np.nan, -np.inf
    y = attention(q, k, v, is_causal=True)
    assert np.isnan(y[0, 0, 5:, 3].astype(float)).all()
    assert (y[0, 0, 7:, 66] == -np.inf).all()
    same = np.ones(y.shape, bool)
    same[0, 0, 5:, 3] = same[0, 0, 7:, 66] = False
    assert (y[same] == clean[same]).all()


# ---- dropout ------------------------------------------------------------------------------------


def keep_factors(shape, p, seed, offset):
    """What each probability is multiplied with: (B, H, Lq, Lk)."""
    B, H, _, Lq, Lk, *_ = shape
    masks = []
    for head in range(B * H):
        kept, scale = reference.dropout_mask(Lq, Lk, p, seed, offset, head)
        masks.append(kept * scale)
    return np.reshape(masks, (B, H, Lq, Lk))


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_dropout_is_that_of_the_counters(backend, dtype, rng, p):
    shape = (2, 4, 2, 13, 530, 16, 16)
    q, k, v = make(rng, dtype, shape)
    keep = keep_factors(shape, p, 12345678901, 3)
    options = {"dropout_p": p, "seed": 12345678901, "offset": 3, "enable_gqa": True}
    y, lse = attention(q, k, v, **options, return_lse=True)
    check(y, lse, q, k, v, keep=keep)
    assert np.abs((keep != 0).mean() - (1 - p)) < 0.01


def test_dropout_needs_a_seed(backend, dtype, rng):
    q, k, v = make(rng, dtype, (1, 1, 1, 4, 4, 8, 8))
    with pytest.raises(ConfigError, match="seed: got None, expected a whole number"):
        attention(q, k, v, dropout_p=0.1)
    a, b = (attention(q, k, v, dropout_p=0.5, seed=s).tobytes() for s in (1, 2))
    assert a != b


# ---- layouts and memory -------------------------------------------------------------------------


def test_packed_projections_are_read_in_place(backend, dtype, rng):
    B, L, H, D = 2, 75, 3, 24
    qkv = rng.standard_normal((B, L, 3, H, D)).astype(dtype)
    q, k, v = (qkv[:, :, i] for i in range(3))
    before = kernels._arrays.copies
    y = attention(q, k, v, is_causal=True, layout="blhd")
    assert kernels._arrays.copies == before
    want = attention(*(x.swapaxes(1, 2).copy() for x in (q, k, v)), is_causal=True)
    assert y.shape == (B, L, H, D)
    assert y.tobytes() == want.swapaxes(1, 2).tobytes()


def test_any_strides_give_the_same_bytes(backend, dtype, rng):
    q, k, v = make(rng, dtype, (2, 2, 2, 40, 50, 32, 32))
    want = attention(q[:, ::-1, ::3, ::2].copy(), k[..., ::2].copy(), v[:1].copy().repeat(2, 0))
    q.flags.writeable = False
    shared = np.broadcast_to(v[:1], v.shape)  # a step of 0
    assert attention(q[:, ::-1, ::3, ::2], k[..., ::2], shared).tobytes() == want.tobytes()


def test_out_is_written_in_place(backend, dtype, rng):
    q, k, v = make(rng, dtype, (2, 3, 3, 9, 9, 16, 16))
    buffer = np.full((2, 9, 3, 40), 7, dtype)
    out = buffer[..., 8:24].swapaxes(1, 2)
    assert attention(q, k, v, out=out) is out
    assert out.tobytes() == attention(q, k, v).tobytes()
    assert (buffer[..., :8] == 7).all()
    assert (buffer[..., 24:] == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_memory_is_linear_in_the_length(dtype, rng):
    q, k, v = make(rng, dtype, (1, 1, 1, 16384, 16384, 64, 64))
    pf.runtime.reset_peak_memory()
    before = pf.runtime.memory_stats()["live_bytes"]
    y, lse = attention(q, k, v, is_causal=True, return_lse=True)
    extra = pf.runtime.memory_stats()["peak_bytes"] - before - y.nbytes - lse.nbytes
    assert extra < 64 << 20


@pytest.mark.parametrize("shape", SHAPES[:8], ids=str)
def test_no_byte_beyond_the_arrays_is_touched(backend, dtype, rng, shape):
    arrays = make(rng, dtype, shape)
    mask = rng.random((shape[3], shape[4])) < 0.7
    want = attention(*arrays, mask, enable_gqa=True)
    out = guarded(np.empty(want.shape, dtype))
    attention(*map(guarded, arrays), guarded(mask), enable_gqa=True, out=out)
    assert out.tobytes() == want.tobytes()
    bias = mask.astype(dtype)
    want = attention(*arrays, bias, enable_gqa=True)
    assert attention(*arrays, guarded(bias), enable_gqa=True).tobytes() == want.tobytes()


# ---- determinism --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 8, 4, 100, 300, 32, 32), (1, 2, 2, 700, 700, 32, 32)])
def test_bytes_do_not_depend_on_threads(level, dtype, rng, shape):
    q, k, v = make(rng, dtype, shape)
    options = {"is_causal": True, "dropout_p": 0.1, "seed": 1, "enable_gqa": True}
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            y, lse = attention(q, k, v, **options, return_lse=True)
            results.add(y.tobytes() + lse.tobytes())
    assert len(results) == 1


@pytest.mark.cpu("on a GPU few rows may be summed in another order")
def test_a_row_does_not_depend_on_the_others(backend, dtype, rng):
    """One query against a cache gives the bytes of the same row among all queries."""
    q, k, v = make(rng, dtype, (2, 4, 2, 300, 300, 64, 64))
    whole, lse = attention(q, k, v, is_causal=True, enable_gqa=True, return_lse=True)
    for i in (0, 5, 6, 63, 64, 256, 299):
        y, one = attention(
            q[1:, :, i : i + 1], k[1:, :, : i + 1], v[1:, :, : i + 1],
            enable_gqa=True, return_lse=True,
        )  # fmt: skip
        assert y.tobytes() == whole[1:, :, i : i + 1].tobytes()
        assert one.tobytes() == lse[1:, :, i : i + 1].tobytes()


# ---- errors -------------------------------------------------------------------------------------


def test_bad_arguments_are_named(backend):
    x = np.zeros((1, 4, 3, 8), np.float32)
    half = x[:, :2]
    cases = [
        ((x[0], x, x), {}, ShapeError, r"query: got shape \(4, 3, 8\), expected four axes"),
        ((x, x[..., :4], x), {}, ShapeError, r"key: got shape \(1, 4, 3, 4\), expected"),
        ((x, x, x[:, :, :2]), {}, ShapeError, r"value: got shape \(1, 4, 2, 8\), expected"),
        ((x, half, half), {}, ShapeError, "key: got 2 heads, expected 4 like query; enable_gqa"),
        ((x, x[:, :3], x[:, :3]), {"enable_gqa": True}, ShapeError, "key: got 3 heads, expected a"),
        ((x, x.astype(np.float64), x), {}, DTypeError, "key: got dtype float64, expected float32"),
        ((x.astype(np.int16),) * 3, {}, DTypeError, "query: got dtype int16"),
        (([1.0], x, x), {}, DTypeError, "query: got builtins.list, expected a NumPy array"),
        ((x[..., :0],) * 3, {}, ShapeError, "query: got head width 0, expected 1 to 256"),
        ((x, x, x, np.ones((2, 3), bool)), {}, ShapeError, r"attn_mask: got shape \(2, 3\)"),
        ((x, x, x, np.ones((3, 3), int)), {}, DTypeError, "attn_mask: got dtype int64"),
        ((x, x, x), {"layout": "bdhl"}, ConfigError, "layout: got 'bdhl', expected one of"),
        ((x, x, x), {"dropout_p": 1.5, "seed": 1}, ConfigError, "dropout_p: got 1.5, expected"),
        ((x, x, x), {"dropout_p": 0.5, "seed": -1}, ConfigError, "seed: got -1, expected 0 to"),
        ((x, x, x), {"dropout_p": 0.5, "seed": 0.5}, DTypeError, "seed: got 0.5, expected a whole"),
        ((x, x, x), {"dropout_p": 0.5, "seed": 1, "offset": 2**32}, ConfigError, "offset: got"),
        ((x, x, x), {"scale": float("nan")}, ConfigError, "scale: got nan"),
        ((x, x, x), {"scale": float("inf")}, ConfigError, "scale: got inf, expected a finite"),
        ((x, x, x), {"out": x}, ConfigError, "out: shares memory with query"),
        ((x, x, x), {"out": x[..., :4].copy()}, ShapeError, r"out: got shape \(1, 4, 3, 4\)"),
        ((x, x, x), {"out": np.zeros((1, 4, 8, 3), np.float32).swapaxes(2, 3)}, ShapeError,
         "out: got strides"),
    ]  # fmt: skip
    for arguments, options, error, message in cases:
        with pytest.raises(error, match=message):
            attention(*arguments, **options)
