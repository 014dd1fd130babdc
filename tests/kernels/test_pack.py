"""Packed weights: the bytes of plain ones, for every number of rows."""

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainformer import _cpu, kernels, runtime
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x
from tests.guarded import guarded

pytestmark = [pytest.mark.cpu("weights are packed for the CPU alone"), pytest.mark.amx]

# (out, in). A panel is 2 to 64 columns; runs of 64 steps and blocks of 1024 (bfloat16: 2 a step).
WEIGHTS = [(1, 1), (0, 3), (5, 0), (65, 17), (33, 129), (130, 64), (17, 2100)]
# Rows: none, one, a tile of 6, two narrow tiles of 8, several tiles, a block of 96 and one more.
ROWS = [0, 1, 5, 6, 7, 8, 9, 13, 96, 97]
THREADS = [1, 2, 3, 7]


def make(rng, dtype, rows, out, width):
    x = rng.standard_normal((rows, width)).astype(dtype)
    weight = (rng.standard_normal((out, width)) / np.sqrt(max(width, 1))).astype(dtype)
    return x, weight, rng.standard_normal(out).astype(dtype)


def layouts(weight):
    """The same values in other orders: stored (in, out), spread out, backwards, within more."""
    yield weight
    yield np.asfortranarray(weight)
    yield np.repeat(weight, 2, axis=1)[:, ::2]
    yield weight[::-1, ::-1].copy()[::-1, ::-1]
    wide = np.full((weight.shape[0], weight.shape[1] + 5), np.nan, weight.dtype)
    wide[:, 2:-3] = weight
    yield wide[:, 2:-3]


@pytest.mark.parametrize("shape", WEIGHTS, ids=str)
def test_every_number_of_rows_gets_the_bytes_of_the_plain_weight(backend, dtype, rng, shape):
    x, weight, bias = make(rng, dtype, max(ROWS), *shape)
    packed = kernels.pack_weight(backend(weight))
    plain = kernels.linear(backend(x), backend(weight), backend(bias), activation="gelu")
    for rows in ROWS:
        y = kernels.linear(backend(x[:rows]), packed, backend(bias), activation="gelu")
        assert y.shape == (rows, shape[0])
        assert y.tobytes() == plain[:rows].tobytes(), f"{rows} rows"


@pytest.mark.parametrize("shape", [(1, 65, 17), (8, 33, 40), (97, 70, 31)], ids=str)
@pytest.mark.parametrize("activation", [None, "relu", "gelu", "gelu_tanh", "silu", "tanh"])
def test_error_is_at_most_twice_the_plain_formulas(backend, dtype, rng, shape, activation):
    x, weight, bias = make(rng, dtype, *shape)
    y, z = kernels.linear(
        backend(x),
        kernels.pack_weight(backend(weight)),
        backend(bias),
        activation=activation,
        return_preactivation=True,
    )
    assert_2x((y, z), reference.linear, x, weight, bias, activation=activation)


@pytest.mark.parametrize("shape", [(40, 34), (130, 33), (70, 300)], ids=str)
def test_any_strides_pack_alike_and_in_place(backend, dtype, rng, shape):
    x, weight, _ = make(rng, dtype, 9, *shape)
    expected = kernels.linear(backend(x), backend(weight)).tobytes()
    copies = kernels._arrays.copies
    for other in layouts(weight):
        packed = kernels.pack_weight(backend(other))
        assert kernels.linear(backend(x), packed).tobytes() == expected
    for other in layouts(x):
        assert kernels.linear(backend(other), packed).tobytes() == expected
    assert kernels._arrays.copies == copies, "a strided array was copied"


def test_arrays_off_their_alignment_are_copied(backend, rng):
    x, weight, _ = make(rng, np.float32, 2, 5, 4)
    shifted = np.zeros(4 * weight.size + 1, np.uint8)[1:].view(np.float32).reshape(weight.shape)
    shifted[...] = weight
    y = kernels.linear(backend(x), kernels.pack_weight(backend(shifted)))
    assert y.tobytes() == kernels.linear(backend(x), backend(weight)).tobytes()


