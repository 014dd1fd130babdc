"""Attention's forward on the emulated device: every kernel, option, layout and order of threads.

Heads are padded to 64, 128 or 256; tensor cores take bfloat16 and float16 whose rows are aligned to
16 bytes. Tiles are 128 queries by 64 or 32 keys there, 64 by 64 elsewhere.
"""

import functools

import ml_dtypes
import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import ShapeError
from tests import flash_reference, reference
from tests.accuracy import assert_2x
from tests.cuda.calls import on_device, to_host
from tests.emulated import emulated, to_device
from tests.kernels.flash_cases import CASES, OPTIONS, Packed
from tests.kernels.test_attention import check, keep_factors, make, make_mask
from tests.kernels.test_flash_attention import check as check_packed

# B, H, KV, Lq, Lk, D, Dv: a single element, odd widths, each padded width with one more or less
# than whole tiles, unequal widths, no keys, no sequences.
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1),
    (2, 3, 3, 7, 7, 3, 5),
    (1, 4, 2, 140, 130, 64, 64),
    (1, 2, 1, 129, 70, 128, 128),
    (1, 1, 1, 70, 129, 40, 80),
    (1, 1, 1, 129, 97, 256, 192),
    (1, 1, 1, 5, 66, 8, 200),
    (1, 2, 2, 4, 0, 8, 8),
    (0, 2, 2, 4, 4, 8, 8),
]
ON_TENSOR_CORES = [
    (1, 2, 1, 140, 130, 64, 64),
    (1, 1, 1, 140, 70, 128, 96),
    (1, 1, 1, 70, 70, 256, 256),
]
MASKS = ["none", "causal", "bool", "additive", "both"]


attention = functools.partial(on_device, kernels.scaled_dot_product_attention)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", MASKS)
def test_error_is_at_most_twice_the_plain_formulas(dtype, rng, shape, kind):
    q, k, v = make(rng, dtype, shape)
    mask, causal = make_mask(rng, dtype, kind, shape)
    with emulated(80):
        y, lse = attention(q, k, v, mask, is_causal=causal, enable_gqa=True, return_lse=True)
    assert y.dtype == dtype
    assert lse.dtype == np.float32
    check(y, lse, q, k, v, mask, causal=causal)


@pytest.mark.parametrize("scale", [0.7, -0.3, 0.0])
def test_scale_is_free(dtype, rng, scale):
    q, k, v = make(rng, dtype, (1, 2, 2, 9, 70, 24, 24))
    with emulated(80):
        y, lse = attention(q, k, v, scale=scale, return_lse=True)
    check(y, lse, q, k, v, scale=scale)


def test_large_scores_do_not_overflow(dtype, rng):
    with emulated(80):
        q, k, v = make(rng, dtype, (1, 2, 2, 20, 150, 64, 64), factor=30.0)
        assert np.isfinite(attention(q, k, v, is_causal=True).astype(np.float32)).all()
        q, k, v = make(rng, dtype, (1, 2, 2, 20, 150, 64, 64), factor=5.0)
        y, lse = attention(q, k, v, is_causal=True, return_lse=True)
    check(y, lse, q, k, v, causal=True)


# ---- packed sequences and their options ---------------------------------------------------------


class OnDevice(Packed):
    """Packed sequences whose forward is the device's."""

    def forward(self, **options):
        call = functools.partial(on_device, kernels.flash_attn_varlen_func)
        return call(self.q, self.k, self.v, *self.sequences, **options)


# Tensor cores in both forms and at each padded width, with sequences of no rows and of no keys.
ALIGNED = {
    "64": ([(70, 130), (0, 9), (140, 70), (8, 0)], 4, 2, 64, 40),
    "128": ([(130, 70), (1, 1), (33, 65)], 2, 1, 128, 128),
    "256": ([(70, 40), (3, 35)], 1, 1, 136, 256),
}


