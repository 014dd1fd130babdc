"""Attention of packed sequences, forward: accuracy, equality with the dense form, errors.

The backward is in test_flash_attention_backward.py; what both forms share with
scaled_dot_product_attention is tested there.
"""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plainformer as pf
from plainformer import _cpu, kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import flash_reference
from tests.accuracy import assert_2x, truth
from tests.guarded import guarded
from tests.kernels.flash_cases import CASES, OPTIONS, Packed, part


def check(packed, y, lse, options, keep=None):
    """Assert the 2x rule for y and 1e-5 for lse."""
    arguments, rest = packed.reference_arguments(options)

    def output(*arrays, **more):
        return flash_reference.varlen_attention(*arrays, **rest, **more)

    arrays = (packed.q, packed.k, packed.v, *arguments)
    assert_2x(y, lambda *a, **more: output(*a, **more)[0], *arrays, keep=keep)
    want = truth(output, *arrays, keep=keep)[1]
    finite = np.isfinite(want)
    assert (lse[~finite] == want[~finite]).all()
    bound = 1e-5 * np.maximum(1, np.abs(want[finite]))
    assert (np.abs(lse[finite] - want[finite]) <= bound).all()


@pytest.mark.parametrize(("batch", "name"), CASES)
def test_error_is_at_most_twice_the_plain_formulas(backend, dtype, rng, batch, name):
    packed = Packed(rng, dtype, batch)
    options = packed.options(rng, name)
    y, lse = packed.forward(**options, return_lse=True)
    assert y.dtype == dtype
    assert lse.dtype == (np.float64 if dtype == np.float64 else np.float32)
    check(packed, y, lse, options)


def test_large_scores_do_not_overflow(backend, dtype, rng):
    packed = Packed(rng, dtype, "ragged", factor=5.0)
    for name in ("causal", "softcap"):
        y, lse = packed.forward(**OPTIONS[name], return_lse=True)
        check(packed, y, lse, OPTIONS[name])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 300)), max_size=4),
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from(list(OPTIONS)),
    st.tuples(st.integers(-1, 300), st.integers(-1, 300)),
    st.sampled_from([np.float32, np.float64]),
)
def test_any_shape(lengths, sizes, name, window, dtype):
    rng = np.random.default_rng(7)
    KV, group, *widths = sizes
    packed = Packed(rng, np.dtype(dtype), (lengths, KV * group, KV, *widths))
    options = packed.options(rng, name) | {"window_size": window}
    y, lse = packed.forward(**options, return_lse=True)
    check(packed, y, lse, options)


# ---- one kernel ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_a_sequence_alone_gives_the_bytes_it_gives_in_a_batch(backend, dtype, rng, name):
    packed = Packed(rng, dtype, "crossed")
    options = packed.options(rng, name)
    y, lse = packed.forward(**options, return_lse=True)
    for b, lengths in enumerate(packed.lengths):
        rows, keys = packed.sequence(b)
        arrays = packed.q[None, rows], packed.k[None, keys], packed.v[None, keys]
        alone = kernels.flash_attn_func(*arrays, **part(options, b, lengths), return_lse=True)
        assert alone[0].tobytes() == y[rows].tobytes()
        assert alone[1].tobytes() == lse[:, rows].tobytes()


def test_it_is_scaled_dot_product_attention(backend, dtype, rng):
    q, k, v = (rng.standard_normal((2, 75, 4, 24)).astype(dtype) for _ in range(3))
    y, lse = kernels.flash_attn_func(q, k, v, causal=True, return_lse=True)
    want = kernels.scaled_dot_product_attention(
        q, k, v, is_causal=True, layout="blhd", return_lse=True
    )
    assert (y.tobytes(), lse.tobytes()) == (want[0].tobytes(), want[1].tobytes())


def test_causal_is_bottom_right(backend, dtype):
    """The last row sees the last key, whichever of the lengths is larger (flash-attention >= 2.1);
    rows that see none are 0."""
    for Lq, Lk in ((2, 5), (5, 2)):
        q, k = np.zeros((Lq, 1, 1), dtype), np.zeros((Lk, 1, 1), dtype)
        starts = (np.array([0, n], np.int32) for n in (Lq, Lk))
        v = np.eye(Lk, dtype=dtype)[:, None]
        y, lse = kernels.flash_attn_varlen_func(
            q, k, v, *starts, Lq, Lk, causal=True, return_lse=True
        )
        seen = np.tri(Lq, Lk, Lk - Lq)
        count = seen.sum(axis=1, keepdims=True)
        want = (seen / np.maximum(count, 1)).astype(dtype)
        np.testing.assert_allclose(y[:, 0].astype(float), want.astype(float), rtol=1e-6)
        assert (np.isneginf(lse[0]) == (count[:, 0] == 0)).all()


