"""int8 weights: exact integers at every level, floats within the 2x rule, one clear error."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainformer import _cpu, kernels, runtime
from plainformer.errors import ConfigError, DeviceError, DTypeError, ShapeError
from plainformer.kernels.int8 import MOST_EXACT_TERMS
from tests import reference
from tests.accuracy import assert_2x

FLOATS = [np.dtype(np.float32), np.dtype(ml_dtypes.bfloat16)]
LEVELS = runtime.available_levels()
THREADS = [1, 2, 3, 7]

# (rows, out, in, group). A tile has 6 rows, a block 96; a panel 8, 16 or 64 columns, a unit 2 or 4
# along K; from 24 rows a panel is widened beforehand where registers are few.
CASES = [
    (1, 1, 1, None), (3, 17, 5, None), (7, 130, 129, None), (2, 200, 64, 32), (24, 65, 31, 4),
    (97, 70, 300, 128), (200, 33, 100, 64), (5, 9, 0, None), (0, 9, 8, None), (4, 0, 8, 4),
]  # fmt: skip


@pytest.fixture(params=LEVELS)
def isa(request):
    with runtime.use_level(request.param):
        yield request.param


@pytest.fixture(params=FLOATS, ids=str)
def kind(request):
    return request.param


def make(rng, dtype, rows, out, width, group):
    x = (rng.standard_normal((rows, width)) * rng.uniform(0.1, 9, (rows, 1))).astype(dtype)
    weight = rng.standard_normal((out, width)).astype(dtype)
    values, scale = kernels.quantize_weight(weight, group)
    return x, values, scale, rng.standard_normal(out).astype(dtype)


def quantized_rows(x):
    """(u, step, zero) of each row, as csrc/cpu/int8.h has it, in float32."""
    x = x.astype(np.float32)
    least, most = np.minimum(x.min(1, initial=0), 0), np.maximum(x.max(1, initial=0), 0)
    step = most / np.float32(255) - least / np.float32(255)
    with np.errstate(all="ignore"):
        inverse = np.float32(1) / step
        zero = np.rint(-least * inverse)
        u = np.clip(np.rint(x * inverse[:, None]) + zero[:, None], 0, 255)
    fine = np.isfinite(x).all(1) & (step >= np.float32(2.0**-120))
    step = np.where(np.isfinite(x).all(1), np.where(fine, step, 0), np.nan).astype(np.float32)
    u, zero = np.where(fine[:, None], u, 0), np.where(fine, zero, 0)
    return u.astype(np.int64), step, zero.astype(np.int64)


def exact(x, values, scale, bias, group):
    """What the dynamic form computes, number by number: integers, then float32 in one order."""
    u, step, zero = quantized_rows(x)
    group = group or max(values.shape[1], 1)
    total = np.zeros((len(x), len(values)), np.float32)
    for g in range(scale.shape[1]):
        part = slice(g * group, (g + 1) * group)
        sums = (u[:, part] - zero[:, None]) @ values[:, part].T.astype(np.int64)
        assert np.abs(sums).max(initial=0) < 2**31
        product = sums.astype(np.int32).astype(np.float32) * scale[:, g].astype(np.float32)
        total = product if g == 0 else total + product
    return (total * step[:, None] + bias.astype(np.float32)).astype(x.dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_dynamic_gives_the_same_integers_everywhere(isa, kind, rng, case):
    *_, group = case
    x, values, scale, bias = make(rng, kind, *case)
    packed = kernels.pack_int8(values, scale, group)
    for threads in THREADS:
        with runtime.num_threads(threads):
            y = kernels.linear_int8(x, packed, bias, dynamic=True)
        assert y.dtype == kind
        np.testing.assert_array_equal(y, exact(x, values, scale, bias, group))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weight_only_errs_by_at_most_twice_the_plain_formulas(isa, kind, rng, case):
    *_, group = case
    x, values, scale, bias = make(rng, kind, *case)
    weight = kernels.dequantize_weight(values, scale.astype(np.float64), group)
    packed = kernels.pack_int8(values, scale, group)
    for activation in (None, "gelu", "tanh"):
        y = kernels.linear_int8(x, packed, bias, activation=activation)
        exact_arguments = x.astype(np.float64), weight, bias.astype(np.float64)
        assert_2x(y, lambda *a, **o: reference.linear(*a, **o)[:1], *exact_arguments,
                  dtype=kind, activation=activation)  # fmt: skip


@pytest.mark.parametrize("dynamic", [False, True], ids=["weight-only", "dynamic"])
def test_a_row_has_the_same_bytes_whatever_is_beside_it(isa, kind, rng, dynamic):
    x, values, scale, bias = make(rng, kind, 199, 150, 130, 64)
    packed = kernels.pack_int8(values, scale, 64)
    whole = kernels.linear_int8(x, packed, bias, activation="silu", dynamic=dynamic)
    for rows in (1, 2, 5, 6, 7, 23, 24, 25, 96, 97):
        y = kernels.linear_int8(x[:rows], packed, bias, activation="silu", dynamic=dynamic)
        assert y.tobytes() == whole[:rows].tobytes(), f"{rows} rows"
    for threads in THREADS:
        with runtime.num_threads(threads):
            again = kernels.linear_int8(x, packed, bias, activation="silu", dynamic=dynamic)
        assert again.tobytes() == whole.tobytes(), f"{threads} threads"


def test_the_largest_numbers_do_not_saturate(isa):
    """255 and -127 everywhere: pairs of their products leave 16 bits."""
    x = np.full((7, 1000), 255, np.float32)
    values = np.full((70, 1000), -127, np.int8)
    packed = kernels.pack_int8(values, np.ones((70, 1), np.float32))
    assert (kernels.linear_int8(x, packed, dynamic=True) == -255 * 127 * 1000).all()
    lowest = kernels.pack_int8(np.full((70, 1000), -128, np.int8), np.ones((70, 1), np.float32))
    assert (kernels.linear_int8(x, lowest, dynamic=True) == -255 * 128 * 1000).all()


def test_the_longest_sum_is_exact_and_a_longer_one_is_refused(isa):
    x = np.full((2, MOST_EXACT_TERMS + 1), -255, np.float32)
    values = np.full((3, MOST_EXACT_TERMS + 1), -128, np.int8)
    scale = np.ones((3, 1), np.float32)
    longest = kernels.pack_int8(values[:, :-1], scale)
    y = kernels.linear_int8(x[:, :-1], longest, dynamic=True)
    assert (y == np.float32(255 * 128 * MOST_EXACT_TERMS)).all()
    longer = kernels.pack_int8(values, scale)
    with pytest.raises(ShapeError, match="weight: got groups of 65794, expected at most 65793"):
        kernels.linear_int8(x, longer, dynamic=True)
    assert np.isfinite(kernels.linear_int8(x, longer)).all()
    grouped = kernels.pack_int8(values, np.ones((3, 515), np.float32), 128)
    assert np.isfinite(kernels.linear_int8(x, grouped, dynamic=True)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("dynamic", [False, True], ids=["weight-only", "dynamic"])
def test_nan_and_infinities_stay_in_their_row(isa, kind, rng, bad, dynamic):
    x, values, scale, bias = make(rng, kind, 30, 70, 33, None)
    packed = kernels.pack_int8(values, scale)
    clean = kernels.linear_int8(x, packed, bias, dynamic=dynamic)
    x[5, 32] = bad
    y = kernels.linear_int8(x, packed, bias, dynamic=dynamic)
    assert not np.isfinite(y[5].astype(np.float64)).any()
    assert np.delete(y, 5, 0).tobytes() == np.delete(clean, 5, 0).tobytes()


def test_rows_of_any_size(isa, rng):
    """Rows of zeros, subnormal ones and those that reach the ends of float32."""
    x = rng.standard_normal((6, 40)).astype(np.float32)
    largest = np.finfo(np.float32).max
    x[1], x[2] = 0, x[2] * np.float32(1e-41)
    x[3, :2] = largest, -largest
    values, scale = kernels.quantize_weight(rng.standard_normal((20, 40)).astype(np.float32) / 40)
    bias = np.arange(20, dtype=np.float32)
    y = kernels.linear_int8(x, kernels.pack_int8(values, scale), bias, dynamic=True)
    assert (y[1:3] == bias).all()
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(y, exact(x, values, scale, bias, None))


def layouts(x):
    yield np.asfortranarray(x)
    yield np.repeat(x, 2, axis=-1)[..., ::2]
    yield np.repeat(x, 3, axis=0)[::3]
    yield x[::-1, ::-1].copy()[::-1, ::-1]


@pytest.mark.parametrize("dynamic", [False, True], ids=["weight-only", "dynamic"])
def test_any_strides(isa, kind, rng, dynamic):
    x, values, scale, bias = make(rng, kind, 11, 40, 70, 8)
    packed = kernels.pack_int8(values, scale, 8)
    expected = kernels.linear_int8(x, packed, bias, dynamic=dynamic)
    for other in layouts(values):
        again = kernels.pack_int8(other, scale, 8)
        assert kernels.linear_int8(x, again, bias, dynamic=dynamic).tobytes() == expected.tobytes()
    for other in layouts(x):
        y = kernels.linear_int8(other, packed, bias, dynamic=dynamic)
        assert y.tobytes() == expected.tobytes()
    turned = np.stack([x, x]).transpose(1, 0, 2)
    y = kernels.linear_int8(turned, packed, bias, dynamic=dynamic)
    assert y.shape == (11, 2, 40)
    assert y[:, 1].tobytes() == expected.tobytes()
    assert kernels.linear_int8(x[0], packed, bias, dynamic=dynamic).shape == (40,)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 110), st.integers(0, 150), st.integers(0, 300),
    st.sampled_from([None, 4, 12, 128]), st.sampled_from(FLOATS), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_any_shape(rows, out, width, group, dtype, seed):
    rng = np.random.default_rng(seed)
    x, values, scale, bias = make(rng, dtype, rows, out, width, group)
    results = set()
    for name in LEVELS:
        with runtime.use_level(name):
            packed = kernels.pack_int8(values, scale, group)
            results.add(kernels.linear_int8(x, packed, bias, dynamic=True).tobytes())
    assert results == {exact(x, values, scale, bias, group).tobytes()}


@pytest.mark.parametrize("group", [None, 4, 128])
def test_quantized_weights_are_within_half_a_step(kind, rng, group):
    weight = rng.standard_normal((9, 300)).astype(kind)
    weight[3] = 0
    values, scale = kernels.quantize_weight(weight, group)
    assert values.dtype == np.int8
    assert scale.dtype == kind
    assert scale.shape == (9, 1 if group is None else -(-300 // group))
    assert np.abs(values.astype(int)).max() == 127
    error = np.abs(kernels.dequantize_weight(values, scale, group).astype(np.float64)
                   - weight.astype(np.float64))  # fmt: skip
    steps = np.repeat(scale.astype(np.float64), group or 300, axis=1)[:, :300]
    room = 1.001 if kind == np.float32 else 2  # bfloat16: the scale is rounded, then the product
    assert (error <= room * steps / 2).all()


def test_what_was_quantized_is_quantized_to_the_same(rng):
    values, scale = kernels.quantize_weight(rng.standard_normal((9, 64)).astype(np.float32), 16)
    again, scale_again = kernels.quantize_weight(kernels.dequantize_weight(values, scale, 16), 16)
    assert (again == values).all()
    np.testing.assert_allclose(scale_again, scale, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float64], ids=str)
def test_the_largest_weights_stay_finite(dtype):
    """Their scale may be rounded up, and 127 of it be more than there is."""
    weight = np.full((2, 8), ml_dtypes.finfo(dtype).max, dtype)
    weight[1] = 1
    values, scale = kernels.quantize_weight(weight)
    again = kernels.dequantize_weight(values, scale).astype(np.float64)
    np.testing.assert_allclose(again / weight.astype(np.float64), 1, rtol=0.01)


def test_a_packed_weight_says_what_it_is_and_belongs_to_its_level(rng):
    values, scale = kernels.quantize_weight(rng.standard_normal((9, 64)).astype(np.float32), 16)
    packed = kernels.pack_int8(values, scale, 16)
    assert packed.shape == (9, 64)
    assert packed.group_size == 16
    assert packed.is_current
    assert packed.nbytes >= 9 * 64 + 2 * 4 * scale.size
    assert repr(packed) == f"Int8Weight(shape=(9, 64), group_size=16, level={packed.level})"
    with pytest.raises(TypeError):
        kernels.Int8Weight.__new__(kernels.Int8Weight)
    x = np.ones((1, 64), np.float32)
    other = next(name for name in LEVELS if name != packed.level)
    with runtime.use_level(other):
        assert not packed.is_current
        with pytest.raises(ConfigError, match=r"weight: was packed for level .*pack_int8"):
            kernels.linear_int8(x, packed)


def test_errors_name_the_argument(rng):
    weight = rng.standard_normal((5, 8)).astype(np.float32)
    values, scale = kernels.quantize_weight(weight)
    packed = kernels.pack_int8(values, scale)
    x, bias = np.ones((2, 8), np.float32), np.ones(5, np.float32)
    linear, quantize, pack = kernels.linear_int8, kernels.quantize_weight, kernels.pack_int8
    for call, error, message in (
        (lambda: linear(x.astype(np.float64), packed), DTypeError, "x: got dtype float64"),
        (lambda: linear(x, weight), DTypeError, "weight: got ndarray, expected what pack_int8"),
        (lambda: linear(x[:, :7], packed), ShapeError, r"x: got shape \(2, 7\)"),
        (lambda: linear(x, packed, bias[:4]), ShapeError, r"bias: got shape \(4,\)"),
        (lambda: linear(x, packed, bias.astype(np.float64)), DTypeError, "bias: got dtype float64"),
        (lambda: linear(x, packed, activation="sigmoid"), ConfigError, "activation: got 'sigmoid'"),
        (lambda: linear(x, packed, dynamic=1), DTypeError, "dynamic: got 1"),
        (lambda: quantize(weight[0]), ShapeError, r"weight: got shape \(8,\)"),
        (lambda: quantize(values), DTypeError, "weight: got dtype int8"),
        (lambda: quantize(weight, 6), ShapeError, "group_size: got 6, expected a multiple of 4"),
        (lambda: quantize(weight, 0), ShapeError, "group_size: got 0, expected at least 1"),
        (lambda: quantize(weight / 0), ConfigError, "weight: got NaN or infinite"),
        (lambda: pack(weight, scale), DTypeError, "values: got dtype float32, expected int8"),
        (lambda: pack(values, scale.astype(np.float64)), DTypeError, "scale: got dtype float64"),
        (lambda: pack(values, scale[:4]), ShapeError, r"scale: got shape \(4, 1\)"),
        (lambda: pack(values, scale, 4), ShapeError, r"scale: got shape \(5, 1\), .* \(5, 2\)"),
    ):
        with pytest.raises(error, match=message), np.errstate(all="ignore"):
            call()


def test_arrays_of_a_device_are_refused_in_one_sentence(monkeypatch):
    """No device is needed for that: any array of another kind will do."""
    from plainformer.kernels import int8

    monkeypatch.setattr(int8, "backend", lambda name, array: object())
    with pytest.raises(DeviceError, match="x: got an array on a device; int8 weights are for"):
        int8._check_host("x", np.ones(3))


def test_the_binding_refuses_what_it_cannot_read(rng):
    values, scale = kernels.quantize_weight(rng.standard_normal((5, 8)).astype(np.float32))
    packed = kernels.pack_int8(values, scale)
    x = np.ones((2, 8), np.float32)
    for number in (-1, 6, 99):
        assert _cpu.linear_int8(x, packed, None, number, False) is None
    assert _cpu.linear_int8(x, None, None, 0, False) is None
    assert _cpu.linear_int8(None, packed, None, 0, False) is None
    for group in (-4, 0, 2, 7, 1 << 40):
        assert _cpu.pack_int8(values, scale, group) is None
    assert _cpu.pack_int8(values, None, 8) is None
