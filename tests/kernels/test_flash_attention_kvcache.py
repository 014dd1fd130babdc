"""Attention to a cache of keys and values: accuracy, appending, independence of rows, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plainformer as pf
from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import flash_reference
from tests.accuracy import assert_2x
from tests.guarded import guarded

# Lengths of the rows, Sq, H, KV, D, Dv: chunks of 256 keys with one more or less, an empty row,
# groups whose queries fill a block of 8 rows and cross it, widths that are no whole register.
SHAPES = [
    ([1], 1, 1, 1, 1, 1),
    ([0, 255, 256, 257], 1, 4, 2, 64, 64),
    ([5, 600], 3, 6, 2, 33, 20),
    ([300, 17], 13, 2, 1, 80, 130),
    ([70, 3, 0], 2, 3, 3, 5, 7),
    ([20], 1, 40, 40, 16, 16),
    ([260], 1, 2, 1, 256, 256),
    ([], 1, 2, 2, 8, 8),
    ([4, 9], 0, 2, 2, 8, 8),
]
OPTIONS = {
    "full": {},
    "causal": {"causal": True},
    "window": {"causal": True, "window_size": (70, 0)},
    "all": {"window_size": (270, 1), "softcap": 2.0, "alibi_slopes": True, "attn_bias": True,
            "softmax_scale": 0.4},
}  # fmt: skip
decode = kernels.flash_attn_with_kvcache


class Cache:
    """Queries and caches; what lies beyond a row's keys is NaN."""

    def __init__(self, rng, dtype, shape, spare=5):
        lengths, self.Sq, self.H, self.KV, D, Dv = shape
        self.lengths = np.array(lengths, np.int32)
        B, capacity = len(lengths), max(lengths, default=0) + spare

        def make(*sizes):
            return rng.standard_normal(sizes).astype(dtype)

        self.q = make(B, self.Sq, self.H, D)
        self.k, self.v = make(B, capacity, self.KV, D), make(B, capacity, self.KV, Dv)
        for cache in (self.k, self.v):
            for row, n in zip(cache, lengths):
                row[n:] = np.nan

    def options(self, rng, name):
        options = dict(OPTIONS[name])
        if "alibi_slopes" in options:
            options["alibi_slopes"] = rng.random((len(self.q), self.H)).astype(np.float32)
        if "attn_bias" in options:
            keys = int(self.lengths.max(initial=0))
            bias = rng.standard_normal((1, self.H, self.Sq, keys)).astype(self.q.dtype)
            bias[rng.random(bias.shape) < 0.1] = -np.inf
            options["attn_bias"] = bias
        return options

    def attend(self, **options):
        return decode(self.q, self.k, self.v, cache_seqlens=self.lengths, **options)

    def check(self, y, options):
        rest = {n: x for n, x in options.items() if n not in ("attn_bias", "alibi_slopes")}
        words = {"window_size": "window", "softmax_scale": "scale"}
        assert_2x(
            y, flash_reference.cached_attention, self.q, self.k, self.v, options.get("attn_bias"),
            options.get("alibi_slopes"), self.lengths,
            **{words.get(n, n): x for n, x in rest.items()},
        )  # fmt: skip


def row(options, b, length):
    """The options of row b alone."""
    options = dict(options)
    if "alibi_slopes" in options:
        options["alibi_slopes"] = options["alibi_slopes"][b]
    if "attn_bias" in options:
        options["attn_bias"] = options["attn_bias"][..., :length]
    return options


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", OPTIONS)
def test_error_is_at_most_twice_the_plain_formulas(backend, dtype, rng, shape, name):
    cache = Cache(rng, dtype, shape)
    options = cache.options(rng, name)
    y = cache.attend(**options)
    assert y.dtype == dtype
    cache.check(y, options)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 600), max_size=3),
    st.tuples(st.integers(0, 9), st.integers(1, 3), st.integers(1, 3), st.integers(1, 70),
              st.integers(1, 70)),
    st.sampled_from(list(OPTIONS)),
    st.tuples(st.integers(-1, 600), st.integers(-1, 600)),
    st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_any_shape(lengths, sizes, name, window, dtype):
    Sq, KV, group, *widths = sizes
    rng = np.random.default_rng(7)
    cache = Cache(rng, np.dtype(dtype), (lengths, Sq, KV * group, KV, *widths))
    options = cache.options(rng, name) | {"window_size": window}
    cache.check(cache.attend(**options), options)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_row_alone_gives_the_bytes_it_gives_in_a_batch(backend, dtype, rng, name):
    cache = Cache(rng, dtype, ([5, 600, 256, 0], 3, 6, 2, 33, 20))
    options = cache.options(rng, name)
    y = cache.attend(**options)
    for b, n in enumerate(cache.lengths):
        one = slice(b, b + 1)
        alone = decode(
            cache.q[one], cache.k[one, :n], cache.v[one, :n], cache_seqlens=cache.lengths[one],
            **row(options, b, n),
        )  # fmt: skip
        assert alone.tobytes() == y[one].tobytes()