def test_dropout_is_that_of_the_counters(backend, dtype, rng):
    packed = Packed(rng, dtype, "crossed")
    options = {"dropout_p": 0.3, "seed": 12345678901, "offset": 3}
    y, lse = packed.forward(**options, return_lse=True)
    check(packed, y, lse, {}, keep=packed.keep(0.3, 12345678901, 3))


@pytest.mark.parametrize("axes", ["1111", "S111", "1H11", "11Q1", "111K", "S1QK", "HQK", "K"])
def test_a_bias_broadcasts_without_being_expanded(backend, dtype, rng, axes):
    packed = Packed(rng, dtype, "crossed")
    sizes = dict(zip("SHQK1", (5, 3, *packed.longest, 1)))
    bias = rng.standard_normal(tuple(sizes[a] for a in axes)).astype(dtype)
    whole = np.ascontiguousarray(np.broadcast_to(bias, (5, 3, *packed.longest)))
    want = packed.forward(attn_bias=whole).tobytes()
    assert packed.forward(attn_bias=bias).tobytes() == want
    assert packed.forward(attn_bias=np.broadcast_to(bias, whole.shape)).tobytes() == want
    assert packed.forward(attn_bias=np.asfortranarray(whole)).tobytes() == want


def test_slopes_a_head_are_slopes_a_sequence_and_head(backend, dtype, rng):
    packed = Packed(rng, dtype, "ragged")
    slopes = rng.random(8).astype(np.float32)[::2]
    whole = np.repeat(slopes[None], 5, axis=0)
    want = packed.forward(alibi_slopes=whole)
    assert packed.forward(alibi_slopes=slopes).tobytes() == want.tobytes()
    assert packed.forward().tobytes() != want.tobytes()


# ---- what is not seen ---------------------------------------------------------------------------


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_another_sequence_changes_no_byte(backend, dtype, rng, poison):
    packed = Packed(rng, dtype, "ragged")
    clean, lse = packed.forward(return_lse=True)
    rows, keys = packed.sequence(2)
    packed.q[rows], packed.k[keys], packed.v[keys] = poison, poison, poison
    dirty = packed.forward(return_lse=True)
    others = np.ones(len(clean), bool)
    others[rows] = False
    assert dirty[0][others].tobytes() == clean[others].tobytes()
    assert dirty[1][:, others].tobytes() == lse[:, others].tobytes()


@pytest.mark.parametrize("poison", [np.nan, -np.inf])
@pytest.mark.parametrize("softcap", [0.0, 2.0])
def test_keys_outside_the_window_change_no_byte(backend, dtype, rng, poison, softcap):
    """Row i of 200 sees keys i - 30 to i + 10: none of rows 131 and up sees keys 0 to 100."""
    packed = Packed(rng, dtype, ([(200, 200)], 2, 1, 20, 70))
    options = {"window_size": (30, 10), "softcap": softcap, "return_lse": True}
    clean = packed.forward(**options)
    packed.k[:101], packed.v[:101] = poison, poison
    dirty = packed.forward(**options)
    assert dirty[0][131:].tobytes() == clean[0][131:].tobytes()
    assert dirty[1][:, 131:].tobytes() == clean[1][:, 131:].tobytes()
    assert not np.isfinite(dirty[0][:131].astype(float)).any(axis=(1, 2)).all()


def test_a_window_over_a_long_sequence_takes_little_memory():
    """Packed keys and values of the one head, no scores."""
    q = np.zeros((1, 32768, 1, 8), np.float32)
    pf.runtime.reset_peak_memory()
    before = pf.runtime.memory_stats()["live_bytes"]
    y = kernels.flash_attn_func(q, q, q, window_size=(64, 0))
    extra = pf.runtime.memory_stats()["peak_bytes"] - before - y.nbytes
    assert extra < 16 << 20


# ---- memory and threads -------------------------------------------------------------------------


def test_views_of_a_projection_are_read_in_place(backend, dtype, rng):
    packed = Packed(rng, dtype, "ragged")
    qkv = rng.standard_normal((packed.starts_q[-1], 3 * 4 * 64)).astype(dtype)
    packed.q, packed.k, packed.v = (qkv.reshape(-1, 3, 4, 64)[:, i] for i in range(3))
    before = kernels._arrays.copies
    y = packed.forward(causal=True)
    assert kernels._arrays.copies == before
    packed.q, packed.k, packed.v = (x.copy() for x in (packed.q, packed.k, packed.v))
    assert y.tobytes() == packed.forward(causal=True).tobytes()