@pytest.mark.parametrize("cuts", [(), (64, 128), (0, 1, 17, 17, 100)], ids=str)
@pytest.mark.parametrize("stored", ["out_in", "in_out", "mixed"])
def test_weights_side_by_side_are_one(backend, dtype, rng, cuts, stored):
    x, weight, bias = make(rng, dtype, 9, 140, 35)
    parts = [part.copy() for part in np.split(weight, cuts)]
    if stored != "out_in":
        step = 1 if stored == "in_out" else 2
        parts[::step] = [np.asfortranarray(part) for part in parts[::step]]
    packed = kernels.pack_weight([backend(part) for part in parts])
    assert packed.shape == weight.shape
    y = kernels.linear(backend(x), packed, backend(bias))
    assert y.tobytes() == kernels.linear(backend(x), backend(weight), backend(bias)).tobytes()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 110),
    st.lists(st.integers(0, 90), min_size=1, max_size=3),
    st.integers(0, 300),
    st.sampled_from(["float32", "bfloat16"]),
    st.sampled_from(["C", "F"]),
    st.integers(0, 2**32 - 1),
)
def test_any_shape(rows, outs, width, dtype, order, seed):
    rng = np.random.default_rng(seed)
    x, weight, bias = make(rng, np.dtype(dtype), rows, sum(outs), width)
    parts = np.split(weight, np.cumsum(outs)[:-1])
    packed = kernels.pack_weight([np.array(part, order=order) for part in parts])
    y = kernels.linear(x, packed, bias, activation="silu")
    assert y.tobytes() == kernels.linear(x, weight, bias, activation="silu").tobytes()


@pytest.mark.parametrize("leading", [(), (1,), (2, 0, 3), (2, 3, 4)], ids=str)
def test_leading_axes_of_x(backend, dtype, rng, leading):
    x, weight, bias = make(rng, dtype, int(np.prod(leading)), 40, 6)
    packed = kernels.pack_weight(backend(weight))
    x = x.reshape(*leading, 6)
    y = kernels.linear(backend(x), packed, backend(bias))
    assert y.tobytes() == kernels.linear(backend(x), backend(weight), backend(bias)).tobytes()
    turned = x.reshape(-1, 1, 6).transpose(1, 0, 2)[..., ::-1]
    y = kernels.linear(backend(turned), packed, backend(bias))
    assert y.tobytes() == kernels.linear(backend(turned), backend(weight), backend(bias)).tobytes()


@pytest.mark.cpu("threads")
@pytest.mark.parametrize("shape", [(1, 700, 300), (8, 130, 2100), (200, 330, 70)], ids=str)
def test_bytes_do_not_depend_on_the_number_of_threads(backend, dtype, rng, shape):
    x, weight, _ = make(rng, dtype, *shape)
    results = set()
    for threads in THREADS:
        with runtime.num_threads(threads):
            for order in "CF":
                packed = kernels.pack_weight(backend(np.array(weight, order=order)))
                results.add(kernels.linear(backend(x), packed).tobytes())
    assert len(results) == 1


def test_columns_are_done_in_turn_where_panels_fill_the_cache(backend, rng):
    x, weight, _ = make(rng, np.float32, 97, 1100, 2200)  # 9.7 MB, more than is done at once
    packed = kernels.pack_weight(backend(weight))
    y = kernels.linear(backend(x), packed)
    assert y.tobytes() == kernels.linear(backend(x), backend(weight)).tobytes()


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 65, 7), (9, 19, 33), (97, 70, 35)], ids=str)
def test_nothing_is_read_past_an_array(backend, dtype, rng, shape):
    x, weight, bias = make(rng, dtype, *shape)
    expected = kernels.linear(backend(x), backend(weight), backend(bias)).tobytes()
    for stored in (guarded(weight), guarded(weight.T.copy()).T):
        packed = kernels.pack_weight(backend(stored))
        assert kernels.linear(guarded(x), packed, guarded(bias)).tobytes() == expected


