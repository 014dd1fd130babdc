"""Attention of packed sequences, backward: accuracy, differences, independence, memory, errors."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plainformer as pf
from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import flash_reference, reference
from tests.accuracy import assert_2x
from tests.differences import numeric_gradient
from tests.guarded import guarded
from tests.kernels.flash_cases import CASES, OPTIONS, Packed, part


def check(packed, grads, options, keep=None, bias_grad=False, least_scale=0.0):
    arguments, rest = packed.reference_arguments(options)
    assert_2x(
        grads, flash_reference.varlen_attention_backward, packed.grad, packed.q, packed.k, packed.v,
        *arguments, **rest, keep=keep, bias_grad=bias_grad, factor=3,
        least_scale=least_scale,
    )  # fmt: skip


@pytest.mark.parametrize(("batch", "name"), CASES)
def test_error_is_at_most_three_times_the_plain_formulas(backend, dtype, rng, batch, name):
    packed = Packed(rng, dtype, batch)
    options = packed.options(rng, name)
    bias_grad = "attn_bias" in options
    grads = packed.backward(**options, bias_grad=bias_grad)
    assert all(g.dtype == dtype for g in grads)
    check(packed, grads, options, bias_grad=bias_grad)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 110), st.integers(0, 210)), max_size=3),
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(list(OPTIONS)),
    st.tuples(st.integers(-1, 200), st.integers(-1, 200)),
    st.sampled_from([np.float32, np.float64]),
)
def test_any_shape(lengths, sizes, name, window, dtype):
    rng = np.random.default_rng(7)
    KV, group, *widths = sizes
    packed = Packed(rng, np.dtype(dtype), (lengths, KV * group, KV, *widths))
    options = packed.options(rng, name) | {"window_size": window}
    # Where each query sees one key, dQ and dK are 0: the dot products that cancel are of this size.
    sizes = [float(np.abs(x).max(initial=0.0)) for x in (packed.grad, packed.v, packed.k)]
    check(packed, packed.backward(**options), options, least_scale=0.1 * float(np.prod(sizes)))


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_are_the_slopes_of_the_forward(rng, name):
    packed = Packed(rng, np.dtype(np.float64), ([(9, 11), (4, 2), (0, 3)], 4, 2, 5, 6))
    options = packed.options(rng, name) | {"dropout_p": 0.3, "seed": 5}
    arrays = [packed.q, packed.k, packed.v]
    if "attn_bias" in options:
        options["attn_bias"][np.isinf(options["attn_bias"])] = -1e30  # a step away is hidden too
        arrays.append(options["attn_bias"])
    grads = packed.backward(**options, bias_grad=len(arrays) == 4)

    def value():
        return float((packed.forward(**options) * packed.grad).sum())

    for array, grad in zip(arrays, grads):
        picks = rng.choice(array.size, 12, replace=False)
        want = numeric_gradient(value, array, picks)
        np.testing.assert_allclose(grad.reshape(-1)[picks], want, rtol=1e-6, atol=1e-8)


def test_dropout_is_the_forward_s(backend, dtype, rng):
    packed = Packed(rng, dtype, "crossed")
    grads = packed.backward(dropout_p=0.3, seed=12345678901, offset=3)
    check(packed, grads, {}, keep=packed.keep(0.3, 12345678901, 3))


def bias_of(rng, packed, axes):
    sizes = dict(zip("SHQK1", (5, 3, *packed.longest, 1)))
    return rng.standard_normal(tuple(sizes[a] for a in axes)).astype(packed.q.dtype)


@pytest.mark.parametrize("axes", ["111K", "S1QK", "HQK", "K"])
def test_the_bias_gets_the_sum_over_its_broadcast_axes(backend, dtype, rng, axes):
    packed = Packed(rng, dtype, "crossed")
    options = {"attn_bias": bias_of(rng, packed, axes)}
    grads = packed.backward(**options, bias_grad=True)
    assert grads[3].shape == options["attn_bias"].shape
    check(packed, grads, options, bias_grad=True)


@pytest.mark.parametrize("axes", ["1111", "S111", "1H11", "11Q1"])
def test_the_gradient_of_a_bias_for_all_keys_cancels(backend, dtype, rng, axes):
    """What is added to a whole row changes no probability; errors are judged by the terms."""
    packed = Packed(rng, dtype, "crossed")
    bias = bias_of(rng, packed, axes)
    *_, dbias = packed.backward(attn_bias=bias, bias_grad=True)
    assert dbias.shape == bias.shape
    whole = np.broadcast_to(bias.astype(np.float64), (5, 3, *packed.longest)).copy()
    arrays = (x.astype(np.float64) for x in (packed.grad, packed.q, packed.k, packed.v))
    *_, terms = flash_reference.varlen_attention_backward(
        *arrays, whole, None, packed.starts_q, packed.starts_k, bias_grad=True
    )
    size = reference.unbroadcast(np.abs(terms), bias.shape)
    assert (np.abs(dbias.astype(np.float64)) <= 8 * ml_dtypes.finfo(dtype).eps * size).all()


# ---- one kernel ---------------------------------------------------------------------------------

# Few heads and many keys: each is split in parts, also where other sequences fill the tasks.
SPLIT = ([(420, 420), (5, 5), (64, 64)], 2, 1, 32, 32)


@pytest.mark.parametrize("batch", ["crossed", SPLIT], ids=["crossed", "split"])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_sequence_alone_gives_the_bytes_it_gives_in_a_batch(backend, dtype, rng, batch, name):
    packed = Packed(rng, dtype, batch)
    options = packed.options(rng, name)
    grads = packed.backward(**options)
    for b, lengths in enumerate(packed.lengths):
        rows, keys = packed.sequence(b)
        q, grad = packed.q[None, rows], packed.grad[None, rows]
        k, v = packed.k[None, keys], packed.v[None, keys]
        alone = part(options, b, lengths)
        y, lse = kernels.flash_attn_func(q, k, v, **alone, return_lse=True)
        dense = kernels.flash_attn_backward(grad, q, k, v, y, lse, **alone)
        for one, whole, at in zip(dense, grads, (rows, keys, keys)):
            assert one.tobytes() == whole[at].tobytes()


def test_it_is_scaled_dot_product_attention(backend, dtype, rng):
    q, k, v, grad = (rng.standard_normal((2, 75, 4, 24)).astype(dtype) for _ in range(4))
    bias = rng.standard_normal((75, 75)).astype(dtype)
    y, lse = kernels.flash_attn_func(q, k, v, causal=True, attn_bias=bias, return_lse=True)
    grads = kernels.flash_attn_backward(
        grad, q, k, v, y, lse, causal=True, attn_bias=bias, bias_grad=True
    )
    want = kernels.scaled_dot_product_attention_backward(
        grad, q, k, v, y, lse, bias, is_causal=True, layout="blhd", mask_grad=True
    )
    assert [g.tobytes() for g in grads] == [g.tobytes() for g in want]


# ---- what is not seen ---------------------------------------------------------------------------


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_another_sequence_changes_no_byte(backend, dtype, rng, poison):
    packed = Packed(rng, dtype, "ragged")
    clean = packed.backward(causal=True)
    rows, keys = packed.sequence(2)
    for x, at in ((packed.q, rows), (packed.k, keys), (packed.v, keys), (packed.grad, rows)):
        x[at] = poison
    dirty = packed.backward(causal=True)
    others = np.ones(len(packed.q), bool)
    others[rows] = False
    for a, b in zip(clean, dirty):
        assert a[others].tobytes() == b[others].tobytes()


def test_keys_outside_the_window_change_no_byte(backend, dtype, rng):
    """Rows 131 and up of 200 see none of keys 0 to 100 through a window of (30, 10)."""
    packed = Packed(rng, dtype, ([(200, 200)], 2, 1, 20, 70))
    packed.grad[:131] = 0
    options = {"window_size": (30, 10), "softcap": 2.0}
    clean = packed.backward(**options)
    packed.k[:101], packed.v[:101] = np.nan, np.nan
    dirty = packed.backward(**options)
    assert dirty[0][131:].tobytes() == clean[0][131:].tobytes()
    for a, b in zip(clean[1:], dirty[1:]):  # keys that only rows 131 and up see
        assert a[141:].tobytes() == b[141:].tobytes()


def test_rows_that_see_nothing_get_and_give_nothing(backend, dtype, rng):
    packed = Packed(rng, dtype, ([(100, 40), (5, 0)], 2, 1, 16, 16))
    dq, dk, dv = packed.backward(causal=True)  # rows 0 to 59 come before the first key
    assert (dq[:60] == 0).all()
    assert (dq[100:] == 0).all()
    packed.q[:60], packed.grad[:60], packed.grad[100:] = 9, 9, 9
    again = packed.backward(causal=True)
    assert [g.tobytes() for g in again] == [g.tobytes() for g in (dq, dk, dv)]


# ---- memory and threads -------------------------------------------------------------------------


def test_gradients_go_where_out_says(backend, dtype, rng):
    """Views of one packed projection are read and written in place."""
    packed = Packed(rng, dtype, "ragged")
    packed.k, packed.v = packed.q.copy(), packed.q.copy()
    want = packed.backward()
    whole = np.full((len(packed.q), 3, 4, 70), 7, dtype)
    views = tuple(whole[:, i, :, 2:66] for i in range(3))
    qkv = np.stack([packed.q, packed.k, packed.v], axis=1)
    packed.q, packed.k, packed.v = (qkv[:, i] for i in range(3))
    before = kernels._arrays.copies
    got = packed.backward(out=views)
    assert kernels._arrays.copies == before
    assert all(a is b for a, b in zip(got, views))
    assert [g.tobytes() for g in got] == [g.tobytes() for g in want]
    assert (whole[..., :2] == 7).all()
    assert (whole[..., 66:] == 7).all()


@pytest.mark.cpu("on a GPU strides that 16-byte loads do not fit take another path")
def test_any_strides_give_the_same_bytes(backend, dtype, rng):
    packed = Packed(rng, dtype, "ragged")
    want = [g.tobytes() for g in packed.backward()]
    packed.q = np.repeat(packed.q, 2, axis=2)[:, :, ::2]
    packed.k, packed.v = packed.k[::-1].copy()[::-1], np.asfortranarray(packed.v)
    packed.grad = np.repeat(packed.grad, 2, axis=1)[:, ::2]
    for x in (packed.q, packed.k, packed.v, packed.grad):
        x.flags.writeable = False
    assert [g.tobytes() for g in packed.backward()] == want


def test_no_byte_beyond_the_arrays_is_touched(backend, dtype, rng):
    packed = Packed(rng, dtype, "crossed")
    options = packed.options(rng, "all")
    want = packed.backward(**options)
    for name in ("q", "k", "v", "grad"):
        setattr(packed, name, guarded(getattr(packed, name)))
    options |= {n: guarded(options[n]) for n in ("alibi_slopes", "attn_bias")}
    out = tuple(guarded(np.empty(g.shape, dtype)) for g in want)
    packed.backward(**options, out=out)
    assert [g.tobytes() for g in out] == [g.tobytes() for g in want]


MANY = [(n, n) for n in (8, 128, 31, 64, 0, 77) * 3]


@pytest.mark.parametrize("lengths", [SPLIT[0], MANY], ids=["split", "many"])
def test_bytes_do_not_depend_on_threads(level, dtype, rng, lengths):
    packed = Packed(rng, dtype, (lengths, 4, 2, 32, 32))
    longest = packed.longest[0]
    bias = rng.standard_normal((1, 4, longest, longest)).astype(dtype)
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            grads = packed.backward(causal=True, attn_bias=bias, bias_grad=True)
            results.add(b"".join(g.tobytes() for g in grads))
    assert len(results) == 1


# ---- errors -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
def test_bad_arguments_are_named():
    x, lse = np.zeros((6, 4, 8), np.float32), np.zeros((4, 6), np.float32)
    starts = np.array([0, 2, 6], np.int32)
    cases = [
        ((x[..., :4], x, x, x, x, lse), {}, ShapeError, r"grad_output: got shape \(6, 4, 4\)"),
        ((x, x, x, x, x[:5], lse), {}, ShapeError, r"output: got shape \(5, 4, 8\)"),
        ((x, x, x, x, x, lse.T), {}, ShapeError, r"lse: got shape \(6, 4\), expected \(4, 6\)"),
        ((x, x, x, x, x, lse.astype(float)), {}, DTypeError, "lse: got dtype float64"),
        ((x.astype(float), x, x, x, x, lse), {}, DTypeError, "grad_output: got dtype float64"),
        ((x, x, x, x, x, lse), {"bias_grad": True}, ConfigError, "bias_grad: got True with"),
        ((x, x, x, x, x, lse), {"out": (x, x.copy(), x.copy())}, ConfigError, r"out\[0\]: shares"),
        ((x, x, x, x, x, lse), {"out": 5}, DTypeError, r"out: got 5, expected \(dq, dk, dv\)"),
        ((x, x, x, x, x, lse), {"out": (x.copy(),)}, ShapeError, r"out: got 1 arrays, expec"),
        ((x, x, x, x, x, lse), {"dropout_p": 0.1}, ConfigError, "seed: got None"),
    ]  # fmt: skip
    for arrays, options, error, message in cases:
        with pytest.raises(error, match=message):
            kernels.flash_attn_varlen_backward(*arrays, starts, starts, 4, 4, **options)
    long = np.array([0, 2, 7], np.int32)
    with pytest.raises(ShapeError, match="cu_seqlens_k: got 7 last"):
        kernels.flash_attn_varlen_backward(x, x, x, x, x, lse, starts, long, 4, 5)