@pytest.mark.parametrize(
    ("batch", "name"),
    [c for c in CASES if c[0] != "long"] + [(b, n) for b in ALIGNED for n in OPTIONS],
)
def test_packed_sequences_take_every_option(dtype, rng, batch, name):
    if batch in ALIGNED and dtype == np.float32:
        pytest.skip("a case of tensor cores")
    packed = OnDevice(rng, dtype, ALIGNED.get(batch, batch))
    options = packed.options(rng, name)
    with emulated(80):
        y, lse = packed.forward(**options, return_lse=True)
    check_packed(packed, y, lse, options)


@pytest.mark.parametrize("name", ["causal", "window", "all"])
def test_dense_sequences_are_aligned_at_their_ends(dtype, rng, name):
    """flash_attn_func and its packed form see the same keys."""
    q, k, v = (
        rng.standard_normal((2, n, h, 24)).astype(dtype) for n, h in ((20, 4), (70, 2), (70, 2))
    )
    options = dict(OPTIONS[name])
    slopes = bias = None
    if name == "all":
        slopes = options["alibi_slopes"] = rng.random((2, 4)).astype(np.float32)
        bias = options["attn_bias"] = rng.standard_normal((1, 1, 20, 70)).astype(dtype)
    with emulated(80):
        y = on_device(kernels.flash_attn_func, q, k, v, **options)
    words = {"window_size": "window", "softmax_scale": "scale"}
    rest = {
        words.get(n, n): x for n, x in options.items() if n not in ("alibi_slopes", "attn_bias")
    }

    def output(*arrays, **more):
        return flash_reference.flash_attention(*arrays, **rest, **more)[0]

    assert_2x(y, output, q, k, v, bias, slopes)


def test_packed_projections_are_read_where_they_stand(short, rng):
    qkv = rng.standard_normal((1, 70, 3, 2, 64)).astype(short)
    with emulated(80):
        y = on_device(kernels.flash_attn_qkvpacked_func, qkv, causal=True)
        arrays = [np.ascontiguousarray(qkv[:, :, n]) for n in range(3)]
        want = on_device(kernels.flash_attn_func, *arrays, causal=True)
    assert y.tobytes() == want.tobytes()


def test_wrong_starts_are_reported_and_read_nothing(rng):
    packed = OnDevice(rng, np.dtype(np.float32), "ragged")
    packed.starts_k = packed.starts_k.copy()
    packed.starts_k[2] = 1 << 30
    with (
        emulated(80),
        pytest.raises(ShapeError, match="cu_seqlens_k: got 1073741824 at flat index 2"),
    ):
        packed.forward()


# ---- masks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("low", [-np.inf, -1e30, "lowest", -65504.0])
def test_very_low_values_hide_a_key_like_false(dtype, rng, low):
    if low == -1e30 and dtype == np.float16:
        pytest.skip("float16 has no such value")
    q, k, v = make(rng, dtype, (2, 2, 2, 9, 70, 16, 16))
    seen = rng.random((2, 1, 9, 70)) < 0.5
    seen[:, :, 3] = False
    low = ml_dtypes.finfo(dtype).min if low == "lowest" else low
    bias = np.where(seen, dtype.type(0), dtype.type(low))
    with emulated(80):
        a = attention(q, k, v, seen, return_lse=True)
        b = attention(q, k, v, bias, return_lse=True)
    assert all(x.tobytes() == y.tobytes() for x, y in zip(a, b))
    assert (a[0][:, :, 3] == 0).all()
    assert (a[1][:, :, 3] == -np.inf).all()


@pytest.mark.parametrize("kind", ["bool", "additive"])
@pytest.mark.parametrize("axes", ["1111", "B11K", "1HQ1", "BHQK", "QK", "K"])
def test_masks_broadcast_without_being_expanded(dtype, rng, kind, axes):
    q, k, v = make(rng, dtype, (2, 3, 3, 11, 70, 8, 8))
    sizes = {"B": 2, "H": 3, "Q": 11, "K": 70, "1": 1}
    mask = rng.random(tuple(sizes[a] for a in axes)) < 0.7
    if kind == "additive":
        mask = (2.0 * mask).astype(dtype)
    whole = np.ascontiguousarray(np.broadcast_to(mask, (2, 3, 11, 70)))
    with emulated(80):
        assert attention(q, k, v, mask).tobytes() == attention(q, k, v, whole).tobytes()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["bool", "additive", "causal"])