@pytest.mark.cpu("on a GPU strides that 16-byte loads do not fit take another path")
def test_any_strides_give_the_same_bytes(backend, dtype, rng):
    packed = Packed(rng, dtype, "ragged")
    want = packed.forward().tobytes()
    packed.q = np.repeat(packed.q, 2, axis=2)[:, :, ::2]  # a strided last axis is copied
    packed.k = packed.k[::-1].copy()[::-1]
    packed.v = np.asfortranarray(packed.v)
    packed.starts_q = np.repeat(packed.starts_q, 2)[::2]
    for x in (packed.q, packed.k, packed.v, packed.starts_q):
        x.flags.writeable = False
    assert packed.forward().tobytes() == want


def test_out_is_written_in_place(backend, dtype, rng):
    packed = Packed(rng, dtype, "crossed")
    buffer = np.full((len(packed.q), 3, 50), 7, dtype)
    out = buffer[..., 3:43]
    assert packed.forward(out=out) is out
    assert out.tobytes() == packed.forward().tobytes()
    assert (buffer[..., :3] == 7).all()
    assert (buffer[..., 43:] == 7).all()


@pytest.mark.parametrize("batch", ["ragged", "crossed", "wide"])
def test_no_byte_beyond_the_arrays_is_touched(backend, dtype, rng, batch):
    packed = Packed(rng, dtype, batch)
    options = packed.options(rng, "all")
    want = packed.forward(**options)
    for name in ("q", "k", "v", "starts_q", "starts_k"):
        setattr(packed, name, guarded(getattr(packed, name)))
    options |= {n: guarded(options[n]) for n in ("alibi_slopes", "attn_bias")}
    out = guarded(np.empty(want.shape, dtype))
    packed.forward(**options, out=out)
    assert out.tobytes() == want.tobytes()


# Few heads that are shared out by blocks, one of them most of the work; many short ones.
MANY = [(n, n) for n in (8, 128, 31, 64, 0, 77, 15, 100) * 4]


@pytest.mark.parametrize("lengths", [[(9, 9), (900, 900), (30, 30)], MANY], ids=["few", "many"])
def test_bytes_do_not_depend_on_threads(level, dtype, rng, lengths):
    packed = Packed(rng, dtype, (lengths, 4, 2, 32, 32))
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            y, lse = packed.forward(causal=True, return_lse=True)
            results.add(y.tobytes() + lse.tobytes())
    assert len(results) == 1


# ---- errors -------------------------------------------------------------------------------------


def starts(*numbers, dtype=np.int32):
    return np.array(numbers, dtype)


