"""Embedding lookup and its gradient."""

import numpy as np
import pytest

import plainformer as pf
from plainformer import kernels
from plainformer.errors import ConfigError, DTypeError, ShapeError
from tests import reference
from tests.accuracy import assert_2x

CASES = [((0,), 5, 8), ((1,), 1, 1), ((7,), 3, 17), ((2, 5), 11, 64), ((3, 4, 2), 64, 33)]


@pytest.mark.parametrize(("shape", "V", "C"), CASES, ids=str)
@pytest.mark.parametrize("ids_dtype", [np.int32, np.int64])
def test_rows_are_copied_exactly(backend, dtype, rng, shape, V, C, ids_dtype):
    ids = rng.integers(0, V, shape).astype(ids_dtype)
    weight = rng.standard_normal((V, C)).astype(dtype)
    y = kernels.embedding(backend(ids), backend(weight))
    assert y.tobytes() == weight[ids].tobytes()
    assert y.shape == (*shape, C)


@pytest.mark.parametrize(("shape", "V", "C"), CASES, ids=str)
def test_gradient_sums_the_rows_of_each_id(backend, dtype, rng, shape, V, C):
    ids = rng.integers(0, V, shape)
    dy = rng.standard_normal((*shape, C)).astype(dtype)
    dweight = kernels.embedding_backward(backend(dy), backend(ids), V)
    assert_2x(dweight, reference.embedding_backward, dy, ids, V, factor=3)


def test_gradient_can_be_added_to_a_float32_one(backend, dtype, rng):
    ids = rng.integers(0, 6, (40,))
    dy = rng.standard_normal((40, 19)).astype(dtype)
    acc = np.float64 if dtype == np.float64 else np.float32
    out = rng.standard_normal((6, 19)).astype(acc)
    expected = out + reference.embedding_backward(dy.astype(np.float64), ids, 6)
    result = kernels.embedding_backward(dy, ids, 6, out=out, accumulate=True)
    assert result is out
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-5)
    kernels.embedding_backward(dy, ids, 6, out=out)  # overwrites, rows without ids too
    assert (kernels.embedding_backward(dy, ids, 7).astype(acc)[6] == 0).all()
    np.testing.assert_allclose(
        out, reference.embedding_backward(dy.astype(np.float64), ids, 6), rtol=1e-6, atol=1e-5
    )


@pytest.mark.cpu("threads")
def test_gradient_has_the_same_bytes_at_any_thread_count(backend, dtype, rng):
    ids = rng.integers(0, 5, (3000,))
    dy = rng.standard_normal((3000, 65)).astype(dtype)
    results = set()
    for threads in (1, 2, 3, 7):
        with pf.runtime.num_threads(threads):
            results.add(kernels.embedding_backward(dy, ids, 700).tobytes())
    assert len(results) == 1


def test_strided_arrays_give_the_same_bytes(backend, dtype, rng):
    ids = rng.integers(0, 8, (6, 4))
    weight = rng.standard_normal((16, 24)).astype(dtype)
    expected = kernels.embedding(ids[::2, ::-1].copy(), weight[::-2, ::3].copy())
    assert kernels.embedding(ids[::2, ::-1], weight[::-2, ::3]).tobytes() == expected.tobytes()
    dy = rng.standard_normal((6, 4, 30)).astype(dtype)
    expected = kernels.embedding_backward(dy[:, :, ::2].copy(), ids, 8)
    assert kernels.embedding_backward(dy[:, :, ::2], ids, 8).tobytes() == expected.tobytes()


def test_bad_arguments_are_named(backend):
    weight = np.zeros((4, 3), np.float32)
    with pytest.raises(ShapeError, match=r"input_ids: got 4 at \(1,\), expected 0 to 3"):
        kernels.embedding(np.array([0, 4]), weight)
    with pytest.raises(ShapeError, match=r"input_ids: got -1 at \(0,\), expected 0 to 3"):
        kernels.embedding(np.array([-1]), weight)
    with pytest.raises(DTypeError, match="input_ids: got dtype float64, expected int32 or int64"):
        kernels.embedding(np.array([0.0]), weight)
    with pytest.raises(ShapeError, match=r"weight: got shape \(4, 3, 1\)"):
        kernels.embedding(np.array([0]), weight[..., None])
    dy = np.zeros((2, 3), np.float32)
    with pytest.raises(ShapeError, match=r"grad_output: got shape \(2, 3\), expected \(1, 3\)"):
        kernels.embedding_backward(dy, np.array([0]), 4)
    with pytest.raises(ShapeError, match="num_embeddings: got -1, expected at least 0"):
        kernels.embedding_backward(dy, np.array([0, 1]), -1)
    with pytest.raises(ConfigError, match="accumulate: got True without out"):
        kernels.embedding_backward(dy, np.array([0, 1]), 4, accumulate=True)
    weight.flags.writeable = False
    with pytest.raises(ConfigError, match="out: got a read-only array"):
        kernels.embedding_backward(dy, np.array([0, 1]), 4, out=weight)