@pytest.mark.parametrize("width", [24, 128])
def test_what_is_hidden_changes_no_byte(dtype, rng, poison, kind, width):
    """Keys 40 to 59 are hidden from all rows (causal: from the first 40)."""
    q, k, v = make(rng, dtype, (1, 4, 2, 70, 90, width, width))
    mask = None if kind == "causal" else np.ones((1, 90), bool)
    if mask is not None:
        mask[0, 40:60] = False
    if kind == "additive":
        mask = np.where(mask, 0, -np.inf).astype(dtype)
    rows = slice(0, 40) if kind == "causal" else slice(None)
    options = {"is_causal": kind == "causal", "enable_gqa": True, "return_lse": True}
    with emulated(80):
        clean = attention(q, k, v, mask, **options)
        k[:, :, 40:60], v[:, :, 40:60] = poison, poison
        dirty = attention(q, k, v, mask, **options)
    for a, b in zip(clean, dirty):
        assert a[:, :, rows].tobytes() == b[:, :, rows].tobytes()


@pytest.mark.parametrize("widths", [(8, 72), (5, 70)], ids=["aligned", "not aligned"])
def test_what_is_seen_shows(dtype, rng, widths):
    """NaN and infinite values reach the columns of the rows that see them, and only these."""
    q, k, v = make(rng, dtype, (1, 1, 1, 20, 20, *widths))
    with emulated(80):
        clean = attention(q, k, v, is_causal=True)
        v[0, 0, 5, 3], v[0, 0, 7, 66], v[0, 0, 9, 67] = np.nan, -np.inf, np.inf
        v[0, 0, 12, 67] = -np.inf
        y = attention(q, k, v, is_causal=True)
    assert np.isnan(y[0, 0, 5:, 3].astype(float)).all()
    assert (y[0, 0, 7:, 66] == -np.inf).all()
    assert (y[0, 0, 9:12, 67] == np.inf).all()
    assert np.isnan(y[0, 0, 12:, 67].astype(float)).all()
    same = np.ones(y.shape, bool)
    same[0, 0, 5:, 3] = same[0, 0, 7:, 66] = same[0, 0, 9:, 67] = False
    assert (y[same] == clean[same]).all()


# ---- dropout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("Lk", [64, 100, 200])
def test_dropout_keeps_what_the_counters_say(dtype, Lk):
    """Queries of zeros and an identity for values: O is the mask itself."""
    B, H, Lq, p, seed, offset = 2, 3, 9, 0.4, 12345678901, 7
    q, k = np.zeros((B, H, Lq, 8), dtype), np.zeros((B, H, Lk, 8), dtype)
    v = np.broadcast_to(np.eye(Lk, dtype=dtype), (B, H, Lk, Lk)).copy()
    with emulated(80):
        y = attention(q, k, v, dropout_p=p, seed=seed, offset=offset)
    for head in range(B * H):
        kept, _ = reference.dropout_mask(Lq, Lk, p, seed, offset, head)
        assert ((y.reshape(B * H, Lq, Lk)[head] != 0) == kept).all()


@pytest.mark.parametrize("p", [0.1, 1.0])
@pytest.mark.parametrize("width", [16, 65, 128])
def test_dropout_is_applied_to_probabilities(dtype, rng, p, width):
    shape = (1, 4, 2, 13, 130, width, width)
    q, k, v = make(rng, dtype, shape)
    keep = keep_factors(shape, p, 12345678901, 3)
    options = {"dropout_p": p, "seed": 12345678901, "offset": 3, "enable_gqa": True}
    with emulated(80):
        y, lse = attention(q, k, v, **options, return_lse=True)
    check(y, lse, q, k, v, keep=keep)


# ---- strides and memory -------------------------------------------------------------------------