def test_a_query_alone_gives_the_bytes_it_gives_among_others(backend, dtype, rng):
    """Beams of one source are queries side by side."""
    cache = Cache(rng, dtype, ([300, 40], 5, 4, 2, 64, 64))
    y = cache.attend()
    for i in range(5):
        alone = decode(cache.q[:, i : i + 1], cache.k, cache.v, cache_seqlens=cache.lengths)
        assert alone.tobytes() == y[:, i : i + 1].tobytes()


# ---- the cache ----------------------------------------------------------------------------------


def test_new_keys_and_values_are_appended_and_seen(backend, dtype, rng):
    cache = Cache(rng, dtype, ([0, 255, 300], 2, 4, 2, 24, 40))
    k, v = (rng.standard_normal((3, 2, 2, w)).astype(dtype) for w in (24, 40))
    before = [x.copy() for x in (cache.k, cache.v)]
    y = decode(cache.q, cache.k, cache.v, k, v, cache_seqlens=cache.lengths, causal=True)
    for old, new, added in zip(before, (cache.k, cache.v), (k, v)):
        for b, n in enumerate(cache.lengths):
            old[b, n : n + 2] = added[b]
        assert old.tobytes() == new.tobytes()
    cache.lengths += 2
    assert cache.attend(causal=True).tobytes() == y.tobytes()


def test_steps_of_one_token_are_one_step_of_many(backend, dtype, rng):
    cache = Cache(rng, dtype, ([253, 0], 6, 4, 2, 32, 32), spare=6)
    k, v = (rng.standard_normal((2, 6, 2, 32)).astype(dtype) for _ in range(2))
    steps = []
    for i in range(6):
        one = slice(i, i + 1)
        steps.append(decode(cache.q[:, one], cache.k, cache.v, k[:, one], v[:, one],
                            cache_seqlens=cache.lengths + np.int32(i), causal=True))  # fmt: skip
    cache.lengths += 6
    assert np.concatenate(steps, axis=1).tobytes() == cache.attend(causal=True).tobytes()


def test_a_bias_may_be_as_wide_as_the_cache(backend, dtype, rng):
    cache = Cache(rng, dtype, ([30, 40], 2, 2, 1, 16, 16))
    bias = rng.standard_normal((2, 2, 2, 45)).astype(dtype)
    y = cache.attend(attn_bias=bias)
    bias[..., 40:] = np.nan
    assert cache.attend(attn_bias=bias).tobytes() == y.tobytes()
    assert cache.attend(attn_bias=bias[..., :40]).tobytes() == y.tobytes()
    nothing = np.zeros((2, 1, 1, 1), dtype)
    assert cache.attend(attn_bias=nothing).tobytes() == cache.attend().tobytes()


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["causal", "window", "bias"])
def test_keys_that_a_query_does_not_see_change_no_byte(backend, dtype, rng, poison, kind):
    """Of the queries 0 to 3 that stand at keys 296 to 299, the last alone sees key 299."""
    cache = Cache(rng, dtype, ([300], 4, 2, 1, 20, 70))
    options = {"causal": {"causal": True}, "window": {"window_size": (50, 0)},
               "bias": {"attn_bias": np.zeros((4, 300), dtype)}}[kind]  # fmt: skip
    if kind == "bias":
        options["attn_bias"][:3, 299] = -np.inf
    clean = cache.attend(**options)
    cache.k[0, 299], cache.v[0, 299] = poison, poison
    dirty = cache.attend(**options)
    assert dirty[:, :3].tobytes() == clean[:, :3].tobytes()
    assert not np.isfinite(dirty[:, 3].astype(float)).any()


# ---- memory and threads -------------------------------------------------------------------------


def test_any_strides_give_the_same_bytes(backend, dtype, rng):
    """Caches with heads outside, one cache for keys and values, copies of strided elements."""
    cache = Cache(rng, dtype, ([255, 300], 2, 4, 2, 24, 24))
    want = cache.attend().tobytes()
    both = np.stack([cache.k, cache.v], axis=2)
    cache.k, cache.v = both[:, :, 0], both[:, :, 1]
    before = kernels._arrays.copies
    assert cache.attend().tobytes() == want
    cache.k, cache.v = (x.swapaxes(1, 2).copy().swapaxes(1, 2) for x in (cache.k, cache.v))
    cache.lengths = np.repeat(cache.lengths, 2)[::2]
    for x in (cache.q, cache.k, cache.v, cache.lengths):
        x.flags.writeable = False
    assert cache.attend().tobytes() == want
    assert kernels._arrays.copies == before
    cache.k = np.repeat(cache.k, 2, axis=3)[..., ::2]
    assert cache.attend().tobytes() == want


