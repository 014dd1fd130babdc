"""Attention's forward on sm_90a: tiles of TMA and wgmma, in every order of threads.

A block has 64 queries for each of its two or three consumers and tiles of 128 keys, 64 at a width
of 256.
"""

import numpy as np
import pytest

from plainformer import kernels
from tests.accuracy import assert_2x
from tests.cuda.calls import ORDERS
from tests.emulated import emulated, to_device
from tests.flash_reference import flash_attention

# B, H, KV, Lq, Lk, D, Dv: one tile, rows and keys beyond it at each padded width, narrow and
# unequal widths, more rows than keys, several tiles of each.
SHAPES = [
    (1, 1, 1, 64, 64, 64, 64),
    (2, 2, 1, 200, 300, 64, 64),
    (1, 2, 2, 130, 260, 128, 128),
    (1, 1, 1, 150, 170, 256, 256),
    (1, 2, 1, 130, 140, 40, 72),
    (1, 1, 1, 70, 190, 192, 136),
    (1, 1, 1, 300, 100, 64, 64),
]


@pytest.fixture
def dtype(short):
    return short


def heads(rng, shape, dtype):
    B, H, KV, Lq, Lk, D, Dv = shape
    sizes = (B, Lq, H, D), (B, Lk, KV, D), (B, Lk, KV, Dv)
    return tuple(rng.standard_normal(size).astype(dtype) for size in sizes)


def attend(q, k, v, *, capability=90, order="fifo", poison=0xFF, **options):
    """(y, lse) as NumPy arrays."""
    with emulated(capability, order, poison) as compiled:
        compiled.reset_stats()
        found = kernels.flash_attn_func(*map(to_device, (q, k, v)), return_lse=True, **options)
        assert compiled.stats()["matrix_replays"] == 0
        return tuple(kernels.asnumpy(x) for x in found)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward(rng, dtype, shape, causal):
    q, k, v = heads(rng, shape, dtype)
    y, lse = attend(q, k, v, causal=causal)
    assert_2x(y, lambda *a, **o: flash_attention(*a, **o)[0], q, k, v, causal=causal)
    wanted = flash_attention(*(x.astype(np.float64) for x in (q, k, v)), causal=causal)[1]
    np.testing.assert_allclose(lse, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [(30, 10), (0, 0), (-1, 5), (200, 0)])
def test_windows(rng, dtype, window):
    q, k, v = heads(rng, (1, 2, 1, 260, 280, 64, 64), dtype)
    y, _ = attend(q, k, v, window_size=window)
    assert_2x(y, lambda *a, **o: flash_attention(*a, **o)[0], q, k, v, window=window)


def test_it_is_a_kernel_of_its_own(rng, dtype):
    """Tiles of another size round otherwise: what this file tests is not sm_80's kernel."""
    q, k, v = heads(rng, (1, 2, 1, 200, 300, 64, 64), dtype)
    assert attend(q, k, v)[1].tobytes() != attend(q, k, v, capability=80)[1].tobytes()


@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[2], SHAPES[3]], ids=str)
def test_same_bytes_in_any_order_and_over_any_rubbish(rng, dtype, shape):
    q, k, v = heads(rng, shape, dtype)
    found = {
        tuple(x.tobytes() for x in attend(q, k, v, causal=True, order=order, poison=poison))
        for order, poison in ORDERS
    }
    assert len(found) == 1


@pytest.mark.parametrize("width", [64, 128, 256])
def test_what_is_not_finite_reaches_only_rows_that_see_it(rng, dtype, width):
    q, k, v = heads(rng, (1, 1, 1, 140, 140, width, width), dtype)
    clean = attend(q, k, v, causal=True)
    v[:, 100], v[:, 120, :, 3], k[:, 130] = np.nan, np.inf, -np.inf
    y, lse = attend(q, k, v, causal=True)
    for found, before in ((y, clean[0]), (lse.swapaxes(1, 2), clean[1].swapaxes(1, 2))):
        assert found[:, :100].tobytes() == before[:, :100].tobytes()
    assert np.isnan(y[:, 100:].astype(np.float32)).all()
    others = [c for c in range(width) if c != 3]
    assert not np.isinf(y[..., others].astype(np.float32)).any()


@pytest.mark.parametrize("order", ["fifo", "lifo", "3", "4"])
def test_a_tile_that_is_not_finite_stays_until_all_have_read_it(rng, dtype, order):
    """Warps read such a tile by themselves; the ring of two stages needs its place again."""
    q, k, v = heads(rng, (1, 1, 1, 600, 600, 64, 64), dtype)
    clean, _ = attend(q, k, v, window_size=(300, 0), order=order)
    v[:, 90] = np.nan
    dirty, _ = attend(q, k, v, window_size=(300, 0), order=order)
    seeing = np.isin(np.arange(600), np.arange(90, 391))
    assert clean[:, ~seeing].tobytes() == dirty[:, ~seeing].tobytes()
    assert np.isnan(dirty[:, seeing].astype(np.float32)).all()


@pytest.mark.parametrize("width", [64, 128])
def test_packed_sequences(rng, dtype, width):
    """Neighbours in the packed rows are no keys, whatever they hold."""
    lengths = [(70, 140), (3, 0), (130, 60), (0, 5), (64, 64)]
    starts_q, starts_k = (
        np.concatenate([[0], np.cumsum(n)]).astype(np.int32) for n in np.transpose(lengths)
    )
    q = rng.standard_normal((starts_q[-1], 2, width)).astype(dtype)
    k, v = rng.standard_normal((2, starts_k[-1], 1, width)).astype(dtype)
    k[140:200], v[140:200] = np.nan, np.nan  # of the third sequence

    def packed(causal):
        with emulated(90):
            y = kernels.flash_attn_varlen_func(
                *map(to_device, (q, k, v, starts_q, starts_k)), 130, 140, causal=causal
            )
            return kernels.asnumpy(y)

    for causal in (False, True):
        y = packed(causal)
        for b, (rows, keys) in enumerate(lengths):
            own = y[starts_q[b] : starts_q[b + 1]]
            if b == 2 or rows == 0:
                continue
            alone = slice(starts_k[b], starts_k[b] + keys)
            parts = q[starts_q[b] : starts_q[b + 1]][None], k[alone][None], v[alone][None]
            assert_2x(own[None], lambda *a, **o: flash_attention(*a, **o)[0], *parts, causal=causal)


def test_rows_that_see_nothing(rng, dtype):
    q, k, v = heads(rng, (1, 1, 1, 300, 40, 64, 64), dtype)
    y, lse = attend(q, k, v, causal=True)  # the first 260 rows
    assert not y[:, :260].any()
    assert np.isneginf(lse[..., :260]).all()