def test_rows_that_are_not_aligned_are_taken_without_tensor_cores(short, rng):
    """The same numbers at odd addresses, in odd steps, and written to such."""
    q, k, v = make(rng, short, (1, 2, 2, 30, 70, 64, 64))
    with emulated(80) as device:
        wide = to_device(np.concatenate([q, q], axis=-1))[..., 1:65]
        device.reset_stats()
        y = kernels.scaled_dot_product_attention(wide, *map(to_device, (k, v)))
        assert device.stats()["matrix_phases"] == 0
    check_output(to_host(y), np.concatenate([q, q], axis=-1)[..., 1:65], k, v)


def check_output(y, q, k, v):
    assert_2x(y, lambda *a, **more: reference.attention(*a, **more)[0], q, k, v)


def test_any_layout_and_out_give_the_same_bytes(dtype, rng):
    q, k, v = make(rng, dtype, (2, 3, 3, 20, 33, 16, 16))
    with emulated(80):
        want = attention(q, k, v)
        arrays = [to_device(x.swapaxes(1, 2).copy()).transpose(0, 2, 1, 3) for x in (q, k, v)]
        buffer = to_device(np.full((2, 20, 3, 40), 7, dtype))
        out = buffer[..., 8:24].transpose(0, 2, 1, 3)
        y = kernels.scaled_dot_product_attention(*arrays, out=out)
        buffer = to_host(buffer)
    assert to_host(y).tobytes() == want.tobytes()
    assert (buffer[..., :8] == 7).all()
    assert (buffer[..., 24:] == 7).all()


def test_too_long_a_sequence_is_refused():
    x = np.zeros((1, 1, 1, 8), np.float32)
    with emulated(80):
        long = to_device(x)
        long = kernels.xp(long).broadcast_to(long, (1, 1, (1 << 29) + 1, 8))
        with pytest.raises(RuntimeError, match="got a sequence of 536870913 rows"):
            kernels.scaled_dot_product_attention(to_device(x), long, long)


# ---- order of threads ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ON_TENSOR_CORES, ids=str)
@pytest.mark.parametrize("general", [False, True], ids=["plain", "general"])
def test_no_order_of_threads_and_no_memory_before_changes_a_byte(short, rng, shape, general):
    q, k, v = make(rng, short, shape)
    options = {"is_causal": True, "enable_gqa": True, "return_lse": True}
    if general:
        options |= {"dropout_p": 0.3, "seed": 5}
    results = set()
    for order, poison in (("fifo", 0xFF), ("fifo", 0x7E), ("lifo", 0xFF), ("3", 0x7E), ("4", 0xFF)):
        with emulated(80, order, poison) as device:
            device.reset_stats()
            y, lse = attention(q, k, v, **options)
            stats = device.stats()
        results.add(y.tobytes() + lse.tobytes())
        assert stats["matrix_phases"] > 0
        assert stats["matrix_replays"] == 0, "loads of fragments meet in a bank"
    assert len(results) == 1


@pytest.mark.parametrize("shape", [(1, 2, 1, 70, 70, 20, 70)], ids=str)
def test_nor_without_tensor_cores(dtype, rng, shape):
    q, k, v = make(rng, dtype, shape)
    results = set()
    for order, poison in (("fifo", 0xFF), ("lifo", 0x7E), ("3", 0xFF), ("4", 0x7E)):
        with emulated(80, order, poison):
            y, lse = attention(q, k, v, is_causal=True, enable_gqa=True, return_lse=True)
        results.add(y.tobytes() + lse.tobytes())
    assert len(results) == 1


def test_a_row_does_not_depend_on_the_others(dtype, rng):
    """A row of a batch gives the bytes that it gives alone, with its keys."""
    q, k, v = make(rng, dtype, (2, 4, 2, 140, 140, 64, 64))
    with emulated(80):
        whole, lse = attention(q, k, v, is_causal=True, enable_gqa=True, return_lse=True)
        for i in (0, 63, 64, 139):
            y, one = attention(
                q[1:, :, i : i + 1], k[1:, :, : i + 1], v[1:, :, : i + 1],
                enable_gqa=True, return_lse=True,
            )  # fmt: skip
            assert y.tobytes() == whole[1:, :, i : i + 1].tobytes()
            assert one.tobytes() == lse[1:, :, i : i + 1].tobytes()
