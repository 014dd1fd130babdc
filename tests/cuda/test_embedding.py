"""Embedding lookup and its gradient on the emulated device."""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import PlainformerError
from tests import reference
from tests.accuracy import assert_2x
from tests.emulated import emulated, to_device

CASES = [((0,), 5, 8), ((1,), 1, 1), ((7,), 3, 17), ((2, 5), 11, 64), ((3, 4, 2), 64, 1040)]


def lookup(ids, weight):
    return kernels.asnumpy(kernels.embedding(to_device(ids), to_device(weight)))


def gradient(dy, ids, V, **options):
    return kernels.asnumpy(kernels.embedding_backward(to_device(dy), to_device(ids), V, **options))


def same_bytes(dy, ids, V):
    """The CPU's gradient: the same sums in the same order."""
    if dy.dtype != np.float16:
        return kernels.embedding_backward(dy, ids, V).tobytes()
    return kernels.embedding_backward(dy.astype(np.float32), ids, V).astype(dy.dtype).tobytes()


@pytest.mark.parametrize(("shape", "V", "C"), CASES, ids=str)
@pytest.mark.parametrize("ids_dtype", [np.int32, np.int64])
def test_rows_are_copied_exactly(dtype, rng, shape, V, C, ids_dtype):
    ids = rng.integers(0, V, shape).astype(ids_dtype)
    weight = rng.standard_normal((V, C)).astype(dtype)
    with emulated():
        assert lookup(ids, weight).tobytes() == weight[ids].tobytes()


@pytest.mark.parametrize(("shape", "V", "C"), CASES, ids=str)
def test_gradient_has_the_bytes_of_the_cpu(dtype, rng, shape, V, C):
    ids = rng.integers(0, V, shape)
    dy = rng.standard_normal((*shape, C)).astype(dtype)
    with emulated():
        dweight = gradient(dy, ids, V)
    assert_2x(dweight, reference.embedding_backward, dy, ids, V, factor=3)
    assert dweight.tobytes() == same_bytes(dy, ids, V)


@pytest.mark.parametrize(("N", "V"), [(2500, 300), (1100, 70000), (1030, 2)], ids=str)
@pytest.mark.parametrize("C", [8, 35])
def test_many_ids_in_several_passes_and_tiles(dtype, rng, N, V, C):
    """Ids of one, two and three digits; most of them one of two, which have blocks of their own."""
    ids = np.where(rng.random(N) < 0.5, rng.choice([0, V - 1], N), rng.integers(0, V, N))
    dy = rng.standard_normal((N, C)).astype(dtype)
    with emulated():
        assert gradient(dy, ids, V).tobytes() == same_bytes(dy, ids, V)


def test_every_place_of_a_group_of_many_rows(rng):
    """Groups of 127 to 129 rows, behind others of any length, have exactly one owner."""
    for before in (0, 1, 63, 64, 65, 127):
        counts = [before, 128, 129, 127, 191, 1]
        ids = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        dy = rng.standard_normal((len(ids), 5)).astype(np.float32)
        with emulated():
            assert gradient(dy, ids, 6).tobytes() == same_bytes(dy, ids, 6)


@pytest.mark.parametrize("accumulator", ["own", "float32"])
@pytest.mark.parametrize("C", [72, 19])
def test_gradient_is_added_to_an_array(dtype, rng, accumulator, C):
    ids = np.concatenate([rng.integers(0, 6, 40), np.full(140, 3)])
    dy = rng.standard_normal((180, C)).astype(dtype)
    out = rng.standard_normal((9, C)).astype(dtype if accumulator == "own" else np.float32)
    with emulated():
        place = to_device(out)
        result = kernels.embedding_backward(
            to_device(dy), to_device(ids), 9, out=place, accumulate=True
        )
        assert result is place
        ours = kernels.asnumpy(place)
    exact = out.astype(np.float64) + reference.embedding_backward(dy.astype(np.float64), ids, 9)
    rough = {"float32": 1e-5, "bfloat16": 0.02, "float16": 0.003}[ours.dtype.name]
    np.testing.assert_allclose(ours.astype(np.float64), exact, rtol=rough, atol=rough)
    assert (ours[6:] == out[6:]).all()


def test_strided_tables_and_gradients(dtype, rng):
    ids = rng.integers(0, 6, 12)
    table, dy = (
        rng.standard_normal((6, 40)).astype(dtype),
        rng.standard_normal((12, 40)).astype(dtype),
    )
    with emulated():
        for part in (slice(8, 24), slice(3, 20)):
            y = kernels.asnumpy(kernels.embedding(to_device(ids), to_device(table)[:, part]))
            assert y.tobytes() == table[ids][:, part].tobytes()
            grad = kernels.embedding_backward(to_device(dy)[:, part], to_device(ids), 6)
            cut = np.ascontiguousarray(dy[:, part])
            assert kernels.asnumpy(grad).tobytes() == same_bytes(cut, ids, 6)


@pytest.mark.parametrize("wrong", [-1, 6, 2**40])
def test_an_id_that_is_no_row_is_reported(rng, wrong):
    ids, dy = rng.integers(0, 6, (4, 5)), rng.standard_normal((4, 5, 8)).astype(np.float32)
    table = rng.standard_normal((6, 8)).astype(np.float32)
    good = ids.copy()
    ids[2, 1] = wrong
    for call in (lambda i: lookup(i, table), lambda i: gradient(dy, i, 6)):
        with emulated():
            with pytest.raises(PlainformerError, match=rf"input_ids.*{wrong}"):
                call(ids)
            call(good)


def test_the_order_of_threads_changes_no_byte(rng):
    ids = rng.integers(0, 400, 1500) % 390
    dy = rng.standard_normal((1500, 12)).astype(np.float32)
    results = set()
    for order in ("fifo", "lifo", "1", "2"):
        with emulated(order=order):
            results.add(gradient(dy, ids, 400).tobytes())
    assert len(results) == 1