def test_not_a_number_stays_in_its_column(backend, dtype, rng):
    x, weight, _ = make(rng, dtype, 7, 70, 31)
    clean = kernels.linear(backend(x), kernels.pack_weight(backend(weight)))
    weight[68, 30] = np.nan
    y = kernels.linear(backend(x), kernels.pack_weight(backend(weight))).astype(np.float64)
    assert np.isnan(y[:, 68]).all()
    kept = np.arange(70) != 68
    np.testing.assert_array_equal(y[:, kept], clean[:, kept].astype(np.float64))


def test_a_pack_is_a_copy_that_says_what_it_is(backend, dtype, level, rng):
    x, weight, _ = make(rng, dtype, 3, 65, 33)
    packed = kernels.pack_weight(backend(weight))
    before = kernels.linear(backend(x), packed).tobytes()
    weight[...] = 0
    assert kernels.linear(backend(x), packed).tobytes() == before
    level = "generic" if dtype == np.float64 else level
    assert (packed.shape, packed.dtype, packed.level) == ((65, 33), dtype, level)
    assert packed.is_current
    assert repr(packed) == f"PackedWeight(shape=(65, 33), dtype={dtype}, level={level})"
    assert weight.nbytes <= packed.nbytes < 4 * weight.nbytes
    with pytest.raises(TypeError, match="cannot create"):
        kernels.PackedWeight()


def test_its_memory_comes_back(rng):
    weight = rng.standard_normal((512, 1024), dtype=np.float32)
    gc.collect()
    before = runtime.memory_stats()["live_bytes"]
    packed = kernels.pack_weight(weight)
    assert runtime.memory_stats()["live_bytes"] >= before + packed.nbytes
    del packed
    assert runtime.memory_stats()["live_bytes"] == before


def test_another_level_refuses_it(level, rng):
    x, weight, _ = make(rng, np.float32, 2, 5, 4)
    packed = kernels.pack_weight(weight)
    exact = kernels.pack_weight(weight.astype(np.float64))
    for other in set(_cpu.available_levels()) - {level}:
        _cpu.set_level(other)
        assert not packed.is_current
        with pytest.raises(
            ConfigError, match=f"weight: was packed for level {level}, but level {other} is in use"
        ):
            kernels.linear(x, packed)
        assert exact.is_current, "float64 has one level"
        kernels.linear(x.astype(np.float64), exact)


def test_bad_arguments_are_named(rng):
    x, weight, bias = make(rng, np.float32, 2, 5, 4)
    packed = kernels.pack_weight(weight)
    with pytest.raises(ShapeError, match=r"weight: got shape \(5, 4\), expected \(out, 3\)"):
        kernels.linear(x[:, :3], packed)
    with pytest.raises(ShapeError, match=r"bias: got shape \(4,\), expected \(5,\)"):
        kernels.linear(x, packed, bias[:4])
    with pytest.raises(DTypeError, match="weight: got dtype float32, expected float64 like x"):
        kernels.linear(x.astype(np.float64), packed)
    with pytest.raises(DTypeError, match="weight: got a PackedWeight, expected the array"):
        kernels.linear_backward(np.ones((2, 5), np.float32), x, packed)
    with pytest.raises(DTypeError, match=r"a: got plainformer\._cpu\.PackedWeight"):
        kernels.matmul(packed, x)
    with pytest.raises(ShapeError, match="weight: got an empty sequence"):
        kernels.pack_weight([])
    with pytest.raises(ShapeError, match=r"weight: got shape \(5,\), expected \(out, in\)"):
        kernels.pack_weight(weight[:, 0])
    with pytest.raises(ShapeError, match=r"weight\[1\]: got shape \(5, 3\), expected \(out, 4\)"):
        kernels.pack_weight([weight, weight[:, :3]])
    with pytest.raises(DTypeError, match=r"weight\[1\]: got dtype float64, expected float32"):
        kernels.pack_weight([weight, weight.astype(np.float64)])
    with pytest.raises(DTypeError, match="weight: got dtype int64"):
        kernels.pack_weight(weight.astype(np.int64))
    with pytest.raises(DTypeError, match=r"weight: got builtins\.str, expected a NumPy array"):
        kernels.pack_weight("weight")
