"""Attention to a cache on the emulated device: chunks of keys, their merging, appended rows.

Up to eight queries go by chunks of 64 keys in rows of up to 2048 keys, 128 up to 8192, else 256;
16 rows, queries of the heads that share keys, are one block. More go by the forward's kernels.
"""

import functools

import ml_dtypes
import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import ShapeError
from tests.cuda.calls import DTYPES, on_device, to_host, to_kernel
from tests.emulated import emulated
from tests.kernels.test_flash_attention_kvcache import OPTIONS, Cache, row

# Lengths of the rows, Sq, H, KV, D, Dv: one key, chunks with one key more or less and an empty row,
# rows of a block crossed, queries beyond eight, the wider chunks, each padded width and no
# multiple of it, more blocks than the device takes at once, no rows, no queries.
SHAPES = [
    ([1], 1, 1, 1, 1, 1),
    ([0, 63, 64, 129], 1, 4, 2, 64, 64),
    ([5, 200], 3, 12, 2, 33, 20),
    ([150, 17], 13, 2, 1, 80, 130),
    ([70, 30], 2, 8, 1, 128, 96),
    ([70], 8, 2, 2, 256, 256),
    ([2100, 8200], 1, 2, 1, 8, 8),
    ([20], 1, 24, 24, 16, 16),
    ([], 1, 2, 2, 8, 8),
    ([4, 9], 0, 2, 2, 8, 8),
]


decode = functools.partial(on_device, kernels.flash_attn_with_kvcache)


def attend(cache, **options):
    return decode(cache.q, cache.k, cache.v, cache_seqlens=cache.lengths, **options)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", OPTIONS)
def test_error_is_at_most_twice_the_plain_formulas(dtype, rng, shape, name):
    cache = Cache(rng, dtype, shape)
    options = cache.options(rng, name)
    with emulated(80):
        y = attend(cache, **options)
    assert y.dtype == dtype
    cache.check(y, options)


@pytest.mark.parametrize("Sq", [3, 12])
@pytest.mark.parametrize("widths", [(33, 20), (64, 128)], ids=str)
def test_a_row_alone_gives_the_bytes_it_gives_in_a_batch(dtype, rng, Sq, widths):
    cache = Cache(rng, dtype, ([5, 300, 128, 0], Sq, 6, 2, *widths))
    options = cache.options(rng, "all")
    with emulated(80):
        y = attend(cache, **options)
        for b, n in enumerate(cache.lengths):
            one = slice(b, b + 1)
            alone = decode(
                cache.q[one], cache.k[one, :n], cache.v[one, :n], cache_seqlens=cache.lengths[one],
                **row(options, b, n),
            )  # fmt: skip
            assert alone.tobytes() == y[one].tobytes()


def test_a_query_alone_gives_the_bytes_it_gives_among_others(dtype, rng):
    """Beams of one source are queries side by side."""
    cache = Cache(rng, dtype, ([150, 40], 5, 4, 2, 64, 64))
    with emulated(80):
        y = attend(cache)
        for i in range(5):
            alone = decode(cache.q[:, i : i + 1], cache.k, cache.v, cache_seqlens=cache.lengths)
            assert alone.tobytes() == y[:, i : i + 1].tobytes()


@pytest.mark.parametrize("Sq", [2, 10])
@pytest.mark.parametrize("widths", [(24, 40), (5, 7)], ids=["aligned", "not aligned"])
def test_new_keys_and_values_are_appended_and_seen(dtype, rng, Sq, widths):
    cache = Cache(rng, dtype, ([0, 63, 100], Sq, 4, 2, *widths), spare=12)
    new = [rng.standard_normal((3, Sq, 2, w)).astype(dtype) for w in widths]
    with emulated(80):
        caches = [to_kernel(x) for x in (cache.k, cache.v)]
        y = kernels.flash_attn_with_kvcache(
            to_kernel(cache.q), *caches, *map(to_kernel, new), causal=True,
            cache_seqlens=to_kernel(cache.lengths),
        )  # fmt: skip
        y, *written = map(to_host, (y, *caches))
    for old, added, now in zip((cache.k, cache.v), new, written):
        for b, n in enumerate(cache.lengths):
            old[b, n : n + Sq] = added[b]
        assert old.tobytes() == now.tobytes()
    cache.lengths += Sq
    cache.check(y, {"causal": True})


def test_a_wrong_length_is_reported_and_nothing_is_appended(rng):
    cache = Cache(rng, np.dtype(np.float32), ([3, 9], 2, 2, 2, 8, 8))
    new = [to_kernel(np.ones((2, 2, 2, 8), np.float32)) for _ in range(2)]
    lengths = np.array([3, 13], np.int32)
    with emulated(80):
        caches = [to_kernel(x) for x in (cache.k, cache.v)]
        y = kernels.flash_attn_with_kvcache(
            to_kernel(cache.q), *caches, *new, cache_seqlens=to_kernel(lengths)
        )
        with pytest.raises(ShapeError, match="cache_seqlens: got 13 at flat index 1"):
            to_host(y)
        assert to_host(caches[0])[1].tobytes() == cache.k[1].tobytes()


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_keys_outside_the_window_reach_nothing(dtype, rng, poison):
    cache = Cache(rng, dtype, ([150, 40], 2, 4, 2, 64, 64))
    with emulated(80):
        clean = attend(cache, causal=True, window_size=(20, 0))
        for x in (cache.k, cache.v):
            x[0, :125] = x[1, :15] = poison
        dirty = attend(cache, causal=True, window_size=(20, 0))
    assert clean.tobytes() == dirty.tobytes()


def test_what_is_seen_shows(dtype, rng):
    cache = Cache(rng, dtype, ([90], 1, 2, 2, 64, 64))
    cache.v[0, 80, 0, 3], cache.v[0, 5, 1, 7] = np.nan, -np.inf
    with emulated(80):
        y = attend(cache)[0, 0]
    assert np.isnan(y[0, 3].astype(float))
    assert y[1, 7] == -np.inf
    assert np.isfinite(y.astype(float)).sum() == y.size - 2


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_no_order_of_threads_and_no_memory_before_changes_a_byte(rng, name):
    dtype = np.dtype(DTYPES[name])
    cache = Cache(rng, dtype, ([150, 70], 3, 4, 2, 72, 128))
    results = set()
    for order, poison in (("fifo", 0xFF), ("fifo", 0x7E), ("lifo", 0xFF), ("3", 0x7E), ("4", 0xFF)):
        with emulated(80, order, poison) as device:
            device.reset_stats()
            results.add(attend(cache, causal=True).tobytes())
            stats = device.stats()
        assert (stats["matrix_phases"] > 0) == (dtype == ml_dtypes.bfloat16)
        assert stats["matrix_replays"] == 0, "loads of fragments meet in a bank"
    assert len(results) == 1