@pytest.mark.parametrize("shape", SHAPES[1:7], ids=str)
def test_no_byte_beyond_the_arrays_is_touched(backend, dtype, rng, shape):
    cache = Cache(rng, dtype, shape, spare=0)
    options = cache.options(rng, "all")
    want = cache.attend(**options)
    for name in ("q", "k", "v", "lengths"):
        setattr(cache, name, guarded(getattr(cache, name)))
    options |= {n: guarded(options[n]) for n in ("alibi_slopes", "attn_bias")}
    assert cache.attend(**options).tobytes() == want.tobytes()


def test_bytes_do_not_depend_on_threads(level, dtype, rng):
    cache = Cache(rng, dtype, ([1500, 3, 700], 2, 8, 4, 64, 64))
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            results.add(cache.attend(causal=True).tobytes())
    assert len(results) == 1


# ---- errors -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
def test_bad_arguments_are_named():
    q, cache = np.zeros((2, 1, 4, 8), np.float32), np.zeros((2, 10, 2, 8), np.float32)
    k, n = np.zeros((2, 1, 2, 8), np.float32), np.array([3, 9], np.int32)
    read_only = cache.copy()
    read_only.flags.writeable = False
    v_cache = cache.copy()
    cases = [
        ((q[0], cache, v_cache), n, {}, ShapeError, r"q: got shape \(1, 4, 8\), expected four"),
        ((q, cache[:1], v_cache), n, {}, ShapeError, r"k_cache: got shape \(1, 10, 2, 8\), expec"),
        ((q, cache, v_cache[:, :9]), n, {}, ShapeError, r"v_cache: got shape \(2, 9, 2, 8\)"),
        ((q[:, :, :3], cache, v_cache), n, {}, ShapeError, "k_cache: got 2 heads, expected a div"),
        ((q, cache.astype(float), v_cache), n, {}, DTypeError, "k_cache: got dtype float64"),
        ((q, cache, v_cache), [3, 9], {}, DTypeError, "cache_seqlens: got builtins.list"),
        ((q, cache, v_cache), n.astype(int), {}, DTypeError, "cache_seqlens: got dtype int64"),
        ((q, cache, v_cache), n[:1], {}, ShapeError, r"cache_seqlens: got shape \(1,\), expected"),
        ((q, cache, v_cache), -n, {}, ShapeError, "cache_seqlens: got -3 at 0, expected 0 to 10"),
        ((q, cache, v_cache), n + np.int32(2), {}, ShapeError, "cache_seqlens: got 11 at 1"),
        ((q, cache, v_cache, k, k.copy()), n + np.int32(1), {}, ShapeError,
         "cache_seqlens: got 10 at 1, expected 0 to 9.* with 1 more to append"),
        ((q, cache, v_cache, k), n, {}, ConfigError, "v: got None with k given, expected both"),
        ((q, cache, v_cache, None, k), n, {}, ConfigError, "k: got None with v given"),
        ((q, cache, v_cache, k[:, :, :1], k), n, {}, ShapeError, r"k: got shape \(2, 1, 1, 8\)"),
        ((q, cache, v_cache, k, k[..., :4]), n, {}, ShapeError, r"v: got shape \(2, 1, 2, 4\)"),
        ((q, cache, v_cache, k, k.astype(float)), n, {}, DTypeError, "v: got dtype float64"),
        ((q, read_only, v_cache, k, k), n, {}, ConfigError, "k_cache: got a read-only array"),
        ((q, cache, v_cache, cache[:, :1], k), n, {}, ConfigError, "k_cache: shares memory with k"),
        ((q, np.repeat(cache, 2, axis=3)[..., ::2], v_cache, k, k), n, {}, ShapeError,
         "k_cache: got strides"),
        ((q, cache, v_cache), n, {"attn_bias": np.zeros(8, np.float32)}, ShapeError,
         r"attn_bias: got shape \(8,\), expected a last axis of 1 or from 9, .* to 10"),
        ((q, cache, v_cache), n, {"attn_bias": np.zeros((3, 1, 9), np.float32)}, ShapeError,
         r"attn_bias: got shape \(3, 1, 9\), expected one that broadcasts to \(2, 4, 1, 9\)"),
        ((q, cache, v_cache), n, {"alibi_slopes": np.zeros(2, np.float32)}, ShapeError,
         r"alibi_slopes: got shape \(2,\)"),
        ((q, cache, v_cache), n, {"window_size": None}, DTypeError, "window_size: got None"),
        ((q, cache, v_cache), n, {"softcap": -1}, ConfigError, "softcap: got -1"),
    ]  # fmt: skip
    for arrays, lengths, options, error, message in cases:
        with pytest.raises(error, match=message):
            decode(*arrays, cache_seqlens=lengths, **options)