X = np.zeros((6, 4, 8), np.float32)
GOOD = starts(0, 2, 6)
INT32_MAX = (1 << 31) - 1
SEQUENCE_ERRORS = [
    ((starts(1, 2, 6), GOOD, 4, 4), ShapeError, "cu_seqlens_q: got 1 first, expected 0"),
    ((GOOD, starts(0, 4, 2, 6), 4, 4), ShapeError, "cu_seqlens_k: got 2 after 4 at 2"),
    ((GOOD, starts(0, 2, 5), 4, 4), ShapeError, "cu_seqlens_k: got 5 last, expected .* rows, 6"),
    ((starts(0, 2, 7), GOOD, 5, 4), ShapeError, "cu_seqlens_q: got 7 last, expected"),
    ((starts(0, -2, 6), GOOD, 8, 4), ShapeError, "cu_seqlens_q: got -2 after 0 at 1"),
    (  # the differences, of 32 bits, are all positive
        (starts(0, INT32_MAX, -INT32_MAX - 1, -1, 6), GOOD, 1 << 31, 4),
        *(ShapeError, f"cu_seqlens_q: got {-INT32_MAX - 1} after {INT32_MAX} at 2"),
    ),
    ((GOOD, starts(0, 6), 4, 6), ShapeError, r"cu_seqlens_k: got shape \(2,\), expected \(3,\)"),
    ((starts(0, 2, 6, dtype=np.int64), GOOD, 4, 4), DTypeError, "cu_seqlens_q: got dtype int64"),
    (([0, 2, 6], GOOD, 4, 4), DTypeError, "cu_seqlens_q: got builtins.list, expected a NumPy"),
    ((GOOD[None], GOOD, 4, 4), ShapeError, r"cu_seqlens_q: got shape \(1, 3\), expected \(S"),
    ((starts(), GOOD, 4, 4), ShapeError, r"cu_seqlens_q: got shape \(0,\), expected \(S"),
    ((GOOD, GOOD, 3, 4), ShapeError, "max_seqlen_q: got 3, expected at least 4, the longest"),
    ((GOOD, GOOD, 4, 3), ShapeError, "max_seqlen_k: got 3, expected at least 4, the longest"),
    ((GOOD, GOOD, 4.0, 4), DTypeError, "max_seqlen_q: got 4.0, expected a whole number"),
    ((GOOD, GOOD, 4, -1), ShapeError, "max_seqlen_k: got -1, expected at least 0"),
]
OPTION_ERRORS = [
    ({"window_size": 3}, DTypeError, r"window_size: got 3, expected \(left, right\)"),
    ({"window_size": (1, 2, 3)}, DTypeError, "window_size: got"),
    ({"window_size": (-2, 0)}, ConfigError, r"window_size: got \(-2, 0\), expected -1"),
    ({"softcap": -1.0}, ConfigError, "softcap: got -1.0, expected a number from 0"),
    ({"softcap": np.inf}, ConfigError, "softcap: got inf"),
    ({"softmax_scale": np.nan}, ConfigError, "softmax_scale: got nan"),
    ({"dropout_p": 0.1}, ConfigError, "seed: got None, expected a whole number"),
    ({"dropout_p": 1.5, "seed": 1}, ConfigError, "dropout_p: got 1.5"),
    ({"alibi_slopes": np.zeros(3, np.float32)}, ShapeError,
     r"alibi_slopes: got shape \(3,\), expected one that broadcasts to \(2, 4\)"),
    ({"alibi_slopes": np.zeros(4)}, DTypeError, "alibi_slopes: got dtype float64"),
    ({"alibi_slopes": [0.5] * 4}, DTypeError, "alibi_slopes: got builtins.list"),
    ({"attn_bias": np.zeros((4, 3, 4), np.float32)}, ShapeError,
     r"attn_bias: got shape \(4, 3, 4\), expected one that broadcasts to \(2, 4, 4, 4\)"),
    ({"attn_bias": np.zeros((4, 4), bool)}, ConfigError, "attn_bias: got a bool mask"),
    ({"attn_bias": np.zeros((4, 4))}, DTypeError, "attn_bias: got dtype float64"),
    ({"out": np.zeros((6, 4, 7), np.float32)}, ShapeError, "out: got shape"),
    ({"out": X}, ConfigError, "out: shares memory with q"),
]  # fmt: skip
ARRAY_ERRORS = [
    ((X[0], X, X), ShapeError, r"q: got shape \(4, 8\), expected three axes \(total, H, D\)"),
    ((X, X[..., :4], X), ShapeError, r"k: got shape \(6, 4, 4\), expected \(6, 4, 8\)"),
    ((X, X, X[:5]), ShapeError, r"v: got shape \(5, 4, 8\), expected \(6, 4, 8\)"),
    ((X, X[:, :3], X[:, :3]), ShapeError, "k: got 3 heads, expected a divisor of q's 4"),
    (
        (X, X.astype(ml_dtypes.bfloat16), X),
        DTypeError,
        "k: got dtype bfloat16, expected float32 like q",
    ),
    ((None, X, X), DTypeError, "q: got builtins.NoneType, expected a NumPy array"),
    ((X[..., :0],) * 3, ShapeError, "q: got head width 0, expected 1 to 256"),
]


@pytest.mark.parametrize(("sequences", "error", "message"), SEQUENCE_ERRORS)
@pytest.mark.usefixtures("backend")
def test_bad_sequences_are_named(sequences, error, message):
    with pytest.raises(error, match=message):
        kernels.flash_attn_varlen_func(X, X, X, *sequences)


@pytest.mark.parametrize(("options", "error", "message"), OPTION_ERRORS)
@pytest.mark.usefixtures("backend")
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        kernels.flash_attn_varlen_func(X, X, X, GOOD, GOOD, 4, 4, **options)


@pytest.mark.parametrize(("arrays", "error", "message"), ARRAY_ERRORS)
@pytest.mark.usefixtures("backend")
def test_bad_arrays_are_named(arrays, error, message):
    with pytest.raises(error, match=message):
        kernels.flash_attn_varlen_func(*arrays, GOOD, GOOD, 4, 4)


def test_sequences_that_lie_are_refused_by_the_compiled_function_too():
    """It reads no row that is not there, whoever calls it."""
    options = kernels._attention.Options(
        kernels._attention.PACKED, True, 6, 6, 1.0, 0.0, -1, -1, True, 0.0, 0, 0
    )
    for bad in (starts(0, 7), starts(-1, 6), starts(0, 8, 6), starts(0, 5), starts()):
        for pair in ((bad, starts(0, 6)), (starts(0, 6), bad)):
            assert _cpu.attention(X, X, X, None, None, *pair, options, None, False) is None


def test_the_dense_form_names_its_axes():
    with pytest.raises(ShapeError, match=r"q: got shape \(6, 4, 8\), expected four axes \(B, L, H"):
        kernels.flash_attn_func(X, X, X)
    with pytest.raises(ShapeError, match=r"k: got shape \(2, 6, 4, 8\), expected \(1, 6, 4, 8\)"):
        kernels.flash_attn_func(X[None], np.stack([X, X]), np.stack([X, X]))
